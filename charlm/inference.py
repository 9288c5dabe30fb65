"""The network at work, without torch: NumPy for one stream and for small batches.

`Engine` is the protocol that sampling and scoring know; `charlm.bulk` holds the other engine, in
torch, for work in bulk. Knows nothing about text or tokens' meaning.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from charlm.config import ModelConfig
from charlm.errors import OverflowingError
from charlm.steps import Array as Array
from charlm.steps import Layer, product

Ids = npt.NDArray[np.integer[Any]]
Exact = npt.NDArray[np.float64]
AnyFloats = TypeVar("AnyFloats", Array, Exact)
Choice = Callable[[Array, Exact], Ids]  # (logits, uniform numbers) → tokens: `sampling.Sampler`
State = list[tuple[Any, ...]]  # a layer each: an LSTM's (a, c), else one vector; (batch, hidden)
LOOKED_UP = 4096  # tokens of a vocabulary, at most, whose first products are made in advance


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

    def draw(self, tokens: Ids, state: State, choice: Choice, uniforms: Exact) -> tuple[Ids, State]:
        """The next tokens (batch,) after those given (batch,), as chosen by uniforms (batch,)."""

    def nats(self, tokens: Ids, targets: Ids, state: State) -> tuple[Array, State]:
        """−ln P(target) of each target (time, batch) after the tokens before it, and the state."""

    def after(self, tokens: Ids, state: State) -> State:
        """The state after tokens (time, batch), of which nothing is predicted."""


def ln_softmax(logits: Array) -> Exact:
    """ln P of every token, in double precision: logits less the logarithm of their exps' sum.

    Raises OverflowingError where they are not finite.
    """
    exact: Exact = logits.astype(np.float64)
    exact -= finite(exact.max(axis=-1, keepdims=True))
    exact -= np.log(np.exp(exact).sum(axis=-1, keepdims=True))
    return exact


def finite(values: AnyFloats, text: str = "") -> AnyFloats:
    """The values; raises OverflowingError, which names the text, unless all are finite."""
    if not np.isfinite(values).all():
        raise OverflowingError(text)
    return values


def rows_of(state: State, rows: Any) -> State:
    """The state of these rows of the batch, each as often as it is named."""
    return [tuple(part[rows] for part in layer) for layer in state]


class NumpyEngine:
    """One layer after the other, one step after the other, in float32.

    The first layer's product with the embedding is looked up in a table made once, unless the
    vocabulary is so large that making it would take longer than most texts.
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, Array]) -> None:
        self.config = config
        self._layers = [Layer(config.cell, weights, k) for k in range(config.layers)]
        self._embedding = weights["embedding.weight"]
        looked_up = len(self._embedding) <= LOOKED_UP
        self._table = self._layers[0].project(self._embedding) if looked_up else None
        name = "embedding.weight" if config.tie_weights else "output.weight"
        self._output, self._output_bias = weights[name], weights["output.bias"]

    def initial_state(self, batch: int) -> State:
        zeros = np.zeros((batch, self.config.hidden_size), np.float32)
        return [(zeros,) * self.config.state_parts] * self.config.layers

    def logits(self, tokens: Ids, state: State) -> tuple[Array, State]:
        hidden, state = self._hidden(tokens, state)
        return _all_steps(self._predict, hidden), state

    def draw(self, tokens: Ids, state: State, choice: Choice, uniforms: Exact) -> tuple[Ids, State]:
        logits, state = self.logits(tokens[None], state)
        return choice(logits[0], uniforms), state

    def nats(self, tokens: Ids, targets: Ids, state: State) -> tuple[Array, State]:
        hidden, state = self._hidden(tokens, state)
        nats = np.empty(targets.shape, np.float32)
        rows = max(1, 2**20 // self.config.vocabulary_size // targets.shape[1])
        for start in range(0, len(targets), rows):
            part = slice(start, start + rows)
            logits = _all_steps(self._predict, hidden[part])
            logits -= logits.max(axis=-1, keepdims=True)
            chosen = np.take_along_axis(logits, targets[part, :, None].astype(np.intp), -1)[..., 0]
            np.exp(logits, out=logits)
            nats[part] = np.log(logits.sum(axis=-1)) - chosen
        return nats, state

    def after(self, tokens: Ids, state: State) -> State:
        return self._hidden(tokens, state)[1]

    def _predict(self, hidden: Array) -> Array:
        """Logits of the next token from the last layer's output (rows, hidden)."""
        logits: Array = product(hidden, self._output) + self._output_bias
        return logits

    def _project(self, tokens: Ids) -> Array:
        """What tokens, of any shape, add to the first layer: (…, gates × hidden)."""
        if self._table is not None:
            return self._table[tokens]
        return _all_steps(self._layers[0].project, self._embedding[tokens])

    def _hidden(self, tokens: Ids, state: State) -> tuple[Array, State]:
        """The last layer's output (time, batch, hidden) and the state after the last step."""
        if len(tokens) == 1:
            after = self._step(tokens[0], state)
            return after[-1][0][None], after
        projected = hidden = self._project(tokens)  # (time, batch, gates × hidden)
        after = []
        for k, layer in enumerate(self._layers):
            if k:
                projected = _all_steps(layer.project, hidden)
            hidden = np.empty((*tokens.shape, self.config.hidden_size), np.float32)
            layer_state = state[k]
            for t in range(len(tokens)):
                layer_state = layer.step(projected[t], layer_state)
                hidden[t] = layer_state[0]
            after.append(layer_state)
        return hidden, after

    def _step(self, tokens: Ids, state: State) -> State:
        """The state after one step more: tokens (batch,)."""
        after: State = []
        for k, layer in enumerate(self._layers):
            if k:
                after.append(layer.step_from(after[-1][0], state[k]))
            else:
                after.append(layer.step(self._project(tokens), state[k]))
        return after


def _all_steps(function: Callable[[Array], Array], inputs: Array) -> Array:
    """A function of rows, of all rows of (time, batch, size) at once."""
    rows = function(inputs.reshape(-1, inputs.shape[-1]))
    return rows.reshape(*inputs.shape[:-1], -1)
