"""What the benchmarks share: alternating timings with their spread, the machine, rows of a table.

A benchmark is a module whose `run` (and `run_long`, for what takes many minutes) gives rows one
by one, so that one that breaks off leaves those that it had. Knows nothing of what is measured.
"""

import dataclasses
import math
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

    def times(self, factor: float) -> "Spread":
        """The same in another unit."""
        return Spread(self.low * factor, self.median * factor, self.high * factor)

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.median:.4g}"
        return f"{self.median:.4g} ({self.low:.4g} to {self.high:.4g})"


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: what, the goal, what the reference gave, what charlm gave, ratio.

    met is None where there is no goal, or nothing was measured; ratio also where it is not finite.
    """

    what: str
    unit: str
    goal: str
    reference: str
    measured: str
    ratio: float | None
    met: bool | None

    def __post_init__(self) -> None:
        if self.ratio is not None and not math.isfinite(self.ratio):
            object.__setattr__(self, "ratio", None)

    def cells(self) -> list[str]:
        """The row as text."""
        ratio = "–" if self.ratio is None else f"{self.ratio:.3g}"
        met = {True: "yes", False: "no", None: "–"}[self.met]
        return [self.what, self.unit, self.goal, self.reference, self.measured, ratio, met]


COLUMNS = ["what", "unit", "goal", "reference", "charlm", "ratio", "met"]
NOT_MEASURED = "not measured"
NO_BFLOAT16 = "this processor has no bfloat16"


def not_measured(what: str, unit: str, goal: str, why: str) -> Row:
    """A line of the table that stays empty, and why."""
    return Row(what, unit, goal, "–", f"{NOT_MEASURED}: {why}", None, None)


def alternate(runs: int, *functions: Callable[[], float], unmeasured: int = 1) -> list[Spread]:
    """Runs the functions in turn, some rounds unmeasured and then `runs`; each gives a figure."""
    values: list[list[float]] = [[] for _ in functions]
    for _ in range(unmeasured + runs):
        for function, collected in zip(functions, values, strict=True):
            collected.append(function())
    return [Spread.of(collected[unmeasured:]) for collected in values]


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
        "cores": str(cores()),
        "memory": _memory(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "charlm": charlm.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> str:
    pages = os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return f"{pages * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB" if pages else "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    bf16 = "with" if "avx512_bf16" in named.get("flags", "") else "without"
    return f"{named.get('model name', 'unknown')} ({bf16} avx512_bf16)"


def described(about: dict[str, str]) -> str:
    """The machine in one line."""
    return ", ".join(f"{key} {value}" for key, value in about.items())


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    return table(COLUMNS, [row.cells() for row in rows])


def table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Lines of text as a Markdown table."""
    whole = [columns, ["---"] * len(columns), *lines]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in whole)
