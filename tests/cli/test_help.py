"""Help pages: quick, each ending with an example that works, each command in the README."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from charlm.cli import COMMANDS
from charlm.cli import charlm as group

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "numpy", "rich", "sentencepiece", "safetensors", "jinja2", "matplotlib"}


def example_of(help_page: str) -> list[list[str]]:
    """The commands that a help page ends with."""
    _, mark, example = help_page.rpartition("Example:\n")
    assert mark, "the page has an example"
    lines = [line.strip() for line in example.strip().splitlines()]
    assert lines
    assert all(line.startswith("charlm ") for line in lines), "the page ends with its example"
    return [shlex.split(line)[1:] for line in lines]


def modules_after(*arguments: str) -> set[str]:
    """The top-level modules that a command line has imported at its end."""
    script = (
        "import sys\nfrom charlm.cli import charlm\n"
        f"try:\n    charlm({arguments!r})\n"
        "finally:\n    print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [(), *((name,) for name in COMMANDS)], ids=str)
def test_every_page_ends_with_an_example(charlm: Any, arguments: tuple[str, ...]) -> None:
    ran = charlm(*arguments, "--help")
    assert example_of(ran.out)
    assert ran.err == ""
    assert charlm(*arguments, "-h").out == ran.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    command = COMMANDS[name]
    options = [p for p in group.get_command(None, name).params if p.param_type_name == "option"]  # type: ignore[arg-type,union-attr]
    unexplained = [option.name for option in options if not option.help]  # type: ignore[attr-defined]
    assert not unexplained, command


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [name for name in COMMANDS if f"`charlm {name}" not in readme]
    assert not missing


def test_help_imports_nothing_slow() -> None:
    assert not modules_after("--help") & HEAVY
    assert not modules_after("train", "--help") & HEAVY
    assert not modules_after("--version") & HEAVY


def test_what_answers_at_once_imports_no_torch(
    cat_path: Path, cat_file: Path, tmp_path: Path
) -> None:
    path = str(cat_path)
    log, pairs = tmp_path / "log.jsonl", tmp_path / "pairs.tsv"
    log.write_text('{"steps": 1, "gradient_norm": 0.5, "clipped": 0.0}\n', encoding="utf-8")
    pairs.write_text("The cat was full.\tThe cat were full.\n", encoding="utf-8")
    for arguments in (
        ("sample", path, "--length", "5"),
        ("sample", path, "--length", "5", "--count", "3", "--novelty", str(cat_file)),
        ("score", path, "The cat was full.", "The cat were full."),
        ("score", path, "--next", "The "),
        ("info", path),
        ("eval", path, str(cat_file)),
        ("inspect", path, "The cats, which ate."),
        ("inspect", path, "The cats, which ate.", "--view", "predictions"),
        ("inspect", path, "The cats, which ate.", "--cell-index", "1:1"),
        ("inspect", path, "The cats, which ate.", "--find", "space"),
        ("inspect", path, "The cats, which ate.", "--view", "gates"),
        ("inspect", path, "The cats, which ate.", "--span", "4:6", "--threshold", "-1"),
        ("probe", path, "--pairs", str(pairs)),
        ("gradients", "--log", str(log)),
    ):
        assert not modules_after(*arguments) & {"torch", "jinja2", "matplotlib"}, arguments


def test_every_example_works(charlm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the commands, each with what the ones before it have left."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "corpora" / "names", tmp_path / "corpora" / "names")
    prepare(tmp_path)
    for name in COMMANDS:
        for arguments in example_of(charlm(name, "--help").out):
            assert arguments[0] == name
            charlm(*arguments)
    charlm(*example_of(charlm("--help").out)[1])


def prepare(folder: Path) -> None:
    """The files that examples take for granted: pairs of sentences, models of the grammar."""
    from conftest import random_checkpoint

    from charlm.checkpoint import save

    (folder / "pairs.tsv").write_text("Anna\tNnaa\nTom\tMto\n", encoding="utf-8")
    for cell in ("rnn", "gru", "lstm"):
        save(folder / f"{cell}.safetensors", random_checkpoint(cell))


@pytest.mark.parametrize(("word", "code"), [("--version", 0), ("--nonsense", 2)])
def test_what_is_to_be_done_at_the_end_is_done(word: str, code: int) -> None:
    """Though the process ends without taking itself apart."""
    program = (
        "import atexit, sys; from charlm.__main__ import main; atexit.register(print, 'bye'); "
        f"sys.argv = ['charlm', {word!r}]; main()"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == code
    assert ran.stdout.endswith("bye\n")
    assert ran.stdout.startswith("charlm ") is (code == 0)
