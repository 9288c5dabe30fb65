"""Every error that a user can cause, with its whole message: errors.txt, to be read together.

Each is one line that says what, where and what to do; the exit code is 1 for a refusal of the data
or the machine, 2 for a mistake in the command.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from conftest import random_checkpoint
from torture import streams

from charlm.cli import COMMANDS, charlm
from charlm.cli.mistakes import ELSEWHERE, meant, names

# The folder in which the commands run; see `place`.
FILES = {
    "text.txt": b"The cat was full.\n" * 30,
    "empty.txt": b"",
    "short.txt": b"a",
    "long.txt": b"The cat\n" + b"was full" * 2**18,
    "latin.txt": "Größe\n".encode("latin-1") * 20,
    "cut.txt": "Größe".encode()[:3],
    "utf16.txt": "Größe".encode("utf-16"),
    "overlong.txt": b"ab\xc0\xafcd",
    "surrogate.txt": b"ab\xed\xa0\x80cd",
    "page.safetensors": b"<!DOCTYPE html>",
    "pickle.safetensors": b"\x80\x04K\x01.",
    "bad\x1b[2Jname.txt": b"a\xff",
}

# A line with a command, a line with its exit code and message; … stands for any text
ERRORS = (Path(__file__).parent / "errors.txt").read_text(encoding="utf-8")


@dataclass
class Case:
    command: str
    code: int
    message: str


def cases() -> list[Case]:
    lines = ERRORS.strip().split("\n")
    return [
        Case(command, *_expected(wanted))
        for command, wanted in zip(lines[::2], lines[1::2], strict=True)
    ]


def _expected(line: str) -> tuple[int, str]:
    code, message = line.strip().split(" ", 1)
    return int(code), message


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with good files and bad ones."""
    from torture.malformed import Parts

    from charlm.checkpoint import save

    folder = tmp_path_factory.mktemp("errors")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    for name in ("folder", "empty"):
        (folder / name).mkdir()
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    save(folder / "good.safetensors", random_checkpoint())
    good = (folder / "good.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(good[:3000])
    (folder / "flipped.safetensors").write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    parts = Parts.of(good)
    parts.record["format"] = 2
    (folder / "newer.safetensors").write_bytes(parts.joined())
    return folder


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.command)
def test_every_error_is_one_line(case: Case, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    words = [word.replace("BADNAME", "bad\x1b[2Jname.txt") for word in case.command.split()[1:]]
    if words[0] == "train" and len(words) > 1 and not {"-o", "--help"} & set(words):
        words += ["-o", "new.safetensors"]
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        done = CliRunner().invoke(charlm, words, input=None if "-" in words else "")
    assert done.stdout == ""
    shown = done.stderr
    assert "Traceback" not in shown
    last = shown.rstrip("\n").split("\n")[-1]
    pattern = re.escape(f"charlm: {case.message}").replace("…", ".*")
    assert re.fullmatch(pattern, last), last
    assert done.exit_code == case.code
    assert "\x1b" not in shown
    assert not (place / "new.safetensors").exists()
    assert not [entry for entry in os.listdir(place) if entry.startswith(".")]


@pytest.mark.parametrize(
    ("command", "option", "wanted"),
    [
        ("train", "--max_iters", ["--steps"]),
        ("train", "--hidden_size", ["--hidden-size"]),
        ("train", "--rnn_size", ["--hidden-size"]),
        ("train", "--num_layers", ["--layers"]),
        ("train", "--seq_length", ["--bptt"]),
        ("train", "--grad_clip", ["--clip"]),
        ("train", "--max_epochs", ["--epochs"]),
        ("train", "--no-tie", ["--no-tie-weights"]),
        ("train", "-q", ["--quiet"]),
        ("train", "--start", []),  # another tool's name of an option that train does not have
        ("train", "--help-me", []),
        ("train", "---", []),  # with which all begin
        ("train", "--e", ["--epochs", "--embedding-size", "--encoding"]),
        ("sample", "--start", ["--prompt"]),
        ("sample", "--temp", ["--temperature"]),
        ("sample", "--num_samples", ["--count"]),
        ("sample", "--lenght", ["--length"]),
        ("sample", "--lr", []),
    ],
)
def test_what_an_unknown_option_may_stand_for(command: str, option: str, wanted: list[str]) -> None:
    found = charlm.get_command(click.Context(charlm), command)
    assert found
    assert meant(option, found) == wanted


def test_a_log_is_not_drawn_as_a_model(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="pip install '.[plot]'")
    monkeypatch.chdir(place)
    (place / "log.jsonl").write_text('{"step": 1}\n')
    for kind in ("samples", "probe"):
        command = ["plot", "log.jsonl", "-o", "new.png", "--kind", kind]
        assert CliRunner().invoke(charlm, command).stderr == (
            "charlm: log.jsonl: not a charlm checkpoint but a training log, "
            "which charlm plot --kind learning draws\n"
        )


def test_an_empty_stop_is_refused(place: Path) -> None:
    command = ["sample", str(place / "good.safetensors"), "--stop", ""]
    done = CliRunner().invoke(charlm, command)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("charlm: --stop is empty; give ")


def test_every_name_of_another_tool_has_one_here() -> None:
    commands = [charlm.get_command(click.Context(charlm), name) for name in COMMANDS]
    here = {name for command in commands if command for name in names(command)}
    assert set(ELSEWHERE.values()) <= here
    assert not {f"--{name}" for name in ELSEWHERE} & here


def test_debug_shows_the_traceback(place: Path) -> None:
    done = CliRunner().invoke(charlm, ["--debug", "info", str(place / "page.safetensors")])
    assert type(done.exception).__name__ == "CheckpointError"


# Pipes, closed streams and locales, in real processes


def run(command: str, place: Path, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    program = f"{sys.executable} -m charlm"
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command.replace('charlm', program)}"],
        cwd=place,
        env={**os.environ, "PYTHONWARNINGS": "error", **environment},
        capture_output=True,
    )


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("charlm sample good.safetensors | true", 0),
        ("charlm sample good.safetensors --seed 1 | head -c 5", 0),  # of 216 characters
        ("charlm --help | true", 0),
        ("charlm info good.safetensors --json | true", 0),
        ("charlm score good.safetensors -f text.txt | head -1 >/dev/null", 0),
        ("charlm info good.safetensors >&-", 0),
        ("charlm info good.safetensors <&- >/dev/null", 0),
        ("charlm info none 2>&-", 1),
        ("charlm info good.safetensors >&- 2>&- <&-", 0),
        ("charlm sample good.safetensors --prompt - <&-", 1),
    ],
)
def test_closed_streams_are_no_error(command: str, code: int, place: Path) -> None:
    done = run(command, place)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr
    assert code or not done.stderr


