"""How a cost grows beside the arithmetic's own growth: the table, the picture, the rows.

Between two neighbouring points the cost may grow as the arithmetic does, or less; where it grows
more, by more than a tenth, the row says so. Knows nothing of what is measured; the benchmarks are
`time_growth`, `memory_growth` and `sampling_growth`.
"""

import dataclasses
import itertools
import json
import math
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.harness import Row, Spread, described, machine, table
from benchmarks.results import RESULTS, dated

TOLERANCE = 1.1  # of one step's growth over the arithmetic's, for the noise of a timing
COLOURS = ("#0b3c7d", "#c2570c")


@dataclasses.dataclass(frozen=True)
class Curve:
    """A cost at rising values of one size, and the floating-point operations behind it.

    title: what, "training time per character"; axis: over what, "hidden size".
    """

    title: str
    unit: str
    axis: str
    values: Sequence[float]
    measured: Sequence[Spread]
    arithmetic: Sequence[float]  # operations of a character, of a step, of a text, as `work` says
    work: str

    @property
    def costs(self) -> list[float]:
        """The medians."""
        return [spread.median for spread in self.measured]

    def ratios(self) -> list[float]:
        """Of each step to the next value: the cost's growth over the arithmetic's."""
        growths = zip(_growths(self.costs), _growths(self.arithmetic), strict=True)
        return [cost / own for cost, own in growths]


def _growths(values: Sequence[float]) -> list[float]:
    return [after / before for before, after in itertools.pairwise(values)]


def row(curve: Curve) -> Row:
    """From the first value to the last, and the step that is worst."""
    ratios = curve.ratios()
    worst = max(range(len(ratios)), key=ratios.__getitem__)
    cost, own = (values[-1] / values[0] for values in (curve.costs, curve.arithmetic))
    return Row(
        f"{curve.title} against {curve.axis}, {_number(curve.values[0])} to "
        f"{_number(curve.values[-1])}",
        "times",
        f"the arithmetic's, at most × {TOLERANCE} at any step",
        f"{own:.3g}",
        f"{cost:.3g}; the worst step × {ratios[worst]:.2f}, "
        f"{_number(curve.values[worst])} to {_number(curve.values[worst + 1])}",
        cost / own,
        ratios[worst] <= TOLERANCE,
    )


def report(curves: Sequence[Curve], name: str, folder: Path = RESULTS) -> Iterator[Row]:
    """Writes the points as JSON and tables and draws them; gives a row for each curve."""
    stem, about = dated(name, folder), machine()
    record = {"machine": about, "curves": [dataclasses.asdict(curve) for curve in curves]}
    Path(f"{stem}.json").write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    tables = "".join(f"\n## {_title(curve)}\n\n{markdown(curve)}" for curve in curves)
    text = f"Measured on: {described(about)}.\n\n![{name}]({stem.name}.png)\n{tables}"
    Path(f"{stem}.md").write_text(text, encoding="utf-8")
    draw(curves, Path(f"{stem}.png"))
    yield from map(row, curves)


def markdown(curve: Curve) -> str:
    """A line for each value."""
    before = [["–"] * 3]
    growths = zip(_growths(curve.costs), _growths(curve.arithmetic), curve.ratios(), strict=True)
    steps = [[f"{cost:.3g}", f"{own:.3g}", f"{ratio:.2f}"] for cost, own, ratio in growths]
    points = zip(curve.values, curve.measured, curve.arithmetic, before + steps, strict=True)
    columns = [curve.axis, curve.unit, curve.work, "growth", "arithmetic's growth", "ratio"]
    return table(
        columns,
        [[_number(value), str(cost), f"{own:.4g}", *rest] for value, cost, own, rest in points],
    )


def draw(curves: Sequence[Curve], path: Path) -> None:
    """A small picture: each cost beside a line that grows from its first point as the work does."""
    from matplotlib.figure import Figure

    across = min(2, len(curves))
    down = math.ceil(len(curves) / across)
    figure = Figure(figsize=(4.0 * across, 2.9 * down), dpi=90, layout="constrained")
    for number, curve in enumerate(curves, 1):
        axes = figure.add_subplot(down, across, number)
        own = [curve.costs[0] * each / curve.arithmetic[0] for each in curve.arithmetic]
        axes.loglog(curve.values, own, "--", color=COLOURS[1], label="as the arithmetic grows")
        axes.loglog(curve.values, curve.costs, "o-", color=COLOURS[0], label="measured")
        axes.set_xticks(curve.values, [_number(value) for value in curve.values])
        low, high = min(*own, *curve.costs), max(*own, *curve.costs)
        if high < 2 * low:  # a flat line is to look flat
            low, high = low / 1.5, high * 1.5
            axes.set_ylim(low, high)
        ticks = round_values(low, high)
        axes.set_yticks(ticks, [f"{tick:,.4g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel(curve.axis)
        axes.set_ylabel(curve.unit)
        axes.set_title(textwrap.fill(curve.title, 45), fontsize=9)
        axes.grid(axis="y", color="#dddddd")
    figure.axes[0].legend(fontsize=8, frameon=False)
    figure.savefig(path, metadata={"Software": None})


def round_values(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two values, or the two where there are few.

    >>> round_values(3, 60)
    [5.0, 10.0, 20.0, 50.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    within = [value for value in found if low <= value <= high]
    if len(within) > 8:
        within = [10.0**power for power in powers if low <= 10.0**power <= high]
    return within if len(within) > 1 else [low, high]


def _title(curve: Curve) -> str:
    return f"{curve.title[0].upper()}{curve.title[1:]} against {curve.axis}"


def _number(value: float) -> str:
    return f"{value:,.10g}"
