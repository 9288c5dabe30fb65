"""Reading and encoding a long text: bytes a second and memory, in a fresh process each.

Imports neither torch nor NumPy, so that the memory of the processes that it starts is their own.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.commands import CHARLM, Cost, cost, records
from benchmarks.harness import Row, Spread, seconds
from benchmarks.texts import make_text

SIZE = 10**9
RUNS = 2
RATE, START = 150, 15  # MB/s, seconds
MOST = 1000  # MB
PLAIN = 20 * 10**6  # characters of the text that the usual loop reads
PROGRAM = """
import sys, time
from charlm.corpus import build_corpus
from charlm.text import open_text
begun = time.perf_counter()
corpus = build_corpus(open_text([sys.argv[1]]), tokenizer=sys.argv[2])
print(time.perf_counter() - begun, file=open(sys.argv[3], "w"))
"""


def run(size: int = SIZE, runs: int = RUNS) -> Iterator[Row]:
    """MB a second and peak resident memory for a text of 1 GB, and when training on it starts."""
    with tempfile.TemporaryDirectory() as name:
        path = make_text(Path(name) / "long.txt", size)
        os.sync()  # so that no reading waits for the text itself to be written
        for kind in ("characters", "bytes"):
            yield from _rows(path, kind, runs)
        yield from _start(path)


def _rows(path: Path, kind: str, runs: int) -> Iterator[Row]:
    size = path.stat().st_size
    plain, ours, memory = [], [], []
    for _ in range(runs):
        plain.append(_plain_rate(path))
        spent, took = _build(path, kind)
        ours.append(size / spent / 1e6)
        memory.append(took.megabytes)
    usual, rate, peak = Spread.of(plain), Spread.of(ours), Spread.of(memory)
    name = f"survey, vocabulary, split and encoding of {_size(size)} as {kind}"
    usually = f"{usual} the usual loop over a text in memory"
    yield Row(
        name, "MB/s", f"{RATE}", usually, str(rate), rate.median / usual.median, rate.median >= RATE
    )
    below = f"under {MOST}"
    yield Row(
        f"{name}, memory", "MB", below, "–", str(peak), peak.median / MOST, peak.median < MOST
    )


def _build(path: Path, kind: str) -> tuple[float, Cost]:
    """Seconds of building the corpus alone, and what the process took."""
    note = path.with_name("seconds")
    took = cost([sys.executable, "-c", PROGRAM, str(path), kind, str(note)])
    return float(note.read_text()), took


def _plain_rate(path: Path) -> float:
    """MB a second of what a user would write: a dictionary and a list, on the beginning."""
    program = (
        "import sys, time; text = open(sys.argv[1]).read(int(sys.argv[2])); "
        "begun = time.perf_counter(); number = {c: k for k, c in enumerate(sorted(set(text)))}; "
        "import array; array.array('H', [number[c] for c in text]); "
        "print(len(text) / (time.perf_counter() - begun) / 1e6)"
    )
    command = [sys.executable, "-c", program, str(path), str(PLAIN)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _start(path: Path) -> Iterator[Row]:
    """Seconds from `charlm train` to its log's first record, 0.2 s after the first step."""
    log, output = path.with_name("log.jsonl"), path.with_name("model.safetensors")
    command = [*CHARLM, "train", str(path), "-o", str(output), "--log", str(log), "--quiet"]
    took = cost([*command, "--minutes", "10"], lambda: bool(records(log)))
    name = f"charlm train of {_size(path.stat().st_size)} as characters"
    reading = seconds(lambda: _read(path))
    yield Row(
        f"{name}, until training starts",
        "s",
        f"{START}",
        f"{reading:.3g} reading the file",
        f"{took.seconds:.3g}",
        took.seconds / START,
        took.seconds <= START,
    )
    peak = took.megabytes
    yield Row(
        f"{name}, memory until then",
        "MB",
        f"under {MOST}",
        "–",
        f"{peak:.4g}",
        peak / MOST,
        peak < MOST,
    )


def _read(path: Path) -> None:
    with path.open("rb") as file:
        while file.read(2**20):
            pass


def _size(size: int) -> str:
    return f"{size / 1e9:g} GB" if size >= 1e8 else f"{size / 1e6:g} MB"
