"""The recurrent cells in NumPy: a `Layer` holds its weights and takes steps.

The equations of `charlm.cells`, and the tests hold the two equal. A state is (batch, size) arrays:
an LSTM's (a, c), any other cell's one vector; the first is what the next layer sees. Knows nothing
about tokens.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from charlm.config import GATES

Array = npt.NDArray[np.float32]
Vectors = tuple[Array, ...]
Step = Callable[..., Vectors]

HALF = np.float32(0.5)


class Layer:
    """One layer's weights as its step wants them.

    W_ih and W_hh lie side by side, so that one product can take both. An LSTM's rows Γ_u, Γ_f, c̃,
    Γ_o become Γ_u, Γ_f, Γ_o, c̃, and those of the gates are halved, which is exact: as
    σ(x) = (1 + tanh(x / 2)) / 2, one tanh then serves all four. The bias added to the input is
    b_ih + b_hh, but for gru, which needs b_hh apart.
    """

    def __init__(self, cell: str, weights: Mapping[str, Array], number: int) -> None:
        w_ih, w_hh, b_ih, b_hh = (
            _ordered(weights[f"rnn.{name}_l{number}"], cell)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        self._weight = np.concatenate([w_ih, w_hh], axis=1)
        self._w_ih, self._w_hh = np.split(self._weight, [w_ih.shape[1]], axis=1)
        self._bias = b_ih if cell == "gru" else b_ih + b_hh
        self._more: Vectors = (b_hh,) if cell == "gru" else ()
        if cell == "lstm-peephole":
            self._more = (weights[f"rnn.weight_ch_l{number}"] * HALF,)
        self._step, self._summed = STEPS[cell], cell in SUMMED

    def project(self, inputs: Array) -> Array:
        """What the inputs (rows, size) add: W_ih x + b."""
        projected: Array = product(inputs, self._w_ih) + self._bias
        return projected

    def step(self, projected: Array, state: Vectors) -> Vectors:
        """The next state."""
        if not self._summed:
            return self._step(projected, state, self._w_hh, *self._more)
        z = product(state[0], self._w_hh)
        z += projected
        return self._step(z, state, *self._more)

    def step_from(self, inputs: Array, state: Vectors) -> Vectors:
        """The next state from the inputs (batch, size) themselves, in one product if it can be."""
        if not self._summed:
            return self.step(self.project(inputs), state)
        z = product(np.concatenate([inputs, state[0]], axis=1), self._weight)
        z += self._bias
        return self._step(z, state, *self._more)


def _ordered(rows: Array, cell: str) -> Array:
    if not cell.startswith("lstm"):
        return rows
    blocks = rows.reshape(GATES[cell], -1, *rows.shape[1:])
    ordered: Array = blocks[[0, 1, 3, 2]]
    ordered[:3] *= HALF
    return ordered.reshape(rows.shape)


def product(left: Array, weight: Array) -> Array:
    """left weightᵀ of matrices, in the way that is fastest for so few or many rows.

    OpenBLAS packs the larger factor again at every call, which few rows do not pay for.
    """
    if 1 < len(left) <= 4:
        return np.stack([weight @ row for row in left])
    result: Array = (weight @ left.T).T if len(left) <= 64 else left @ weight.T
    return result


def sigmoid(x: Array) -> Array:
    """σ(x) = (1 + tanh(x / 2)) / 2, which never overflows."""
    y: Array = np.tanh(x * HALF)
    y *= HALF
    y += HALF
    return y


def rnn_step(z: Array, state: Vectors) -> Vectors:
    """a⟨t⟩ = tanh(W_a [a⟨t−1⟩, x⟨t⟩] + b_a)."""
    del state
    return (np.tanh(z),)


def relu_rnn_step(z: Array, state: Vectors) -> Vectors:
    """a⟨t⟩ = max(0, W_a [a⟨t−1⟩, x⟨t⟩] + b_a)."""
    del state
    return (np.maximum(z, np.float32(0)),)


def simple_gru_step(z: Array, state: Vectors) -> Vectors:
    """c̃ = tanh(…), Γ_u = σ(…); c⟨t⟩ = Γ_u * c̃ + (1 − Γ_u) * c⟨t−1⟩."""
    (c,) = state
    size = c.shape[1]
    return (_between(c, np.tanh(z[:, size:]), sigmoid(z[:, :size])),)


def reset_before_gru_step(x: Array, state: Vectors, w_hh: Array) -> Vectors:
    """Γ_r, Γ_u = σ(…), c̃ = tanh(W_c [Γ_r * c⟨t−1⟩, x⟨t⟩] + b_c);
    c⟨t⟩ = Γ_u * c̃ + (1 − Γ_u) * c⟨t−1⟩."""
    (c,) = state
    size = c.shape[1]
    gates = sigmoid(x[:, : 2 * size] + product(c, w_hh[: 2 * size]))
    reset, update = gates[:, :size], gates[:, size:]
    candidate = np.tanh(x[:, 2 * size :] + product(reset * c, w_hh[2 * size :]))
    return (_between(c, candidate, update),)


def gru_step(x: Array, state: Vectors, w_hh: Array, b_hh: Array) -> Vectors:
    """Γ_r, 1 − Γ_u = σ(…), c̃ = tanh(W_cx x⟨t⟩ + b_x + Γ_r * (W_cc c⟨t−1⟩ + b_c));
    c⟨t⟩ = Γ_u * c̃ + (1 − Γ_u) * c⟨t−1⟩."""
    (c,) = state
    size = c.shape[1]
    recurrent = product(c, w_hh) + b_hh
    gates = sigmoid(x[:, : 2 * size] + recurrent[:, : 2 * size])
    candidate = np.tanh(x[:, 2 * size :] + gates[:, :size] * recurrent[:, 2 * size :])
    return (_between(candidate, c, gates[:, size:]),)


def _between(left: Array, right: Array, gate: Array) -> Array:
    """Γ * right + (1 − Γ) * left."""
    mixed: Array = right - left
    mixed *= gate
    mixed += left
    return mixed


def lstm_step(z: Array, state: Vectors) -> Vectors:
    """Γ_u, Γ_f, Γ_o = σ(…), c̃ = tanh(…); c⟨t⟩ = Γ_u * c̃ + Γ_f * c⟨t−1⟩, a⟨t⟩ = Γ_o * tanh(c⟨t⟩).

    Of the gates z holds the half; it is overwritten.
    """
    _, c = state
    size = c.shape[1]
    np.tanh(z, out=z)
    gates = z[:, : 3 * size]
    gates *= HALF
    gates += HALF
    c = c * gates[:, size : 2 * size]
    c += gates[:, :size] * z[:, 3 * size :]
    return gates[:, 2 * size :] * np.tanh(c), c


def peephole_lstm_step(z: Array, state: Vectors, peepholes: Array) -> Vectors:
    """As `lstm_step`, the three gates seeing c⟨t−1⟩ too: Γ = σ(… + p * c⟨t−1⟩)."""
    _, c = state
    z[:, : 3 * c.shape[1]] += (c[:, None] * peepholes).reshape(len(c), -1)
    return lstm_step(z, state)


STEPS: dict[str, Step] = {
    "rnn": rnn_step,
    "rnn-relu": relu_rnn_step,
    "gru-simple": simple_gru_step,
    "gru-reset-before": reset_before_gru_step,
    "gru": gru_step,
    "lstm": lstm_step,
    "lstm-peephole": peephole_lstm_step,
}
SUMMED = ("rnn", "rnn-relu", "gru-simple", "lstm", "lstm-peephole")  # see z = W_ih x + W_hh a + b
