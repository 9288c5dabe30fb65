"""Documents whose commands are run: what their `console` blocks show, beside what is printed.

The rule of comparison, as floating-point numbers differ from machine to machine:

- numbers may differ (so may what only spaces numbers out, curves and bars), words may not;
- `…` alone in a line stands for any lines;
- what a model writes may differ: of `charlm sample` only the number of lines is compared;
- of `charlm score --next` only tokens with a probability of at least ½ are compared;
- of a picture made of letters only the number of lines is, and of a cell of `charlm inspect --find`
  not whether it is higher or lower.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
LEFT_OUT = "…"
PICTURE = re.compile(r"^.*[┤┊].*$")
UNLIKELY = re.compile(r"^\S+ +(0\.[0-4]\d*|\S+e-\d+)(?= +\d+\.\d+ +\d+$)")  # a row of --next


class Shown(NamedTuple):
    """A command as it is typed, all its lines, and the lines that it is said to print."""

    command: str
    lines: list[str]


def commands(document: str) -> list[Shown]:
    """Every command of a document's console blocks, in order."""
    return [one for block in BLOCK.findall(document) for one in _of_block(block)]


def _of_block(block: str) -> list[Shown]:
    """A command begins with `$ ` and goes on after a line that ends in a backslash."""
    shown: list[Shown] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            shown.append(Shown(line[2:], []))
        elif shown[-1].command.endswith("\\") and not shown[-1].lines:
            shown[-1] = Shown(f"{shown[-1].command}\n{line}", [])
        else:
            shown[-1].lines.append(line)
    return shown


def prepare(folder: Path) -> None:
    """What a reader has: the corpora."""
    shutil.copytree(ROOT / "corpora", folder / "corpora")


def run(command: str, folder: Path) -> list[str]:
    """What a command prints, to stdout and stderr together, in the folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout.splitlines()


def words_of(line: str) -> str:
    """A line without what may differ: numbers, spaces between them, rules, curves and pictures."""
    line = PICTURE.sub("picture", line)
    line = UNLIKELY.sub("token", re.sub(r"\b(higher|lower)\b", "other", line))
    line = re.sub(r"\b(\d+:\d+(:\d+)?|\d+ s)\b", "#", line)  # durations
    line = re.sub(r"\bb?float\d+\b", "float", line)
    line = re.sub(r"10\^-", "", line)
    line = re.sub(r"-?\d[\d,.]*(e[-+]?\d+)?", "#", line)
    return re.sub(r"\s+", " ", re.sub(r"[▁-▏]+", " ", re.sub("─+", "─", line))).strip()


def same(shown: list[str], printed: list[str]) -> bool:
    """Whether the words agree; a line of `…` matches any lines, of which there may be none."""
    if not shown:
        return not printed
    if shown[0] == LEFT_OUT:
        return any(same(shown[1:], printed[k:]) for k in range(len(printed) + 1))
    return (
        bool(printed)
        and words_of(shown[0]) == words_of(printed[0])
        and same(shown[1:], printed[1:])
    )


def check(shown: list[Shown], execute: Callable[[str], list[str]]) -> None:
    """Executes the commands in order and asserts that each prints what is shown."""
    for command, lines in shown:
        printed = execute(command)
        if command.startswith("charlm sample"):
            assert len(printed) == len(lines), (command, printed)
        else:
            assert same(lines, printed), (command, printed)


def write(path: Path, folder: Path) -> None:
    """Runs a document's commands and puts this machine's outputs into it; lines of `…` stay."""

    def renewed(block: re.Match[str]) -> str:
        out = []
        for command, old in _of_block(block.group(1)):
            printed = run(command, folder)
            if LEFT_OUT in old:
                cut = old.index(LEFT_OUT)
                printed = [*printed[:cut], LEFT_OUT, *printed[len(printed) - len(old) + cut + 1 :]]
            out += [f"$ {command}", *printed]
        return "```console\n" + "\n".join(out) + "\n```"

    path.write_text(BLOCK.sub(renewed, path.read_text(encoding="utf-8")), encoding="utf-8")
