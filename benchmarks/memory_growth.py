"""How the peak memory of `charlm train` grows with the model's sizes and with the corpus.

The arithmetic beside it is that of one step, which a longer corpus does not change. Imports no
torch, so that the memory of the processes that it starts is their own.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.commands import CHARLM, cost
from benchmarks.growth import Curve, report
from benchmarks.harness import Row, Spread
from benchmarks.results import RESULTS
from benchmarks.texts import make_text

Axes = Mapping[str, Sequence[int]]
POINT = {"hidden": 256, "layers": 1, "batch": 32, "bptt": 64}
OPTIONS = {"hidden": "--hidden-size", "layers": "--layers", "batch": "--batch-size"}
NAMES = {"hidden": "hidden size", "layers": "layers", "batch": "batch", "bptt": "BPTT"}
AXES: Axes = {
    "hidden": (256, 512, 1024, 2048),
    "layers": (1, 2, 4, 8),
    "batch": (64, 128, 256, 512),
    "bptt": (128, 256, 512, 1024),
}
TEXT = 2 * 10**5  # bytes of the first four curves' corpus
SHORT = ("--valid-fraction", "0.02")  # its validation, which has no part in the peak
SIZES = (10**6, 10**7, 10**8, 10**9)  # bytes of the fifth's
STEPS, RUNS = 2, 2
EMBEDDING, VOCABULARY = 64, 67
TITLE = "peak memory of `charlm train`"


def run(
    axes: Axes = AXES, sizes: Sequence[int] = SIZES, runs: int = RUNS, folder: Path = RESULTS
) -> Iterator[Row]:
    """A curve for each axis; of the first four what is more than the libraries alone need."""
    with tempfile.TemporaryDirectory() as name:
        text = make_text(Path(name) / "text.txt", TEXT)
        idle = cost([sys.executable, "-c", "import charlm.run"]).megabytes
        curves = [_against(text, axis, values, idle, runs) for axis, values in axes.items()]
        yield from report([*curves, _against_corpus(text, sizes)], "memory-growth", folder)


def _against(text: Path, axis: str, values: Sequence[int], idle: float, runs: int) -> Curve:
    """By how much threads overlap differs from run to run, and the peak with it."""
    points = [{**POINT, axis: value} for value in values]
    peaks = [[max(_peak(text, point, *SHORT) - idle, 1.0) for _ in range(runs)] for point in points]
    return _curve(
        f"{TITLE} beyond its libraries'",
        NAMES[axis],
        values,
        peaks,
        [_work(point) for point in points],
    )


def _against_corpus(path: Path, sizes: Sequence[int]) -> Curve:
    peaks = [[_peak(make_text(path, size), POINT)] for size in sizes]
    megabytes = [size / 1e6 for size in sizes]
    return _curve(TITLE, "corpus size (MB)", megabytes, peaks, [_work(POINT)] * len(sizes))


def _curve(
    title: str, axis: str, values: Sequence[float], peaks: list[list[float]], work: list[float]
) -> Curve:
    measured = [Spread.of(found) for found in peaks]
    return Curve(title, "MB", axis, values, measured, work, "operations a step")


def _peak(text: Path, point: Mapping[str, int], *others: str) -> float:
    """MB at the peak of a short run."""
    output = text.with_name("model.safetensors")
    options = [word for key, value in point.items() for word in (_option(key), str(value))]
    options += ["--embedding-size", str(EMBEDDING), "--steps", str(STEPS), "--quiet", "--force"]
    return cost([*CHARLM, "train", str(text), "-o", str(output), *options, *others]).megabytes


def _option(key: str) -> str:
    return OPTIONS.get(key, f"--{key}")


def _work(point: Mapping[str, int]) -> float:
    """Floating-point operations of the products of one step of an LSTM, forward and backward."""
    hidden, layers = point["hidden"], point["layers"]
    inputs = EMBEDDING + (layers - 1) * hidden
    weights = 4 * hidden * (inputs + layers * hidden) + VOCABULARY * hidden
    return 6.0 * weights * point["batch"] * point["bptt"]
