"""Damage to a checkpoint: every truncation, every flipped bit."""

import random
from collections.abc import Iterator
from pathlib import Path

from charlm.checkpoint import load
from charlm.errors import CheckpointError


def damaged(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Every beginning of the file, and the file with each bit flipped in turn."""
    for length in range(len(content)):
        yield f"cut at {length}", content[:length]
    flipped = bytearray(content)
    for bit in range(8 * len(content)):
        flipped[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit}", bytes(flipped)
        flipped[bit // 8] ^= 1 << bit % 8


def refusals(content: bytes, folder: Path, share: float, seed: int) -> tuple[int, list[str]]:
    """Tries a share of all damage; gives how many, and what was not refused in one line."""
    choose = random.Random(seed)
    tried, failures = 0, []
    path = folder / "damaged.safetensors"
    for name, made in damaged(content):
        if choose.random() >= share:
            continue
        tried += 1
        path.write_bytes(made)
        try:
            load(path)
        except CheckpointError as error:
            if "\n" in str(error) or not str(error).startswith(f"{path}: "):
                failures.append(f"{name}: {error}")
        except BaseException as error:
            failures.append(f"{name}: {type(error).__name__}: {error}")
        else:
            failures.append(f"{name}: silent")
    return tried, failures