def test_a_full_disk_under_stdout_is_said(place: Path) -> None:
    done = run("charlm info good.safetensors >/dev/full", place)
    assert done.returncode == 1
    assert done.stderr == b"charlm: standard output: no space left on device\n"


def test_every_locale_gets_the_same_bytes(tmp_path: Path) -> None:
    """Into a pipe; Latin-1's is made where no such locale is installed."""
    streams.prepare(tmp_path)
    latin = streams.latin_locale(tmp_path)
    wanted = streams.run("sample", "C.UTF-8", "file", tmp_path)[1]
    for locale in streams.LOCALES:
        if latin or locale != "latin-1":
            assert not streams.disagreement("sample", locale, "pipe", tmp_path, wanted)
            assert not streams.disagreement("info", locale, "terminal", tmp_path, b"x")
    if not latin:
        pytest.skip("localedef could not make a Latin-1 locale; the others were tested")


def test_a_latin_1_terminal_is_one(tmp_path: Path) -> None:
    if not streams.latin_locale(tmp_path):
        pytest.skip("localedef could not make a Latin-1 locale")
    code = "import locale; print(locale.getpreferredencoding(False))"
    environment = streams.environment("latin-1", tmp_path)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.stdout.strip().lower() in (b"iso-8859-1", b"iso8859-1", b"latin-1")
