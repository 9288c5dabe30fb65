"""What simpler means make of a text: the figures that a model's are put beside.

Each knows only the text itself. Knows texts; knows nothing about models.
"""

import bz2
import lzma
import math
from collections import Counter
from typing import Any

from charlm.text import Text


def baselines(text: Text) -> dict[str, float]:
    """Bits per character by name: uniform, the characters' counts, bz2 and xz."""
    counts: Counter[str] = Counter()
    for chunk in text.chunks():
        counts.update(chunk)
    total = text.characters
    shares = [count / total for count in counts.values()]
    return {
        "uniform over its characters": math.log2(len(counts)),
        "character counts": -sum(share * math.log2(share) for share in shares),
        "bz2": _compressed(text, bz2.BZ2Compressor(9)),
        "xz": _compressed(text, lzma.LZMACompressor(preset=6)),
    }


def _compressed(text: Text, compressor: Any) -> float:
    size = sum(len(compressor.compress(chunk.encode())) for chunk in text.chunks())
    return 8 * (size + len(compressor.flush())) / text.characters
