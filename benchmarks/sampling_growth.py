"""How the time of sampling grows with the number of sequences written at once, 1 to 1,000."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.growth import Curve, report
from benchmarks.harness import Row, Spread, alternate, seconds
from benchmarks.results import RESULTS
from benchmarks.sampling import CONFIG, random_weights, write
from benchmarks.trainer import operations
from charlm.bulk import TorchEngine
from charlm.config import ModelConfig
from charlm.inference import Engine, NumpyEngine

COUNTS = (1, 2, 4, 10, 32, 100, 320, 1000)
TOKENS = 1000  # of one measurement, at least STEPS steps
STEPS = 20
TITLE = "time of a step of sampling"


def run(
    config: ModelConfig = CONFIG,
    counts: Sequence[int] = COUNTS,
    runs: int = 5,
    folder: Path = RESULTS,
) -> Iterator[Row]:
    """The step's time by whichever engine is the faster at that number of sequences."""
    weights = random_weights(config)
    engines: list[Engine] = [NumpyEngine(config, weights), TorchEngine.of(config, weights)]
    functions = [_step(engine, count) for engine in engines for count in counts]
    spreads = alternate(runs, *functions)
    measured = [
        min(either, key=lambda spread: spread.median)
        for either in zip(spreads[: len(counts)], spreads[len(counts) :], strict=True)
    ]
    yield from report([_curve(config, counts, measured)], "sampling-growth", folder)


def _curve(config: ModelConfig, counts: Sequence[int], measured: Sequence[Spread]) -> Curve:
    title = f"{TITLE}, {config.layers} × {config.hidden_size}"
    work = [float(operations(config) * count) for count in counts]
    return Curve(title, "ms", "sequences", counts, measured, work, "operations a step")


def _step(engine: Engine, count: int) -> Callable[[], float]:
    steps = max(STEPS, TOKENS // count)
    return lambda: 1000 * seconds(lambda: write(engine, count, steps)) / steps
