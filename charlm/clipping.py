"""How often a training's gradients were clipped, and how great they were before: from its log.

Knows no network and needs no torch.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from charlm.errors import TextError
from charlm.logs import read_log

Exact = npt.NDArray[np.float64]
FIELDS = ("steps", "gradient_norm", "clipped")  # of a record, that are read


@dataclasses.dataclass(frozen=True)
class Clipping:
    """The gradient's norm before clipping, over a training's log.

    norms: each record's, itself a mean over the steps since the record before; steps: how many
    those were; clipped: which share of all steps was clipped.
    """

    norms: Exact
    steps: npt.NDArray[np.int64]
    clipped: float

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """The norms below which these shares of the steps lie."""
        order = np.argsort(self.norms, kind="stable")
        reached = np.cumsum(self.steps[order]) / self.steps.sum()
        places = np.searchsorted(reached, np.array(shares) - 1e-12)
        return [float(self.norms[order[min(place, len(order) - 1)]]) for place in places]

    def histogram(self, bins: int) -> tuple[Exact, Exact]:
        """Edges (bins + 1,), equal ratios apart, and which share of the steps lies between."""
        above = np.maximum(self.norms, 1e-12)
        low, high = np.log(above.min()) - 1e-9, np.log(above.max()) + 1e-9
        counts, edges = np.histogram(np.log(above), bins, (low, high), weights=self.steps)
        return np.exp(edges), counts / self.steps.sum()


def clipping_of(lines: Iterable[str], name: str) -> Clipping:
    """What the lines of a log tell; raises TextError, which says the line, if they are none."""
    records = read_log(lines, name, FIELDS)
    steps, norms, shares = np.array([[record[field] for field in FIELDS] for record in records]).T
    if not steps.any():
        raise TextError(f"{name}: the log has no steps; give the log of a longer training")
    return Clipping(norms, steps.astype(np.int64), float(shares @ steps / steps.sum()))
