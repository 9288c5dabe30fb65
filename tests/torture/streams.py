"""Every command in every locale, its streams a terminal, a pipe, a file, or closed."""

import os
import pty
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

TEXT = "The cat was full.\nGröße und Äpfel.\n" * 20
TRAIN = "--steps 40 --hidden-size 8 --embedding-size 4 --batch-size 3 --bptt 8 --threads 1 --seed 1"
COMMANDS = {  # whose arguments are ASCII: a locale decides what other bytes of them mean
    "sample": "sample model.safetensors --seed 1 --length 200",
    "score": "score model.safetensors -f text.txt --json",
    "eval": "eval model.safetensors text.txt --json",
    "info": "info model.safetensors",
    "inspect": "inspect model.safetensors cat",
    "tokenize": "tokenize text.txt --show 9",
    "probe": "probe model.safetensors --pairs pairs.tsv --json",
    "gradients": "gradients text.txt --cell rnn --steps 5 --hidden-size 4 --json",
    "plot": "plot model.safetensors -o picture.svg --force",
    "report": "report model.safetensors -o page.html --force",
    "train": f"train text.txt {TRAIN} --quiet -o other --force",
}
NEEDS = {"plot": "matplotlib", "report": "jinja2"}
LOCALES = ("C", "POSIX", "C.UTF-8", "latin-1")
LATIN = "en_US.ISO-8859-1"
WAYS = ("pipe", "file", "terminal", "closed early", "closed", "stdin closed")


def latin_locale(folder: Path) -> bool:
    """Makes a Latin-1 locale in the folder, for LOCPATH; false where that cannot be done."""
    if not shutil.which("localedef"):
        return False
    command = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(folder / LATIN)]
    subprocess.run(command, capture_output=True)
    return (folder / LATIN).exists()


def environment(locale: str, folder: Path) -> dict[str, str]:
    """Python in that locale, which it is not to change for UTF-8; every warning an error."""
    chosen = LATIN if locale == "latin-1" else locale
    python = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONWARNINGS": "error"}
    more = {"LOCPATH": str(folder)} if locale == "latin-1" else {}
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    return {**inherited, **python, **more, "LC_ALL": chosen, "COLUMNS": "80", "TERM": "xterm"}


def prepare(folder: Path) -> None:
    """A text, pairs of sentences, and a model that has learned a little."""
    from conftest import corpus_of, train

    from charlm.checkpoint import save

    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    pairs = "The cat was full.\tThe cat were full.\nDie Größe.\tDie Größen.\n"
    (folder / "pairs.tsv").write_text(pairs, encoding="utf-8")
    save(folder / "model.safetensors", train(corpus_of(TEXT), steps=30).checkpoint())


def run(name: str, locale: str, way: str, folder: Path) -> tuple[int, bytes, str]:
    """A command's exit code, what reached the other end of its stdout, and its stderr."""
    command = [sys.executable, "-m", "charlm", *COMMANDS[name].split()]
    with open(folder / "out", "w+b") as out, open(folder / "err", "w+b") as err:
        shell = {"closed early": '"$@" | true; exit ${PIPESTATUS[0]}', "closed": '"$@" >&-'}
        shell |= {"pipe": '"$@" | cat; exit ${PIPESTATUS[0]}', "stdin closed": '"$@" <&-'}
        words = ["bash", "-c", shell.get(way, '"$@"'), "bash", *command]
        master, slave = pty.openpty() if way == "terminal" else (-1, -1)
        shown: list[bytes] = []
        reader = threading.Thread(target=lambda: shown.extend(read(master)))
        reader.start()
        process = subprocess.run(
            words,
            cwd=folder,
            env=environment(locale, folder),
            stdin=None if way == "stdin closed" else subprocess.DEVNULL,
            stdout=slave if way == "terminal" else out,
            stderr=err,
        )
        if way == "terminal":
            os.close(slave)
        reader.join()
        out.seek(0)
        err.seek(0)
        return process.returncode, b"".join(shown) or out.read(), err.read().decode("utf-8")


def read(master: int) -> Iterator[bytes]:
    """All that comes out of a terminal, if there is one."""
    if master < 0:
        return
    try:
        while data := os.read(master, 2**16):
            yield data
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(master)


def disagreement(name: str, locale: str, way: str, folder: Path, wanted: bytes) -> str:
    """What is wrong with how a command behaves, or ''."""
    code, out, errors = run(name, locale, way, folder)
    if code or "Traceback" in errors or "Warning" in errors or "Exception" in errors:
        return f"exit code {code}: {errors[-300:]}"
    if way in ("pipe", "file", "stdin closed") and out != wanted:
        return f"{out[-100:]!r} instead of {wanted[-100:]!r}"
    return "" if way != "terminal" or out or not wanted else "nothing was shown"


def every_way(share: float, seed: int, folder: Path) -> tuple[int, list[str]]:
    """A share of all commands × locales × ways; the bytes are those of UTF-8 into a file."""
    from importlib.util import find_spec

    draw = random.Random(seed)
    prepare(folder)
    latin = latin_locale(folder)
    tried, failures = 0, [] if latin else ["no Latin-1 locale could be made: is localedef there?"]
    for name in COMMANDS:
        if name in NEEDS and not find_spec(NEEDS[name]):
            continue
        cases = [
            (locale, way)
            for locale in LOCALES
            for way in WAYS
            if draw.random() < share and (latin or locale != "latin-1")
        ]
        wanted = run(name, "C.UTF-8", "file", folder)[1] if cases else b""
        for locale, way in cases:
            tried += 1
            if wrong := disagreement(name, locale, way, folder, wanted):
                failures.append(f"{name}, {locale}, {way}: {wrong}")
    return tried, failures
