"""Saving where the disk fails, and reading while another saves."""

import errno
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from charlm import atomic
from charlm.checkpoint import Checkpoint, load, save
from torture.children import Faulty

FAULTS = ("ENOSPC", "EIO", "EACCES", "EDQUOT", "EROFS")


@contextmanager
def faulty(kind: str, at: int) -> Iterator[Faulty]:
    """charlm.atomic's n-th call of the operating system fails."""
    fault = Faulty(kind, at)
    atomic.os = fault  # type: ignore[assignment]
    try:
        yield fault
    finally:
        atomic.os = os


def save_faults(earlier: Checkpoint, later: Checkpoint, folder: Path) -> tuple[int, list[str]]:
    """Each call of a save failing in turn, until it succeeds: the file is the old or the new."""
    tried, failures = 0, []
    path = folder / "model.safetensors"
    save(path, later)
    new = path.read_bytes()
    for kind in (*FAULTS, "short"):
        at, ended = 0, False
        while not ended:
            save(path, earlier)
            old = path.read_bytes()
            with faulty(kind, at) as fault:
                try:
                    save(path, later)
                    ended = len(fault.calls) <= at
                    wrong = "" if kind == "short" or ended else "the fault was not told"
                except OSError as error:
                    wrong = "" if error.errno == getattr(errno, kind) else f"told as {error}"
                renamed = "replace" in fault.calls[: at + (kind == "short")]
            found = path.read_bytes()
            if found != (new if ended or renamed or kind == "short" else old):
                wrong = wrong or "the file is neither the old nor the new"
            if left := [name for name in os.listdir(folder) if name != path.name]:
                wrong = wrong or f"left behind: {left}"
            tried += 1
            if wrong:
                failures.append(f"{kind} at call {at} ({fault.calls[-1]}): {wrong}")
            at += 1
    return tried, failures


def read_while_saving(
    first: Checkpoint, second: Checkpoint, count: int, folder: Path
) -> tuple[int, list[str]]:
    """A reader during so many saves sees one of the two, whole."""
    path = folder / "model.safetensors"
    save(path, first)
    failures, reads, done = [], 0, threading.Event()

    def write() -> None:
        for number in range(count):
            save(path, (second, first)[number % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    known = [checkpoint.tokenizer.header() for checkpoint in (first, second)]
    while not done.is_set():
        reads += 1
        try:
            if load(path).tokenizer.header() not in known:
                failures.append(f"read {reads}: neither of the two")
        except Exception as error:
            failures.append(f"read {reads}: {error}")
    writer.join()
    return count, failures


def draw_bytes(draw: random.Random, size: int) -> bytes:
    """Bytes that are text more often than not, with faults of every kind."""
    kinds = (
        lambda: draw.randbytes(draw.randrange(4)),
        lambda: "aé€😀\n\r\0\u2581".encode()[draw.randrange(12) :][: draw.randrange(1, 9)],
        lambda: chr(draw.choice([*range(0x20, 0x100), 0xFEFF, 0x1F600, 0x10FFFF])).encode(),
        lambda: b"The cat was full.\n",
        lambda: b"<EOS><UNK>",
    )
    made = b"".join(draw.choice(kinds)() for _ in range(draw.randrange(size)))
    encodings = ("utf-8", "utf-16", "utf-32", "utf-8-sig", "latin-1")
    if draw.random() < 0.3:
        made = made.decode("utf-8", "replace").encode(draw.choice(encodings), "replace")
    return made[: draw.randrange(len(made) + 1)] if draw.random() < 0.2 else made
