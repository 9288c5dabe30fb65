"""What each of many predictions rests on: `charlm.gradients.context`, for all of them at once.

A page can then show it for any character without a network. The positions go side by side through
the network in torch, each with the tokens before it, back to a reach. Knows networks and tokens.
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from charlm.extras.reading import packed
from charlm.gradients import bearings
from charlm.inference import Engine, Ids, State
from charlm.inspection.activations import blocks
from charlm.model import LanguageModel
from charlm.tokenizers import EOS

REACH = 48  # tokens before a position
LOGITS = 2**23  # of one batch: with a large vocabulary fewer positions go side by side
WORK = 2.5e11  # floating-point operations that may be spent on them: a few seconds on two cores
SHARES = 63  # steps in which a strength is written, as a share of its position's greatest
OVERHEAD = 200_000  # parameters whose arithmetic takes as long as what every step takes besides

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Contexts:
    """strengths[p, k]: how strongly, in nats, the token k + 1 before position p bears on it.

    Row p is of the prediction of ids[p + 1], column k of ids[p − k]; 0 where no token is, or where
    it is out of reach.
    """

    strengths: Floats  # (positions, reach)

    def to_json(self) -> dict[str, Any]:
        """The greatest of each position, and all as shares of it in levels of 1/63, as bytes."""
        greatest = self.strengths.max(axis=1)
        shares = self.strengths / np.where(greatest > 0, greatest, 1)[:, None]
        return {
            "reach": REACH,
            "greatest": [float(f"{value:.3g}") for value in greatest],
            "shares": packed(np.rint(shares * SHARES).astype(np.uint8)),
        }


def contexts(model: LanguageModel, engine: Engine, ids: Ids) -> Contexts:
    """Of the first positions of a text, as many as the work allows."""
    parameters = model.config.parameters - model.embedding.weight.numel() + OVERHEAD
    count = min(len(ids) - 1, max(1, int(WORK / (4 * parameters * REACH))))
    positions = np.arange(1, count + 1)
    begins = _begins(ids, positions)
    states = _states(engine, ids[: count + 1])
    strengths = np.zeros((count, REACH))
    batch = min(256, max(1, LOGITS // (REACH * model.config.vocabulary_size)))
    for at in range(0, count, batch):
        part = slice(at, min(at + batch, count))
        _fill(strengths[part], model, ids, begins[part], positions[part], states)
    return Contexts(strengths)


def _begins(ids: Ids, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where the window of each position begins: at the reach, or at its sequence's <EOS>."""
    starts = np.flatnonzero(ids == EOS)
    own = starts[np.searchsorted(starts, positions, side="left") - 1]
    return np.maximum(own, positions - REACH)


def _states(engine: Engine, ids: Ids) -> State:
    """The state before each token is read, (tokens, hidden) each; zero before an <EOS>."""
    kept = [block.before for block in blocks(engine, ids)]
    zero = engine.initial_state(1)
    return [
        tuple(
            np.concatenate([zero[k][j], *(before[k][j] for before in kept)])
            for j in range(len(zero[k]))
        )
        for k in range(len(zero))
    ]


def _fill(
    strengths: Floats,
    model: LanguageModel,
    ids: Ids,
    begins: npt.NDArray[np.int64],
    positions: npt.NDArray[np.int64],
    states: State,
) -> None:
    """One batch: a column each, from its begin on; what comes after its position does not count."""
    lengths = positions - begins
    steps = np.arange(lengths.max())[:, None]
    tokens = torch.from_numpy(ids[np.minimum(begins + steps, len(ids) - 1)].astype(np.int64))
    before = [tuple(torch.from_numpy(part[begins])[None] for part in layer) for layer in states]
    targets = torch.from_numpy(ids[positions].astype(np.int64))
    found = bearings(model, tokens, before, torch.from_numpy(lengths - 1), targets)
    for column, length in enumerate(lengths):
        strengths[column, :length] = found[:length, column][::-1]
