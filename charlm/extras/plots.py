"""Pictures of trainings and models, by matplotlib: as PNG or SVG, the same bytes every time.

Lines differ in style and in lightness and are named where they end, so that a picture can be read
in grey and without a legend. Knows numbers and how they are drawn; reads no files and no models.
"""

import dataclasses
import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from charlm.extras.charts import drawable, factor, spread
from charlm.figures import on_one_line
from charlm.novelty import LENGTHS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from charlm.extras.runs import Points, Run
    from charlm.extras.temperatures import Written
    from charlm.gradients import Flow
    from charlm.probing import Accuracy

COLOURS = ("#0b3c7d", "#c2570c", "#4d8f5b", "#8d5fb0", "#6f6f6f", "#b8860b")
STYLES = ("-", "--", ":", "-.")
LOSSES = {"train_nats": "training", "valid_nats": "validation"}
BESIDE = 0.08  # of the width: names nearer to one another than this stand apart in height
MISSING = r"Glyph \d+ |Matplotlib currently does not support "  # what its font lacks is a box
SIZE = (7.2, 4.2)  # inches of one pair of axes
SETTINGS: dict[Any, Any] = {
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#dddddd",
    "lines.linewidth": 1.8,
    "text.parse_math": False,
    "svg.hashsalt": "charlm",
    "savefig.dpi": 150,
    "figure.constrained_layout.use": True,
}


@dataclasses.dataclass(frozen=True)
class Curve:
    """A named course of values, with the ends of each value's interval where it has one."""

    name: str
    points: "Points"
    interval: Sequence[tuple[float, float]] = ()
    marked: bool = False  # a dot at each point
    look: tuple[int, int] | None = None  # which colour and which style; by default by its place


def learning(runs: Sequence["Run"], over: str) -> "Figure":
    """Loss in training and validation: bits per character where every run says how, else nats."""
    known = [run.bits for run in runs if run.bits is not None]
    in_bits = len(known) == len(runs)
    curves = []
    for k, run in enumerate(runs):
        scale = (run.bits or 1.0) if in_bits else 1.0
        for style, (field, what) in enumerate(LOSSES.items()):
            wanted = field == "train_nats"  # which refuses a run that has none
            if wanted or any(record.get(field) is not None for record in run.records):
                name = what if len(runs) == 1 else f"{run.name}, {what}"
                look = None if len(runs) == 1 else (k, style)
                curves.append(Curve(name, run.points(field, over, scale), look=look))
    label = "loss, bits per character" if in_bits else "loss, nats per token"
    return one(curves, _across(over), label)


def perplexity(runs: Sequence["Run"], over: str) -> "Figure":
    """exp of the validation loss."""
    curves = [
        Curve(run.name, [(x, math.exp(min(y, 50.0))) for x, y in run.points("valid_nats", over)])
        for run in runs
    ]
    return one(curves, _across(over), "validation perplexity, per token", log_y=True)


def rate(runs: Sequence["Run"], over: str) -> "Figure":
    """The learning rate."""
    curves = [Curve(run.name, run.points("learning_rate", over)) for run in runs]
    return one(curves, _across(over), "learning rate")


def gradient(runs: Sequence["Run"], over: str) -> "Figure":
    """The gradient's norm before clipping, and the share of steps clipped, one above the other."""
    norms = [Curve(run.name, run.points("gradient_norm", over)) for run in runs]
    shares = [Curve(run.name, run.points("clipped", over)) for run in runs]
    figure, (above, below) = _figure(2)
    _draw(above, norms, _across(over), "gradient norm before clipping", log_y=True)
    _draw(below, shares, _across(over), "share of steps clipped", y_range=(-0.02, 1.02))
    return figure


def samples(names: Sequence[str], texts: Sequence[Sequence["Written"]]) -> "Figure":
    """Entropy against temperature and, where a corpus was given, the shares that are new."""
    entropy = [
        Curve(name, [(one.temperature, one.entropy) for one in of], marked=True, look=(k, 0))
        for k, (name, of) in enumerate(zip(names, texts, strict=True))
    ]
    alone = len(names) == 1
    novel = [
        Curve(what if alone else f"{name}, {what}", points, (), True, None if alone else (k, style))
        for k, (name, of) in enumerate(zip(names, texts, strict=True))
        for style, (what, points) in enumerate(_new(of).items())
        if points
    ]
    figure, axes = _figure(2 if novel else 1)
    _draw(axes[0], entropy, "temperature", "entropy, bits per character")
    if novel:
        axes[1].sharex(axes[0])
        _draw(axes[1], novel, "temperature", "share not in the corpus", y_range=(-0.02, 1.02))
    return figure


def _new(written: Sequence["Written"]) -> dict[str, "Points"]:
    """By temperature the shares of spans and, per line, of lines that are new, where known."""
    known = [(one.temperature, one.novelty) for one in written if one.novelty]
    shares = {f"spans of {n}": [(t, of.new_spans[n]) for t, of in known] for n in LENGTHS}
    shares["lines"] = [(t, of.new_lines) for t, of in known]
    return {
        what: [(t, share) for t, share in points if share is not None]
        for what, points in shares.items()
    }


