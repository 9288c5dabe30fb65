"""Pictures in plain text: curves on a logarithmic axis, told apart by letters, not by colour.

On a narrow terminal they are as wide as fits. Knows nothing about what the numbers mean.
"""

import math
from collections.abc import Mapping, Sequence

from charlm.cli.terminal import room

LEVELS = " ▏▎▍▌▋▊▉█"


def log_chart(
    curves: Mapping[str, Sequence[float]], *, width: int = 64, height: int = 16
) -> list[str]:
    """Curves over 1, 2, 3, …, each drawn with its key, a single letter.

    The ordinate is a power of ten a label. Values that are no positive number are left out. Where
    curves run together their letters take turns, so that none hides another.

    >>> curves = {"a": [1, 0.1, 0.01], "b": [1] * 3, "c": [1] * 3}
    >>> for line in log_chart(curves, height=3): print(line)
     10^0 ┤acb
    10^-1 ┤ a
    10^-2 ┤  a
          └───
           1 3
    """
    longest = max(map(len, curves.values()))
    points = {
        letter: [(k, math.log10(y)) for k, y in enumerate(values) if 0 < y < math.inf]
        for letter, values in curves.items()
    }
    exponents = [y for curve in points.values() for _, y in curve] or [0.0]
    low, high = math.floor(min(exponents)), math.ceil(max(exponents))
    high = max(high, low + 1)
    powers = {exponent: f"10^{exponent}" for exponent in range(low, high + 1)}
    width = min(room(width, max(map(len, powers.values())) + len(" ┤")), longest)
    across, down = (width - 1) / max(longest - 1, 1), (height - 1) / (high - low)
    places = [[""] * width for _ in range(height)]  # the letters of every curve that is there
    for letter, curve in points.items():
        for k, y in curve:
            row, column = round((high - y) * down), round(k * across)
            places[row][column] += letter if letter not in places[row][column] else ""
    grid = [[_turn(letters, column) for column, letters in enumerate(row)] for row in places]
    labels = [""] * height
    for exponent, power in powers.items():
        labels[round((high - exponent) * down)] = power
    return _framed(grid, labels, longest)


def _turn(letters: str, column: int) -> str:
    return letters[column % len(letters)] if letters else " "


def _framed(grid: list[list[str]], labels: list[str], last: int) -> list[str]:
    """The drawing with its axes; below, 1 and the last number."""
    left, width = max(map(len, labels)), len(grid[0])
    rows = [
        f"{label:>{left}} ┤{''.join(row).rstrip()}" for label, row in zip(labels, grid, strict=True)
    ]
    ends = "1" + f"{last}".rjust(width - 1) if width > len(f"{last}") else "1"
    return [*rows, " " * left + " └" + "─" * width, " " * left + "  " + ends]


def bars(labels: Sequence[str], shares: Sequence[float], *, width: int = 40) -> list[str]:
    """A labelled bar for each share, the greatest as wide as there is room.

    >>> for line in bars(["low", "high"], [0.25, 0.75], width=6): print(line)
     low ██      25.0 %
    high ██████  75.0 %
    """
    most, wide = max([*shares, 1e-12]), max(map(len, labels))
    width = room(width, wide + len("   100.0 %"))
    return [
        f"{label:>{wide}} {_bar(share / most * width).ljust(width)}  {share:.1%}".replace("%", " %")
        for label, share in zip(labels, shares, strict=True)
    ]


def _bar(length: float) -> str:
    eighths = round(length * 8)
    return "█" * (eighths // 8) + LEVELS[eighths % 8].strip()
