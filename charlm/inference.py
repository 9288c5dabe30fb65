"""The network at work, without torch: NumPy for one stream and for small batches.

`Engine` is the protocol that sampling and scoring know; `charlm.bulk` holds the other engine, in
torch, for work in bulk. Knows nothing about text or tokens' meaning.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from charlm.config import GATES, ModelConfig

Array = npt.NDArray[np.float32]
Ids = npt.NDArray[np.integer[Any]]
State = list[tuple[Array, ...]]  # a layer each: (a, c) for the LSTM, else (a,); (batch, hidden)


class Engine(Protocol):
    """A recurrent language model that maps (tokens, state) to predictions and a new state.

    States are arguments and results: an engine can serve any number of streams.
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

    The first layer's product with the embedding is looked up in a table made once. Rows of the
    weights are reordered so that the gates that take a sigmoid lie together.
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, Array]) -> None:
        self.config = config
        order = _gate_order(config)
        self._layers = []
        for k in range(config.layers):
            w_ih, w_hh, b_ih, b_hh = (
                weights[f"rnn.{name}_l{k}"][order]
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            self._layers.append((w_ih, w_hh, b_ih, b_hh))
        w_ih, _, b_ih, b_hh = self._layers[0]
        self._table = weights["embedding.weight"] @ w_ih.T + _input_bias(config, b_ih, b_hh)
        name = "embedding.weight" if config.tie_weights else "output.weight"
        self._output, self._output_bias = weights[name], weights["output.bias"]
        self._step = STEPS[config.cell]

    def initial_state(self, batch: int) -> State:
        zeros = np.zeros((batch, self.config.hidden_size), np.float32)
        return [(zeros,) * (2 if self.config.cell == "lstm" else 1)] * self.config.layers

    def logits(self, tokens: Ids, state: State) -> tuple[Array, State]:
        hidden, state = self._hidden(tokens, state)
        return hidden @ self._output.T + self._output_bias, state

    def nats(self, tokens: Ids, targets: Ids, state: State) -> tuple[Array, State]:
        hidden, state = self._hidden(tokens, state)
        nats = np.empty(targets.shape, np.float32)
        rows = max(1, 2**20 // self.config.vocabulary_size // targets.shape[1])
        for start in range(0, len(targets), rows):
            part = slice(start, start + rows)
            logits = hidden[part] @ self._output.T + self._output_bias
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
        for k, (w_ih, w_hh, b_ih, b_hh) in enumerate(self._layers):
            if k:
                projected = hidden @ w_ih.T + _input_bias(self.config, b_ih, b_hh)
            hidden = np.empty((*tokens.shape, self.config.hidden_size), np.float32)
            layer_state = state[k]
            for t in range(len(tokens)):
                layer_state = self._step(projected[t], layer_state, w_hh.T, b_hh)
                hidden[t] = layer_state[0]
            after.append(layer_state)
        return hidden, after


def _gate_order(config: ModelConfig) -> Ids:
    """Rows of the weights in the order the steps want: an LSTM's i, f, g, o become i, f, o, g."""
    rows = np.arange(GATES[config.cell] * config.hidden_size).reshape(-1, config.hidden_size)
    return (rows[[0, 1, 3, 2]] if config.cell == "lstm" else rows).ravel()


def _input_bias(config: ModelConfig, b_ih: Array, b_hh: Array) -> Array:
    """What is added to the input's product: both biases; the GRU needs b_hh apart."""
    return b_ih if config.cell == "gru" else b_ih + b_hh


def sigmoid(x: Array) -> Array:
    """σ(x) = (1 + tanh(x / 2)) / 2, which never overflows."""
    y: Array = np.tanh(x * np.float32(0.5))
    y *= np.float32(0.5)
    y += np.float32(0.5)
    return y


def lstm_step(
    projected: Array, state: tuple[Array, ...], w_hh: Array, _b_hh: Array
) -> tuple[Array, ...]:
    """Γ_u, Γ_f, Γ_o = σ(…), c̃ = tanh(…); c⟨t⟩ = Γ_u c̃ + Γ_f c⟨t−1⟩; a⟨t⟩ = Γ_o tanh(c⟨t⟩).

    Hochreiter and Schmidhuber 1997, with the forget gate of Gers, Schmidhuber and Cummins 2000.
    """
    a, c = state
    size = a.shape[1]
    z = a @ w_hh
    z += projected
    gates = sigmoid(z[:, : 3 * size])
    candidate = np.tanh(z[:, 3 * size :])
    candidate *= gates[:, :size]
    c = c * gates[:, size : 2 * size]
    c += candidate
    return gates[:, 2 * size :] * np.tanh(c), c


def gru_step(
    projected: Array, state: tuple[Array, ...], w_hh: Array, b_hh: Array
) -> tuple[Array, ...]:
    """Γ_r, Γ_u = σ(…); c̃ = tanh(W x + b + Γ_r (W c⟨t−1⟩ + b)); c⟨t⟩ = (1 − Γ_u) c̃ + Γ_u c⟨t−1⟩.

    Cho et al. 2014 with the reset after the product, as torch.nn.GRU has it (its z is Γ_u).
    """
    (c,) = state
    size = c.shape[1]
    recurrent = c @ w_hh + b_hh
    gates = sigmoid(projected[:, : 2 * size] + recurrent[:, : 2 * size])
    candidate = np.tanh(projected[:, 2 * size :] + gates[:, :size] * recurrent[:, 2 * size :])
    return (candidate + gates[:, size:] * (c - candidate),)


def rnn_step(
    projected: Array, state: tuple[Array, ...], w_hh: Array, _b_hh: Array
) -> tuple[Array, ...]:
    """a⟨t⟩ = tanh(W_a [a⟨t−1⟩, x⟨t⟩] + b_a), the recurrent network of Elman 1990."""
    (a,) = state
    return (np.tanh(projected + a @ w_hh),)


STEPS = {"lstm": lstm_step, "gru": gru_step, "rnn": rnn_step}
