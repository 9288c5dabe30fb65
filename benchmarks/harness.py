"""What the benchmarks share: alternating timings with their spread, the machine, rows of a table.

A benchmark is a function without arguments that gives rows; knows nothing of what is measured.
"""

import dataclasses
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

CORPORA = Path(__file__).resolve().parents[2] / "shared" / "corpora"
SHAKESPEARE = CORPORA / "tinyshakespeare.txt"


@dataclasses.dataclass(frozen=True)
class Spread:
    """Minimum, median and maximum of several runs, in one unit."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(min(values), statistics.median(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.4g} ({self.low:.4g} to {self.high:.4g})"


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: what, the goal, what the reference gave, what charlm gave, ratio."""

    what: str
    unit: str
    goal: str
    reference: str
    measured: str
    ratio: float | None
    met: bool | None

    def cells(self) -> list[str]:
        """The row as text."""
        ratio = "–" if self.ratio is None else f"{self.ratio:.3g}"
        met = {True: "yes", False: "no", None: "not measured"}[self.met]
        return [self.what, self.unit, self.goal, self.reference, self.measured, ratio, met]


COLUMNS = ["what", "unit", "goal", "reference", "charlm", "ratio", "met"]


def alternate(runs: int, *functions: Callable[[], float]) -> list[Spread]:
    """Runs the functions in turn, once unmeasured and then `runs` times; each gives a figure."""
    for function in functions:
        function()
    values: list[list[float]] = [[] for _ in functions]
    for _ in range(runs):
        for function, collected in zip(functions, values, strict=True):
            collected.append(function())
    return [Spread.of(collected) for collected in values]


def seconds(function: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    import numpy
    import torch

    import charlm

    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "charlm": charlm.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    bf16 = "with" if "avx512_bf16" in named.get("flags", "") else "without"
    return f"{named.get('model name', 'unknown')} ({bf16} avx512_bf16)"


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(row.cells() for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
