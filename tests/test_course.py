"""The course, run for real: every command of docs/course.md prints what is shown there.

`tests/console.py` has the rule of comparison. `python tests/test_course.py` writes the outputs of
this machine into the course.
"""

import ast
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from console import ROOT, check, commands, prepare, run, write

COURSE = ROOT / "docs" / "course.md"
PROGRAM = re.compile(r"```python\n# (\S+\.py)\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\[`([\w.]+)`\]\(([^)#]+\.py)\)")


def document() -> str:
    return COURSE.read_text(encoding="utf-8")


def lay_out(folder: Path) -> None:
    """What a reader has before the first command: the corpora, and the programs to be saved."""
    prepare(folder)
    for name, program in PROGRAM.findall(document()):
        (folder / name).write_text(program, encoding="utf-8")


def definitions(path: Path) -> set[str]:
    """The functions and classes of a file; those inside a class as `Class.name`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{f.name}" for f in node.body if isinstance(f, ast.FunctionDef)}
    return found


def test_every_command_of_the_course_prints_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, charlm: Callable[..., Any]
) -> None:
    """Trainings run in this process, which imports torch once; the rest as a reader runs it."""

    def execute(command: str) -> list[str]:
        if not command.startswith("charlm train"):
            return run(command, tmp_path)
        ran = charlm(*shlex.split(command.replace("\\\n", ""))[1:])
        return [*ran.out.splitlines(), *ran.err.splitlines()]

    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    shown = commands(document())
    assert len(shown) > 40
    check(shown, execute)


LINKS = sorted(set(LINK.findall(document())))


def test_the_course_names_functions() -> None:
    assert len(LINKS) > 25


@pytest.mark.parametrize(("name", "file"), LINKS)
def test_every_function_that_the_course_names_is_there(name: str, file: str) -> None:
    assert name in definitions(COURSE.parent / file)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        lay_out(Path(name))
        write(COURSE, Path(name))
