"""Long texts to read: a shorter one again and again, each time begun at another line."""

import random
from pathlib import Path

from benchmarks.harness import SHAKESPEARE

ELSEWHERE = "The cat was full.\nThe cats, which already ate, were happy.\n" * 10_000


def make_text(path: Path, size: int) -> Path:
    """Writes a text of that many bytes; gives its path."""
    text = SHAKESPEARE.read_bytes() if SHAKESPEARE.exists() else ELSEWHERE.encode()
    draw = random.Random(1)
    with path.open("wb") as file:
        while (left := size - file.tell()) > 0:
            file.write(text[:left])
            begin = text.index(b"\n", draw.randrange(len(text) // 2)) + 1
            text = text[begin:] + text[:begin]
    return path
