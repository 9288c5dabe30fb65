"""What training does with one window: forward, backward, clip, update, and the state goes on.

Nothing here waits for a GPU until `Stepper.see` is called. Knows nothing about budgets or texts.
"""

import dataclasses
import math
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from charlm.config import TrainConfig
from charlm.model import LanguageModel, State
from charlm.optimiser import Optimiser
from charlm.windows import IGNORED, Window


@dataclasses.dataclass(frozen=True)
class Step:
    """How many tokens a step learned, its nats a token, its gradient's norm before clipping."""

    tokens: int
    nats: float
    norm: float

    @property
    def finite(self) -> bool:
        """Whether it moved the weights."""
        return math.isfinite(self.nats + self.norm)


class Stepper:
    """Takes steps one after another; `state` is carried, None where all streams start."""

    def __init__(self, model: LanguageModel, optimiser: Optimiser, config: TrainConfig) -> None:
        self.state: State | None = None
        self._model, self._optimiser, self._config = model, optimiser, config
        self._device = model.output.bias.device
        self._masks = torch.Generator(self._device)
        self._unseen: list[tuple[int, Tensor, Tensor]] = []  # tokens, nats, norm

    def step(self, window: Window, number: int, learning_rate: float) -> int:
        """One step, which the number gives its dropout masks; how many are unseen now.

        Where the loss or the gradient is not finite no weight moves.
        """
        config = self._config
        inputs, targets = self._moved(window.inputs), self._moved(window.targets)
        masks = None
        if config.dropout:
            self._masks.manual_seed(config.seed << 31 ^ number)
            masks = self._model.dropout_masks(inputs.shape[1], config.dropout, self._masks)
        with torch.autocast(
            self._device.type, torch.bfloat16, enabled=config.precision == "bfloat16"
        ):
            logits, state = self._model(inputs, self._state_before(window), masks)
        loss = functional.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED
        )
        loss.backward()  # type: ignore[no-untyped-call]
        loss = loss.detach()
        norm = self._optimiser.update(learning_rate, loss)
        self.state = [tuple(part.detach() for part in layer) for layer in state]
        self._unseen.append((int((window.targets != IGNORED).sum()), loss, norm))
        return len(self._unseen)

    def see(self) -> list[Step]:
        """The steps since the last time; waits until they are done."""
        if not self._unseen:
            return []
        tokens, nats, norms = zip(*self._unseen, strict=True)
        self._unseen = []
        figures = torch.stack([*nats, *norms]).view(2, -1).T.tolist()
        return [Step(count, *pair) for count, pair in zip(tokens, figures, strict=True)]

    def _state_before(self, window: Window) -> State:
        """The carried state, zero for the streams that start."""
        batch = window.inputs.shape[1]
        if self.state is None or window.starts.all() or self.state[0][0].shape[1] != batch:
            return self._model.initial_state(batch)
        if not window.starts.any():
            return self.state
        kept = self._moved(~window.starts)[:, None]
        return [tuple(part * kept for part in layer) for layer in self.state]

    def _moved(self, array: npt.NDArray[Any]) -> Tensor:
        """The array on the model's device; a GPU copies it while the host goes on."""
        tensor = torch.from_numpy(array)
        if self._device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)
