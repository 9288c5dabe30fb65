"""What simpler means make of a text: the figures that a model's are put beside.

Each knows only the text itself. Knows texts; knows nothing about models.
"""

import bz2
import lzma
import math
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

from charlm.text import Text


def baselines(text: Text, per_line: bool) -> dict[str, float]:
    """Bits per character by name: uniform, the characters' counts, bz2 and xz.

    Per line of what a per-line model reads: the lines that are not empty, each with its end.
    """

    def read() -> Iterator[str]:
        return chain.from_iterable(text.to_read(per_line))

    counts: Counter[str] = Counter()
    for chunk in read():
        counts.update(chunk)
    total = counts.total()
    shares = [count / total for count in counts.values()]
    return {
        "uniform over its characters": math.log2(len(counts)),
        "character counts": sum(share * math.log2(1 / share) for share in shares),
        "bz2": _compressed(read(), bz2.BZ2Compressor(9)) / total,
        "xz": _compressed(read(), lzma.LZMACompressor(preset=6)) / total,
    }


def _compressed(chunks: Iterator[str], compressor: Any) -> int:
    """Bits."""
    size = sum(len(compressor.compress(chunk.encode())) for chunk in chunks)
    return 8 * (size + len(compressor.flush()))
