"""Training with --device cuda: characters a second, the share of the peak, seconds to a goal.

Where there is no GPU the rows are those that were recorded on one, if any. The peak is what a large
bfloat16 product reaches there.
"""

import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from benchmarks.commands import train
from benchmarks.harness import SHAKESPEARE, Row, alternate, not_measured, seconds
from benchmarks.products import best, ways
from benchmarks.quality import SMALL_GPT
from benchmarks.results import recorded
from benchmarks.trainer import (
    FORWARD_AND_BACKWARD,
    LEAST,
    network,
    operations,
    trainer,
)

SIZES = ((1, 512), (2, 1024), (3, 1840))
BATCH, BPTT = 256, 64
PEAK = 8192  # rows and columns of the product that finds the peak
GOAL = 20  # seconds, on one H200
BUDGETS = (1 / 6, 1 / 3, 2 / 3)  # minutes of the runs that are tried until one reaches the goal
LONG_BUDGETS = (0.1, 1 / 6, 0.25, 1 / 3, 0.5, 2 / 3, 1.0, 1.5, 3.0)
NO_GPU = "there is no GPU here"


def run(budgets: Sequence[float] = BUDGETS) -> Iterator[Row]:
    """The rows of a GPU, measured or not."""
    if torch.cuda.is_available():
        yield from speeds("cuda")
        yield time_to_goal("cuda", budgets)
        return
    rows = [(_named(*size), "characters/s", "–") for size in SIZES]
    for what, unit, goal in (*rows, (_goal_named("cuda"), "s", f"{GOAL} on one H200")):
        yield recorded(what) or not_measured(what, unit, goal, NO_GPU)


def run_long() -> Iterator[Row]:
    """The same with more budgets tried."""
    yield from run(LONG_BUDGETS)


def speeds(
    device: str,
    sizes: Sequence[tuple[int, int]] = SIZES,
    batch: int = BATCH,
    bptt: int = BPTT,
    peak: int = PEAK,
    runs: int = 5,
    least: float = LEAST,
    precision: str = "bfloat16",
) -> Iterator[Row]:
    """Characters a second of each size, beside those that the measured peak would allow."""
    for layers, hidden in sizes:
        model = network("lstm", layers, hidden)
        threads = torch.get_num_threads()
        ours, *rates = alternate(
            runs,
            trainer(model, batch, bptt, precision, threads, device=device, least=least),
            *ways(peak, peak, peak, precision, device),
        )
        work = FORWARD_AND_BACKWARD * operations(model)
        possible = best(rates).times(1 / work)
        share = ours.median / possible.median
        yield Row(
            _named(layers, hidden, device, precision, batch, bptt),
            "characters/s",
            "–",
            f"{possible} at the peak, {best(rates).median / 1e12:.4g} TFLOP/s",
            f"{ours}: {share:.1%} of the peak",
            share,
            None,
        )


def time_to_goal(
    device: str, budgets: Sequence[float], text: Path = SHAKESPEARE, goal: float = SMALL_GPT
) -> Row:
    """Seconds from the command to the first validation that is as good, by the least budget."""
    what, wanted = _goal_named(device, goal), f"{GOAL} on one H200"
    if not text.exists():
        return not_measured(what, "s", wanted, "../shared/corpora is not here")
    found = nats = wall = math.inf
    for minutes in budgets:
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "model.safetensors"
            options = ["--device", device, "--minutes", f"{minutes:.4g}"]
            log: list[dict[str, float]] = []
            wall = seconds(lambda: log.extend(train(text, output, *options)))  # noqa: B023
        validations = [record for record in log if record["valid_nats"]]
        nats = min([nats, *(record["valid_nats"] for record in validations)])
        found = min([r["seconds"] for r in validations if r["valid_nats"] <= goal], default=found)
        if found < math.inf:
            break
    measured = f"{found:.1f}; {nats:.4f} nats at the end, {wall:.1f} s of wall-clock in all"
    return Row(
        what, "s", wanted, "180 (a small GPT on an A100)", measured, found / GOAL, found <= GOAL
    )


def _named(
    layers: int,
    hidden: int,
    device: str = "cuda",
    precision: str = "bfloat16",
    batch: int = BATCH,
    bptt: int = BPTT,
) -> str:
    what = f"training {layers} × {hidden} LSTM with --device {device} in {precision}"
    return f"{what}, batch {batch}, BPTT {bptt}"


def _goal_named(device: str, goal: float = SMALL_GPT) -> str:
    return f"from the command to {goal} nats on tinyshakespeare with --device {device}"
