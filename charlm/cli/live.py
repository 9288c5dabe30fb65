"""The lines that `charlm train` draws anew on a terminal: a bar, figures, a curve, a sample.

Knows how wide the terminal is; draws nothing itself.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from charlm.cli.terminal import NAME
from charlm.figures import bar, duration, perplexity, sparkline

if TYPE_CHECKING:
    from charlm.cli.terminal import Spans
    from charlm.progress import Progress
    from charlm.run import Run

SAMPLE_LENGTH = 69
LABELS = [
    ("step", "training", "gradient norm"),
    ("epoch", "validation", "clipped"),
    ("perplexity", "the best", "learning rate"),
]
WIDTHS = [(11, 12), (11, 19), (14, 10)]  # of each column's labels and figures
ALONE = 20  # columns of a label and its figure where each has a line of its own
UNIT = " bits/char"


def live_lines(
    run: "Run", progress: "Progress", valid: Sequence[float], sample: str, width: int
) -> list["Spans"]:
    """What is shown of a run on a terminal so wide.

    Figures come in three columns, in two, or where there is no room for these one a line.
    valid: the validations, in bits per character; sample: a text by the best weights so far.
    """
    room = width - 1
    columns = max((k for k in (2, 3) if room >= sum(map(sum, WIDTHS[:k]))), default=0)
    rows = _rows(run, progress, valid)
    speed = f"{progress.tokens_per_second / run.about.tokens_per_character:,.0f}"
    if columns:
        above = _in_columns(progress, speed, [row[:columns] for row in rows], room)
    else:
        above = _one_a_line(progress, speed, rows, room)
    curve = sparkline(valid, max(2, min(SAMPLE_LENGTH, room - 11)))
    return [
        *above,
        [("curve      ", NAME), (curve, "")],
        # Ctrl-C is echoed behind it, and must not begin a line of its own
        [("sample     ", NAME), (sample[: max(0, room - 13)], "")],
    ]


def _in_columns(
    progress: "Progress", speed: str, rows: Sequence[tuple[str, ...]], room: int
) -> list["Spans"]:
    left = f"{duration(progress.seconds_left)} left"
    figures = f"  {_percent(progress.fraction):>5}  {left:>12}  {speed:>10} characters/s"
    return [
        [(bar(progress.fraction, min(34, room - len(figures))), NAME), (figures, "")],
        *map(_row, LABELS, rows),
    ]


def _one_a_line(
    progress: "Progress", speed: str, rows: Sequence[tuple[str, ...]], room: int
) -> list["Spans"]:
    """Without those of the third column."""
    done = f"{_percent(progress.fraction)}  {duration(progress.seconds_left)} left"
    pairs = list(zip(LABELS, rows, strict=True))
    return [
        [(bar(progress.fraction, min(34, room)), NAME)],
        [(done, "")],
        _alone("characters/s", speed),
        *(_alone(labels[0], row[0]) for labels, row in pairs),
        [("bits per character", NAME)],
        *(_alone(f"  {labels[1]}", row[1].removesuffix(UNIT)) for labels, row in pairs),
    ]


def _rows(run: "Run", progress: "Progress", valid: Sequence[float]) -> list[tuple[str, str, str]]:
    """The figures that LABELS name."""
    bits = run.about.bits_per_nat
    best = None if progress.best_nats is None else progress.best_nats * bits
    return [
        (
            f"{progress.step:,}",
            _bits(progress.train_nats * bits),
            f"{progress.gradient_norm:.3f}",
        ),
        (
            f"{progress.epoch:.2f}",
            _bits(valid[-1] if valid else None),
            _percent(progress.clipped),
        ),
        (
            perplexity(progress.best_nats),
            _bits(best),
            f"{progress.learning_rate:.1e}",
        ),
    ]


def _row(labels: tuple[str, ...], values: tuple[str, ...]) -> "Spans":
    """As many labels as there are figures, and these."""
    spans = []
    for label, value, (left, right) in zip(labels, values, WIDTHS, strict=False):
        spans += [(f"{label:<{left}}", NAME), (f"{value:>{right - 3}}   ", "")]
    return spans


def _alone(label: str, value: str) -> "Spans":
    return [(label, NAME), (f"{value:>{ALONE - len(label)}}", "")]


def _bits(bits: float | None) -> str:
    return "–" if bits is None else f"{bits:.4f}{UNIT}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
