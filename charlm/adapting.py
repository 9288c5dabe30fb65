"""Dynamic evaluation: a model that goes on learning from the text that it is measured on.

Every window is predicted first and learned from afterwards, so that the figure is honest: no token
is seen before it is predicted. Mikolov et al. 2010; Krause et al. 2018, arXiv:1709.07432, of which
this is the plain form, stochastic gradient descent.
"""

import numpy as np
import torch

from charlm.bulk import TorchEngine
from charlm.inference import Array, Ids, State
from charlm.model import LanguageModel

WINDOW = 64  # tokens that are predicted before one step of learning
RATE, CLIP = 0.3, 1.0  # of the descent; the most that the gradient's norm may be


class AdaptingEngine(TorchEngine):
    """An engine that learns from what `nats` has predicted. Its weights are its own."""

    def __init__(self, model: LanguageModel, precision: str = "float32") -> None:
        super().__init__(model.train(), precision)  # else a GPU's kernels have no way back

    def nats(self, tokens: Ids, targets: Ids, state: State) -> tuple[Array, State]:
        parts = []
        for at in range(0, len(tokens), WINDOW):
            window = slice(at, at + WINDOW)
            nats, state = self._learn(tokens[window], targets[window], state)
            parts.append(nats)
        return np.concatenate(parts), state

    def _learn(self, tokens: Ids, targets: Ids, state: State) -> tuple[Array, State]:
        """Predicts a window, then moves the weights against its gradient."""
        nats, after = self._nats(tokens, targets, state)
        nats.mean().backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self._model.parameters(), CLIP)
        if norm.isfinite():
            with torch.no_grad():
                for weight in self._model.parameters():
                    if weight.grad is not None:
                        weight.sub_(weight.grad, alpha=RATE)
        self._model.zero_grad()
        return nats.detach().cpu().numpy(), after
