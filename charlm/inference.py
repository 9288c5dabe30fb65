"""The network at work, without torch: NumPy for one stream and for small batches.

`Engine` is the protocol that sampling and scoring know; `charlm.bulk` holds the other engine, in
torch, for work in bulk. Knows nothing about text or tokens' meaning.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from charlm.config import ModelConfig
from charlm.steps import STEPS, layer_weights, product
from charlm.steps import Array as Array

Ids = npt.NDArray[np.integer[Any]]
State = list[tuple[Any, ...]]  # a layer each: an LSTM's (a, c), else one vector; (batch, hidden)


class Engine(Protocol):
    """A recurrent language model that maps (tokens, state) to predictions and a new state.

    States are arguments and results: an engine can serve any number of streams. Their parts are
    the engine's own kind of array, of which rows can be picked and set: part[rows].
    """

    config: ModelConfig

    def initial_state(self, batch: int) -> State:
        """The zero state, with which every sequence starts."""

    def logits(self, tokens: Ids, state: State) -> tuple[Array, State]:
        """tokens (time, batch) → logits of each next token (time, batch, vocabulary), state."""

    def nats(self, tokens: Ids, targets: Ids, state: State) -> tuple[Array, State]:
        """−ln P(target) of each target (time, batch) after the tokens before it, and the state."""


class NumpyEngine:
    """One layer after the other, one step after the other, in float32.

    The first layer's product with the embedding is looked up in a table made once.
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, Array]) -> None:
        self.config = config
        self._layers = [layer_weights(config.cell, weights, k) for k in range(config.layers)]
        w_ih, bias, _ = self._layers[0]
        self._table = weights["embedding.weight"] @ w_ih.T + bias
        name = "embedding.weight" if config.tie_weights else "output.weight"
        self._output, self._output_bias = weights[name], weights["output.bias"]
        self._step = STEPS[config.cell]

    def initial_state(self, batch: int) -> State:
        zeros = np.zeros((batch, self.config.hidden_size), np.float32)
        return [(zeros,) * self.config.state_parts] * self.config.layers

    def logits(self, tokens: Ids, state: State) -> tuple[Array, State]:
        hidden, state = self._hidden(tokens, state)
        return _times(hidden, self._output) + self._output_bias, state

    def nats(self, tokens: Ids, targets: Ids, state: State) -> tuple[Array, State]:
        hidden, state = self._hidden(tokens, state)
        nats = np.empty(targets.shape, np.float32)
        rows = max(1, 2**20 // self.config.vocabulary_size // targets.shape[1])
        for start in range(0, len(targets), rows):
            part = slice(start, start + rows)
            logits = _times(hidden[part], self._output) + self._output_bias
            logits -= logits.max(axis=-1, keepdims=True)
            chosen = np.take_along_axis(logits, targets[part, :, None].astype(np.intp), -1)[..., 0]
            np.exp(logits, out=logits)
            nats[part] = np.log(logits.sum(axis=-1)) - chosen
        return nats, state

    def _hidden(self, tokens: Ids, state: State) -> tuple[Array, State]:
        """The last layer's output (time, batch, hidden) and the state after the last step."""
        projected = self._table[tokens]  # (time, batch, gates × hidden)
        hidden = projected
        after: State = []
        for k, (w_ih, bias, recurrent) in enumerate(self._layers):
            if k:
                projected = _times(hidden, w_ih) + bias
            hidden = np.empty((*tokens.shape, self.config.hidden_size), np.float32)
            layer_state = state[k]
            for t in range(len(tokens)):
                layer_state = self._step(projected[t], layer_state, *recurrent)
                hidden[t] = layer_state[0]
            after.append(layer_state)
        return hidden, after


def _times(hidden: Array, weight: Array) -> Array:
    """hidden (time, batch, size) weightᵀ, all steps in one product."""
    rows = hidden.reshape(-1, hidden.shape[-1])
    return product(rows, weight).reshape(*hidden.shape[:-1], -1)
