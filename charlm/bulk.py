"""The network at work in bulk: the engine in torch, for long files, many sequences and a GPU.

The same protocol as `charlm.inference.NumpyEngine`; the tests hold the two equal.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from charlm.config import ModelConfig
from charlm.devices import device_of
from charlm.drawing import NONE, drawn
from charlm.errors import OverflowingError
from charlm.inference import Array, Choice, Exact, Ids, State
from charlm.memory import keep_freed
from charlm.model import LanguageModel
from charlm.sampling import Sampler

LOGITS = 2**25  # that are in memory at once


class TorchEngine:
    """A LanguageModel behind the `Engine` protocol, without gradients.

    States are tensors that stay on the model's device.
    """

    def __init__(self, model: LanguageModel, precision: str = "float32") -> None:
        self.config = model.config
        self._model = model
        self._device = model.output.bias.device
        self._autocast = precision == "bfloat16"
        self._draws = self._device.type == "cuda"

    @classmethod
    def of(
        cls, config: ModelConfig, weights: Mapping[str, Array], device: str = "cpu"
    ) -> "TorchEngine":
        """An engine for the weights of a checkpoint, on the device that `device_of` gives."""
        device = device_of(device)
        keep_freed()
        return cls(LanguageModel(config, weights).to(device).eval())

    def initial_state(self, batch: int) -> State:
        return [tuple(part[0] for part in layer) for layer in self._model.initial_state(batch)]

    def logits(self, tokens: Ids, state: State) -> tuple[Array, State]:
        with torch.no_grad():
            logits, after = self._run(tokens, state)
        return logits.float().cpu().numpy(), after

    def draw(self, tokens: Ids, state: State, choice: Choice, uniforms: Exact) -> tuple[Ids, State]:
        with torch.no_grad():
            logits, after = self._run(tokens[None], state)
        rows = logits[0].float()
        if self._draws and isinstance(choice, Sampler):
            drawn_tokens = drawn(choice, rows, uniforms).cpu().numpy()
            if NONE in drawn_tokens:
                raise OverflowingError()
            return drawn_tokens, after
        return choice(rows.cpu().numpy(), uniforms), after

    def nats(self, tokens: Ids, targets: Ids, state: State) -> tuple[Array, State]:
        with torch.no_grad():
            nats, after = self._nats(tokens, targets, state)
        return nats.cpu().numpy(), after

    def after(self, tokens: Ids, state: State) -> State:
        with torch.no_grad():
            return self._hidden(tokens, state)[1]

    def _nats(self, tokens: Ids, targets: Ids, state: State) -> tuple[torch.Tensor, State]:
        """`nats` as a tensor of the targets' shape, from which gradients can go back.

        LOGITS at a time: those of a large vocabulary would fill the memory.
        """
        hidden, after = self._hidden(tokens, state)
        wanted = torch.from_numpy(targets.astype(np.int64)).to(self._device)
        rows = max(1, LOGITS // self.config.vocabulary_size)
        outputs, goals = hidden.flatten(0, 1), wanted.flatten()
        nats = []
        for at in range(0, len(goals), rows):
            logits = self._output(outputs[at : at + rows]).float()
            nats.append(functional.cross_entropy(logits, goals[at : at + rows], reduction="none"))
        return torch.cat(nats).reshape(targets.shape), after

    def _run(self, tokens: Ids, state: State) -> tuple[torch.Tensor, State]:
        """Logits (time, batch, vocabulary) and the state after them."""
        hidden, after = self._hidden(tokens, state)
        return self._output(hidden), after

    def _hidden(self, tokens: Ids, state: State) -> tuple[torch.Tensor, State]:
        before = [tuple(part[None] for part in layer) for layer in state]
        ids = torch.from_numpy(tokens.astype(np.int64)).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
            hidden, after = self._model.hidden(self._model.embedding(ids), before)
        return hidden, [tuple(part[0].detach() for part in layer) for layer in after]

    def _output(self, hidden: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
            logits: torch.Tensor = self._model.output(hidden)
        return logits
