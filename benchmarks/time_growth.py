"""How the time of training per character grows with hidden size, layers, batch and BPTT."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.growth import Curve, report
from benchmarks.harness import Row, alternate
from benchmarks.results import RESULTS
from benchmarks.trainer import (
    FORWARD_AND_BACKWARD,
    LEAST,
    VOCABULARY,
    network,
    operations,
    trainer,
)
from charlm.config import ModelConfig
from charlm.corpus import Tokens
from charlm.planning import TYPICAL_MINUTES, Machine, plan

Axes = Mapping[str, Sequence[int]]


@dataclasses.dataclass(frozen=True)
class Point:
    """What is trained; an axis changes one of its sizes."""

    hidden: int = 256
    layers: int = 1
    batch: int = 32
    bptt: int = 64

    @property
    def model(self) -> ModelConfig:
        """An LSTM of characters."""
        return network("lstm", self.layers, self.hidden)


AXES: Axes = {
    "hidden": (64, 128, 256, 512, 1024),
    "layers": (1, 2, 3, 4),
    "batch": (8, 16, 32, 64, 128),
    "bptt": (16, 32, 64, 128, 256),
}
LONG_AXES: Axes = {
    "hidden": (32, 64, 128, 256, 512, 1024, 2048),
    "layers": (1, 2, 3, 4, 6, 8),
    "batch": (1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
    "bptt": (4, 8, 16, 32, 64, 128, 256, 512, 1024),
}
NAMES = {
    "hidden": "hidden size in planned windows",
    "layers": "layers",
    "batch": "batch",
    "bptt": "BPTT",
}
TITLE = "training time per character"


def run(
    axes: Axes = AXES, runs: int = 5, least: float = LEAST, folder: Path = RESULTS
) -> Iterator[Row]:
    """A curve for each axis, the points of an axis in turn."""
    yield from _run(axes, runs, least, "time-growth", folder)


def run_long(
    axes: Axes = LONG_AXES, runs: int = 7, least: float = 1.0, folder: Path = RESULTS
) -> Iterator[Row]:
    """The same over wider ranges."""
    yield from _run(axes, runs, least, "time-growth-long", folder)


def _with_planned_window(point: Point, machine: Machine) -> Point:
    """With the batch and BPTT that charlm itself gives a layer so wide."""
    text = Tokens(np.zeros(10**6, np.uint8), 10**6, 10**6, per_line=False)
    chosen = {"hidden_size": point.hidden, "minutes": TYPICAL_MINUTES}
    _, config = plan(text, VOCABULARY, machine, chosen)
    return dataclasses.replace(point, batch=config.batch_size, bptt=config.bptt)


def _run(axes: Axes, runs: int, least: float, name: str, folder: Path) -> Iterator[Row]:
    machine = Machine.probe("cpu")

    def time_of(point: Point) -> Callable[[], float]:
        precision, threads = machine.precision, machine.threads
        rate = trainer(point.model, point.batch, point.bptt, precision, threads, least=least)
        return lambda: 1e6 / rate()

    def curve(axis: str, values: Sequence[int]) -> Curve:
        points = [dataclasses.replace(Point(), **{axis: value}) for value in values]
        if axis == "hidden":
            points = [_with_planned_window(point, machine) for point in points]
        measured = alternate(runs, *map(time_of, points))
        work = [FORWARD_AND_BACKWARD * operations(point.model) for point in points]
        return Curve(TITLE, "µs", NAMES[axis], values, measured, work, "operations a character")

    yield from report([curve(axis, values) for axis, values in axes.items()], name, folder)
