"""Mutated checkpoints with right digests, for so many seconds: each is read or refused.

With atheris the mutations are guided by coverage (`python -m tests.torture.fuzz SECONDS`, where
atheris is installed), without it they are random.
"""

import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PIECES = [b"{", b"}", b"[", b"]", b'"', b",", b":", b"-", b"9" * 30, b"null", b"true", b"1e999"]


def seal(content: bytes) -> bytes:
    """The file with the digests that its mutated header and data ask for."""
    import hashlib
    import re

    from torture.malformed import sealed

    length = min(int.from_bytes(content[:8], "little"), len(content))
    header, data = content[8 : 8 + length], content[8 + length :]
    digest = hashlib.sha256(data).hexdigest().encode()
    header = re.sub(rb'\\"data\\": \\"\w*', rb'\\"data\\": \\"' + digest, header, count=1)
    header = re.sub(rb'\\"digest\\": \\"\w*', rb'\\"digest\\": \\"' + b"0" * 64, header, count=1)
    return sealed(header.rstrip(b" "), data)


def read(content: bytes, path: Path) -> str:
    """What is wrong with how a file is read or refused, or ''."""
    from charlm.checkpoint import load  # not sooner, lest atheris cannot watch it
    from charlm.errors import CheckpointError

    path.write_bytes(content)
    try:
        load(path)
    except CheckpointError as error:
        return f"more than a line: {error}" if "\n" in str(error) else ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def mutated(content: bytes, draw: random.Random) -> bytes:
    """A few changes, most of them in the header."""
    made = bytearray(content)
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(8, header) if draw.random() < 0.9 else draw.randrange(len(made))
        size = draw.choice([0, 1, 1, 2, 8, 40])
        new = draw.choice([draw.choice(PIECES), draw.randbytes(size), made[at // 2 :][:size]])
        made[at : at + size] = new
    grown = len(made) - len(content)
    made[:8] = max(0, header - 8 + grown).to_bytes(8, "little")
    return bytes(made)


def fuzz(seconds: float, seeds: list[bytes], folder: Path) -> tuple[int, list[str]]:
    """Random mutations for so long."""
    draw = random.Random(1)
    tried, failures = 0, []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        made = mutated(draw.choice(seeds), draw)
        for content in (made, seal(made)):
            tried += 1
            if wrong := read(content, folder / "fuzzed"):
                failures.append(f"{wrong}: {content[:300]!r}")
    return tried, failures


def main() -> None:
    """Fuzzes with atheris; its own messages say how many inputs it has tried."""
    import atheris

    with atheris.instrument_imports(include=["charlm"]):
        import charlm.checkpoint
    folder = Path(tempfile.mkdtemp())
    corpus = folder / "corpus"
    corpus.mkdir()
    for golden in (HERE.parent / "golden").glob("*.safetensors"):
        (corpus / golden.stem).write_bytes(golden.read_bytes())

    def one(content: bytes) -> None:
        made = seal(content) if len(content) > 8 else content
        if wrong := read(made, folder / "fuzzed"):
            raise AssertionError(wrong)

    seconds = sys.argv[1] if len(sys.argv) > 1 else "3600"
    limits: list[Any] = [f"-max_total_time={seconds}", "-max_len=20000", "-rss_limit_mb=2000"]
    atheris.Setup([sys.argv[0], str(corpus), *limits], one)
    assert charlm.checkpoint
    atheris.Fuzz()


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    main()
