"""The network at work in bulk: the engine in torch, for long files, many sequences and a GPU.

The same protocol as `charlm.inference.NumpyEngine`; the tests hold the two equal.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from charlm.config import ModelConfig
from charlm.devices import device_of
from charlm.drawing import drawn
from charlm.inference import Array, Choice, Exact, Ids, State
from charlm.memory import keep_freed
from charlm.model import LanguageModel
from charlm.sampling import Sampler


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
            return drawn(choice, rows, uniforms).cpu().numpy(), after
        return choice(rows.cpu().numpy(), uniforms), after

    def nats(self, tokens: Ids, targets: Ids, state: State) -> tuple[Array, State]:
        with torch.no_grad():
            nats, after = self._nats(tokens, targets, state)
        return nats.cpu().numpy(), after

    def _nats(self, tokens: Ids, targets: Ids, state: State) -> tuple[torch.Tensor, State]:
        """`nats` as a tensor of the targets' shape, from which gradients can go back."""
        logits, after = self._run(tokens, state)
        wanted = torch.from_numpy(targets.astype(np.int64)).to(self._device)
        nats = functional.cross_entropy(
            logits.float().flatten(0, 1), wanted.flatten(), reduction="none"
        )
        return nats.reshape(targets.shape), after

    def _run(self, tokens: Ids, state: State) -> tuple[torch.Tensor, State]:
        before = [tuple(part[None] for part in layer) for layer in state]
        ids = torch.from_numpy(tokens.astype(np.int64)).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
            logits, after = self._model(ids, before)
        return logits, [tuple(part[0].detach() for part in layer) for layer in after]
