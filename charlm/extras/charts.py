"""Charts as shapes in a small frame, to be written as SVG: paths, ticks and labels.

One unit is about a pixel, so that text stays readable on a phone. Lines differ in their style as
well as in colour and are named where they end. Knows numbers; knows nothing about models or pages.
"""

import dataclasses
import math
from collections.abc import Sequence

Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT = 360.0, 232.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 78.0, 12.0, 40.0  # margins
LABEL = 13.0  # the least distance between two labels
GREATEST = 1e270  # on a logarithmic axis: matplotlib's margin above must be a float


@dataclasses.dataclass(frozen=True)
class Line:
    """A named course of values; `dots` draws each point alone."""

    name: str
    points: Points
    dots: bool = False


@dataclasses.dataclass(frozen=True)
class Chart:
    """Lines over one pair of axes."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    log_y: bool = False
    y_range: tuple[float, float] | None = None
    x_range: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Tick:
    """A value on an axis: where it stands and how it is written."""

    at: float
    text: str


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A chart as shapes: `lines` are (number, path, name, x and y of the name, dots)."""

    chart: Chart
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[tuple[int, str, str, float, float, bool]]

    left, right, top, bottom = LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM
    width, height = WIDTH, HEIGHT


def draw(chart: Chart) -> Drawn:
    """Scales the lines into the frame; what its axes do not have is left out."""
    kept = [drawable(line.points, chart.log_y) for line in chart.lines]
    xs = [x for points in kept for x, _ in points]
    ys = [y for points in kept for _, y in points]
    x_scale = Scale.of(chart.x_range or _ends(xs), LEFT, WIDTH - RIGHT)
    y_scale = Scale.of(chart.y_range or _ends(ys), HEIGHT - BOTTOM, TOP, chart.log_y)
    placed = {
        k: [(x_scale(x), y_scale(y)) for x, y in points] for k, points in enumerate(kept) if points
    }
    heights = spread([points[-1][1] for points in placed.values()], LABEL, TOP)
    return Drawn(
        chart,
        x_scale.ticks(5),
        y_scale.ticks(5),
        [
            (k, _path(points, line.dots), line.name, WIDTH - RIGHT + 6, height + 3.5, line.dots)
            for (k, points), height in zip(placed.items(), heights, strict=True)
            for line in [chart.lines[k]]
        ],
    )


def drawable(points: Points, log_y: bool) -> list[tuple[float, float]]:
    """The points that an axis has: those of finite values, on a logarithmic one 0 < y < 10²⁷⁰."""
    low, high = (0.0, GREATEST) if log_y else (-math.inf, math.inf)
    return [(x, y) for x, y in points if low < y < high]


@dataclasses.dataclass(frozen=True)
class Scale:
    """From values to places, in equal steps or, with `log`, equal factors.

    low and high are values or, with `log`, powers of ten, as 10³⁰⁹ is no float.
    """

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    @classmethod
    def of(cls, ends: tuple[float, float], begin: float, end: float, log: bool = False) -> "Scale":
        """A scale over the values; where all are the same it is opened around them."""
        low, high = ends
        if log:
            low, high = math.floor(math.log10(low)), math.ceil(math.log10(high))
            return cls(low, max(high, low + 1), begin, end, True)
        if high <= low:
            low, high = low - 0.5, high + 0.5
        return cls(low, high, begin, end)

    def __call__(self, value: float) -> float:
        return self._place(math.log10(value) if self.log else value)

    def _place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self, most: int) -> list[Tick]:
        """Round values within the scale, about `most` of them."""
        if self.log:
            first, last = int(self.low), int(self.high)
            step = max(1, math.ceil((last - first) / most))
            powers = range(first, last + 1, step)
            return [Tick(self._place(power), power_of_ten(power)) for power in powers]
        values = steps(self.low, self.high, most)
        return [Tick(self._place(value), written(value)) for value in values]


def steps(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 × 10ⁿ from low to high, at most about `most` of them.

    >>> steps(0.2, 3.9, 5)
    [1.0, 2.0, 3.0]
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_ten(exponent: int) -> str:
    """`10⁻⁴`."""
    return "10" + str(exponent).translate(_RAISED)


def written(value: float) -> str:
    """A tick's number: 0.5, 20, 1.5k, 10M.

    >>> [written(value) for value in (0.25, 40.0, 1500.0)]
    ['0.25', '40', '1.5k']
    """
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def factor(value: float) -> str:
    """A tick's number on an axis of equal factors: 0.02 or 500, beyond that 10⁻⁴ or 5 × 10⁻⁴.

    >>> [factor(value) for value in (0.02, 500.0, 1e-4, 5e-4, 2e5)]
    ['0.02', '500', '10⁻⁴', '5 × 10⁻⁴', '2 × 10⁵']
    """
    if 1e-3 <= value < 1e5 or not 0 < value < math.inf:  # 10⁻⁴⁰⁰ is 0 to a float
        return f"{value:g}"
    exponent = math.floor(math.log10(value) + 1e-9)
    digit = round(10 ** (math.log10(value) - exponent))
    return power_of_ten(exponent) if digit == 1 else f"{digit} × {power_of_ten(exponent)}"


def spread(places: Sequence[float], least: float, low: float = -math.inf) -> list[float]:
    """The places moved as little as makes neighbours `least` apart, in the same order, from low on.

    >>> spread([10.0, 12.0, 40.0], 6)
    [8.0, 14.0, 40.0]
    >>> spread([10.0, 12.0, 40.0], 6, 9)
    [9.0, 15.0, 40.0]
    """
    order = sorted(range(len(places)), key=lambda k: places[k])
    groups: list[tuple[float, int]] = []  # middle and size of labels that stand close together
    for k in order:
        middle, size = max(places[k], low), 1
        while groups and middle - groups[-1][0] < (size + groups[-1][1]) / 2 * least:
            other, others = groups.pop()
            middle = (middle * size + other * others) / (size + others)
            size += others
            middle = max(middle, low + (size - 1) / 2 * least)
        groups.append((middle, size))
    flat = [middle + (k - (size - 1) / 2) * least for middle, size in groups for k in range(size)]
    moved = [0.0] * len(places)
    for k, place in zip(order, flat, strict=True):
        moved[k] = place
    return moved


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return (min(values), max(values)) if values else (0.1, 1.0)


def _path(points: Points, dots: bool) -> str:
    """An SVG path; a dot is a line of no length with round ends."""
    if dots:
        return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
    if len(points) == 1:
        return f"M{points[0][0]:.1f} {points[0][1]:.1f}h0"
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
