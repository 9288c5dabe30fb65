"""One step of each recurrent cell in NumPy: (what the input adds, state, weights) → next state.

The equations of `charlm.cells`, and the tests hold the two equal. A state is (batch, size) arrays:
an LSTM's (a, c), any other cell's one vector; the first is what the next layer sees. Knows nothing
about layers or tokens.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from charlm.config import GATES

Array = npt.NDArray[np.float32]
Vectors = tuple[Array, ...]
Step = Callable[..., Vectors]


def layer_weights(
    cell: str, weights: Mapping[str, Array], layer: int
) -> tuple[Array, Array, Vectors]:
    """A layer's weights as its step wants them: (W_ih, bias added to the input, the rest).

    An LSTM's rows Γ_u, Γ_f, c̃, Γ_o become Γ_u, Γ_f, Γ_o, c̃: what takes a sigmoid lies together.
    The bias is b_ih + b_hh, but for gru, which needs b_hh apart.
    """
    w_ih, w_hh, b_ih, b_hh = (
        _ordered(weights[f"rnn.{name}_l{layer}"], cell)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    if cell == "gru":
        return w_ih, b_ih, (w_hh, b_hh)
    if cell == "lstm-peephole":
        return w_ih, b_ih + b_hh, (w_hh, weights[f"rnn.weight_ch_l{layer}"])
    return w_ih, b_ih + b_hh, (w_hh,)


def _ordered(rows: Array, cell: str) -> Array:
    if not cell.startswith("lstm"):
        return rows
    blocks = rows.reshape(GATES[cell], -1, *rows.shape[1:])
    ordered: Array = blocks[[0, 1, 3, 2]].reshape(rows.shape)
    return ordered


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
    y: Array = np.tanh(x * np.float32(0.5))
    y *= np.float32(0.5)
    y += np.float32(0.5)
    return y


def rnn_step(x: Array, state: Vectors, w_hh: Array) -> Vectors:
    """a⟨t⟩ = tanh(W_a [a⟨t−1⟩, x⟨t⟩] + b_a)."""
    (a,) = state
    return (np.tanh(x + product(a, w_hh)),)


def relu_rnn_step(x: Array, state: Vectors, w_hh: Array) -> Vectors:
    """a⟨t⟩ = max(0, W_a [a⟨t−1⟩, x⟨t⟩] + b_a)."""
    (a,) = state
    return (np.maximum(x + product(a, w_hh), np.float32(0)),)


def simple_gru_step(x: Array, state: Vectors, w_hh: Array) -> Vectors:
    """c̃ = tanh(…), Γ_u = σ(…); c⟨t⟩ = Γ_u * c̃ + (1 − Γ_u) * c⟨t−1⟩."""
    (c,) = state
    size = c.shape[1]
    z = x + product(c, w_hh)
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


def lstm_step(x: Array, state: Vectors, w_hh: Array) -> Vectors:
    """Γ_u, Γ_f, Γ_o = σ(…), c̃ = tanh(…); c⟨t⟩ = Γ_u * c̃ + Γ_f * c⟨t−1⟩, a⟨t⟩ = Γ_o * tanh(c⟨t⟩)."""
    a, c = state
    z = product(a, w_hh)
    z += x
    return _lstm_state(z, c)


def peephole_lstm_step(x: Array, state: Vectors, w_hh: Array, peepholes: Array) -> Vectors:
    """As `lstm_step`, the three gates seeing c⟨t−1⟩ too: Γ = σ(… + p * c⟨t−1⟩)."""
    a, c = state
    z = product(a, w_hh)
    z += x
    z[:, : 3 * c.shape[1]] += (c[:, None] * peepholes).reshape(len(c), -1)
    return _lstm_state(z, c)


def _lstm_state(z: Array, c: Array) -> Vectors:
    size = c.shape[1]
    gates = sigmoid(z[:, : 3 * size])
    candidate = np.tanh(z[:, 3 * size :])
    candidate *= gates[:, :size]
    c = c * gates[:, size : 2 * size]
    c += candidate
    return gates[:, 2 * size :] * np.tanh(c), c


STEPS: dict[str, Step] = {
    "rnn": rnn_step,
    "rnn-relu": relu_rnn_step,
    "gru-simple": simple_gru_step,
    "gru-reset-before": reset_before_gru_step,
    "gru": gru_step,
    "lstm": lstm_step,
    "lstm-peephole": peephole_lstm_step,
}
