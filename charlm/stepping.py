"""What training does with one window: forward, backward, clip, update, and the state goes on.

Nothing here waits for a GPU until `Stepper.collect` is called. Knows nothing about budgets or
texts.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from charlm.config import TrainConfig
from charlm.model import LanguageModel, State
from charlm.optimiser import Optimiser
from charlm.replay import Replayed
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
        self._parameters = list(model.parameters())
        self._device = model.output.bias.device
        self._masks = torch.Generator(self._device)
        self._pending: list[tuple[int, Tensor]] = []  # how many tokens, (nats, norm)
        replays = self._device.type == "cuda"
        self._learn = Replayed(self._learn_from) if replays else self._learn_from

    def step(self, window: Window, number: int, learning_rate: float) -> int:
        """Takes one step, whose dropout masks `number` seeds; how many steps wait to be collected.

        Where the loss or the gradient is not finite no weight moves.
        """
        numbers = self._moved(self._optimiser.next_update(learning_rate))
        inputs, targets = self._moved(window.inputs), self._moved(window.targets)
        before = itertools.chain(*self._state_before(window))
        masks = self._dropout(window, number)
        figures, *after = self._learn(numbers, inputs, targets, *before, *masks)
        parts = self._model.config.state_parts
        self.state = [tuple(after[k : k + parts]) for k in range(0, len(after), parts)]
        self._pending.append((int((window.targets != IGNORED).sum()), figures.clone()))
        return len(self._pending)

    def _learn_from(
        self, numbers: Tensor, inputs: Tensor, targets: Tensor, *others: Tensor
    ) -> Sequence[Tensor]:
        """The whole step; gives nats and norm as one tensor, and the parts of the state after.

        others: the parts of the state before, then the layers' dropout masks, if there are any.
        """
        model, parts = self._model, self._model.config.state_parts
        before, masks = others[: parts * len(model.layers)], others[parts * len(model.layers) :]
        state = [before[k : k + parts] for k in range(0, len(before), parts)]
        low = self._config.precision == "bfloat16"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=low, cache_enabled=False):
            logits, after = model(inputs, state, list(masks) or None)
        loss = functional.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED
        )
        gradients = torch.autograd.grad(loss, self._parameters)
        loss = loss.detach()
        norm = self._optimiser.update(gradients, loss, numbers)
        return [torch.stack([loss, norm]), *(part.detach() for layer in after for part in layer)]

    def _dropout(self, window: Window, number: int) -> list[Tensor]:
        """The masks of a step, which its number gives, if there is dropout."""
        if not self._config.dropout:
            return []
        self._masks.manual_seed(self._config.seed << 31 ^ number)
        return self._model.dropout_masks(window.inputs.shape[1], self._config.dropout, self._masks)

    def collect(self) -> list[Step]:
        """The steps since the last time; waits until they are done."""
        if not self._pending:
            return []
        tokens, figures = zip(*self._pending, strict=True)
        self._pending = []
        pairs = torch.stack(figures).tolist()
        return [Step(count, *pair) for count, pair in zip(tokens, pairs, strict=True)]

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
        if tensor.is_floating_point():
            tensor = tensor.float()
        return tensor.pin_memory().to(self._device, non_blocking=True)
