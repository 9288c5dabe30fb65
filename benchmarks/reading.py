"""Reading and encoding a long text: bytes a second and memory, in a fresh process each."""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import SHAKESPEARE, Row

SIZE = 10**9
PROGRAM = """
import resource, sys, time
from charlm.corpus import build_corpus
from charlm.text import open_text
begun = time.perf_counter()
corpus = build_corpus(open_text([sys.argv[1]]), tokenizer=sys.argv[2])
spent = time.perf_counter() - begun
print(spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def run() -> list[Row]:
    """MB a second and peak resident memory for a text of 1 GB as characters and as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.txt"
        _make(path)
        return [row for kind in ("characters", "bytes") for row in _rows(path, kind)]


def _make(path: Path) -> None:
    piece = SHAKESPEARE.read_bytes() if SHAKESPEARE.exists() else b"The cat was full.\n" * 50_000
    with path.open("wb") as file:
        while file.tell() < SIZE:
            file.write(piece)


def _rows(path: Path, kind: str) -> list[Row]:
    command = [sys.executable, "-c", PROGRAM, str(path), kind]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    rate, memory = path.stat().st_size / float(printed[0]) / 1e6, float(printed[1]) / 1e6
    name = f"survey, vocabulary, split and encoding of 1 GB as {kind}"
    return [
        Row(name, "MB/s", "150", "–", f"{rate:.0f}", rate / 150, rate >= 150),
        Row(f"{name}, memory", "GB", "under 1", "–", f"{memory:.2f}", memory, memory < 1),
    ]
