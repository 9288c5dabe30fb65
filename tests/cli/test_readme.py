"""The README's tour, run for real: every command in a `console` block, in order, in one folder.

The rule of comparison, as floating-point numbers differ from machine to machine:

- numbers may differ (so may what only spaces numbers out, and a small curve), words may not;
- `…` alone in a line stands for any lines;
- what a model writes may differ: of `charlm sample` only the number of lines is compared.

`python tests/cli/test_readme.py` writes the outputs of this machine into the README.
"""

import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
LEFT_OUT = "…"


class Shown(NamedTuple):
    """A command of the README and the lines that it is said to print."""

    command: str
    lines: list[str]


def tour() -> list[Shown]:
    """Every command of the README's console blocks, in order."""
    shown: list[Shown] = []
    for block in BLOCK.findall(README.read_text(encoding="utf-8")):
        for line in block.splitlines():
            if line.startswith("$ "):
                shown.append(Shown(line[2:], []))
            else:
                shown[-1].lines.append(line)
    return shown


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


def prepare(folder: Path) -> None:
    shutil.copytree(ROOT / "corpora", folder / "corpora")


def words_of(line: str) -> str:
    """A line without what may differ: numbers, spaces between them, rules and curves."""
    line = re.sub(r"\b(\d+:\d+(:\d+)?|\d+ s)\b", "#", line)  # durations
    line = re.sub(r"\bb?float\d+\b", "float", line)
    line = re.sub(r"10\^-", "", line)
    line = re.sub(r"-?\d[\d,.]*(e[-+]?\d+)?", "#", line)
    return re.sub(r"\s+", " ", re.sub(r"[▁-█]+", "▁", re.sub("─+", "─", line))).strip()


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


def test_every_command_of_the_readme_prints_what_is_shown(tmp_path: Path) -> None:
    prepare(tmp_path)
    shown = tour()
    assert len(shown) > 8
    for command, lines in shown:
        printed = run(command, tmp_path)
        if command.startswith("charlm sample"):
            assert len(printed) == len(lines), (command, printed)
        else:
            assert same(lines, printed), (command, printed)


@pytest.mark.parametrize(
    ("shown", "printed", "agree"),
    [
        (["ln P  -12.5 nats"], ["ln P   -9.25 nats"], True),
        (["ln P  -12.5 nats"], ["ln P   -9.25 bits"], False),
        (["a", "…", "z 1"], ["a", "b", "c", "z 2"], True),
        (["a", "…", "z"], ["a", "b"], False),
        (["a"], ["a", "b"], False),
        (["P  4.9e-17"], ["P  10^-57.3"], True),
        (["curve  █▅▁"], ["curve  █▇▅▁▁"], True),
        (["30 steps, about 9 s"], ["30 steps, about 1:05"], True),
    ],
)
def test_the_rule_of_comparison(shown: list[str], printed: list[str], agree: bool) -> None:
    assert same(shown, printed) is agree


def test_python_in_the_readme_runs(tmp_path: Path) -> None:
    """The blocks of Python, in one module, beside the checkpoint that they name."""
    from conftest import random_checkpoint

    from charlm.checkpoint import save

    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "corpora/cats").mkdir(parents=True)
    (tmp_path / "corpora/cats/cats.txt").write_text("The cat was full.\n" * 30, encoding="utf-8")
    save(tmp_path / "checkpoints/cats.safetensors", random_checkpoint())
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    subprocess.run([sys.executable, "-c", "\n".join(blocks)], cwd=tmp_path, check=True)


def write(folder: Path) -> None:
    """Runs the tour and puts this machine's outputs into the README; lines of `…` stay."""
    prepare(folder)

    def renewed(block: re.Match[str]) -> str:
        lines = block.group(1).splitlines()
        starts = [k for k, line in enumerate(lines) if line.startswith("$ ")] + [len(lines)]
        out = []
        for begin, end in pairwise(starts):
            printed = run(lines[begin][2:], folder)
            old = lines[begin + 1 : end]
            if LEFT_OUT in old:
                cut = old.index(LEFT_OUT)
                printed = [*printed[:cut], LEFT_OUT, *printed[len(printed) - len(old) + cut + 1 :]]
            out += [lines[begin], *printed]
        return "```console\n" + "\n".join(out) + "\n```"

    README.write_text(BLOCK.sub(renewed, README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