def flows(found: Sequence["Flow"]) -> "Figure":
    """The gradient's norm against how many steps back, a line for each layer of each model."""
    curves = [
        Curve(
            flow.name if len(flow.mean) == 1 else f"{flow.name}, layer {layer}",
            list(zip(flow.steps.tolist(), norms.tolist(), strict=True)),
        )
        for flow in found
        for layer, norms in enumerate(flow.mean, 1)
    ]
    return one(curves, "steps back", "norm of the loss's gradient by the state", log_y=True)


Distances = Sequence[tuple[int, int, "Accuracy"]]


def probes(names: Sequence[str], groups: Mapping[str, Sequence[Distances]]) -> "Figure":
    """Accuracy by distance with its 95 % interval, one above the other for each group of pairs."""
    figure, axes = _figure(len(groups))
    for (group, curves), pair in zip(groups.items(), axes, strict=True):
        drawn = [
            Curve(
                name,
                [((first + last) / 2, accuracy.share) for first, last, accuracy in distances],
                [accuracy.interval for _, _, accuracy in distances],
                marked=True,
            )
            for name, distances in zip(names, curves, strict=True)
        ]
        pair.axhline(0.5, color="#999999", linewidth=0.8)
        title = f"{on_one_line(group) or 'all pairs'} (the line is chance)"
        pair.set_title(title, loc="left", fontsize=10)
        _draw(pair, drawn, "distance, characters", "share right", y_range=(-0.02, 1.02))
    return figure


def one(curves: Sequence[Curve], x_label: str, y_label: str, log_y: bool = False) -> "Figure":
    """A figure of one pair of axes."""
    figure, (axes,) = _figure(1)
    _draw(axes, curves, x_label, y_label, log_y=log_y)
    return figure


def image(figure: "Figure", form: str) -> bytes:
    """The picture as "png" or "svg", without a date or a version in it."""
    empty: dict[str, Any] = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    file = io.BytesIO()
    with _settings(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=MISSING)
        figure.savefig(file, format=form, metadata=empty[form])
    return file.getvalue()


def _across(over: str) -> str:
    return "seconds" if over == "seconds" else "steps"


@contextmanager
def _settings() -> Iterator[None]:
    """The same for everybody, whatever a user's own settings of matplotlib say."""
    import matplotlib
    import numpy as np

    with matplotlib.rc_context(), np.errstate(over="ignore"):  # of ticks beyond a high axis
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


def _figure(rows: int) -> tuple["Figure", list["Axes"]]:
    from matplotlib.figure import Figure

    with _settings():
        figure = Figure(figsize=(SIZE[0], SIZE[1] * (1 if rows == 1 else 0.8 * rows)))
        axes = [figure.add_subplot(rows, 1, row + 1) for row in range(rows)]
    return figure, axes


def _draw(
    axes: "Axes",
    curves: Sequence[Curve],
    x_label: str,
    y_label: str,
    *,
    log_y: bool = False,
    y_range: tuple[float, float] | None = None,
) -> None:
    """Draws the curves that have points on the axes, each named at its end."""
    drawn = [dataclasses.replace(one, points=drawable(one.points, log_y)) for one in curves]
    curves = [curve for curve in drawn if curve.points]
    with _settings():
        for k, curve in enumerate(curves):
            _draw_curve(axes, curve, _look(curve, k))
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        if log_y:
            _scale_by_factors(axes)
        if y_range:
            axes.set_ylim(*y_range)
        _name(axes, curves)


def _draw_curve(axes: "Axes", curve: Curve, look: tuple[str, str]) -> None:
    colour, style = look
    xs, ys = zip(*curve.points, strict=True)
    marker = "o" if curve.marked or len(xs) == 1 else None
    axes.plot(xs, ys, color=colour, linestyle=style, marker=marker, markersize=4)
    if curve.interval:
        low, high = zip(*curve.interval, strict=True)
        axes.fill_between(xs, low, high, color=colour, alpha=0.12, linewidth=0)


def _look(curve: Curve, place: int) -> tuple[str, str]:
    """Colour and style of a line: by place no two of the first twelve are the same."""
    colour, style = curve.look or (place, place)
    return COLOURS[colour % len(COLOURS)], STYLES[style % len(STYLES)]


def _name(axes: "Axes", curves: Sequence[Curve]) -> None:
    """Each curve's name where it ends; names beside one another stand apart in height."""
    if not curves:
        return
    axes.autoscale_view()  # sets the limits now, which places in the picture depend on
    to_axes = axes.transScale + axes.transLimits
    ends = [(float(x), float(y)) for x, y in to_axes.transform([c.points[-1] for c in curves])]
    ends = [(1.0 if x > 1 - BESIDE else x, y) for x, y in ends]
    for group in _beside([x for x, _ in ends]):
        heights = spread([ends[k][1] for k in group], 0.055)
        for k, height in zip(group, heights, strict=True):
            axes.annotate(
                on_one_line(curves[k].name),
                (ends[k][0], height),
                xycoords="axes fraction",
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                color=_look(curves[k], k)[0],
                annotation_clip=False,
            )


def _beside(places: Sequence[float]) -> list[list[int]]:
    """Groups of places, by number, each within BESIDE of the one before it."""
    groups: list[list[int]] = []
    for k in sorted(range(len(places)), key=places.__getitem__):
        if groups and places[k] - places[groups[-1][-1]] < BESIDE:
            groups[-1].append(k)
        else:
            groups.append([k])
    return groups


def _scale_by_factors(axes: "Axes") -> None:
    """Equal factors in equal steps: at powers of ten and, where these are few, at 2 and 5 times."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 1000 * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: factor(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
