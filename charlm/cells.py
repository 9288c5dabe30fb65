"""The recurrent cells of the course, in torch, for training and for work in bulk.

A cell is a module: (inputs (time, batch, size), state) → (a, or the GRUs' c, of every step, the
last state), with the weights' names of torch.nn. Where torch.nn has no such cell, or none that is
fast on a CPU, `charlm.scans` has the loop over time; `charlm.steps` has the same equations in
NumPy. Knows nothing about layers, tokens or losses.

In the equations * is the element-wise product, [a, x] is one vector after the other, and Γ is a
gate between 0 and 1. Every cell holds W [a, x] + b as W_hh a + W_ih x + b_hh + b_ih, its rows gate
by gate in the order that its docstring gives.

Precision: states, gates and their gradients have the dtype of the parameters; under autocast the
matrix products alone take factors rounded to autocast's dtype (torch.nn's own cells round more).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from charlm.config import GATES
from charlm.scans import GRUScan, PeepholeLSTMScan, ResetBeforeGRUScan, SimpleGRUScan


class _OfTorch(nn.RNNBase):
    """What the cells of torch.nn share: under autocast a GPU works in autocast's dtype.

    torch's own autocast gives such cells float16 there, in which small gradients become zero.
    """

    def forward(self, inputs: Tensor, before: Any) -> Any:
        device = inputs.device.type
        if device != "cuda" or not torch.is_autocast_enabled(device):
            return super().forward(inputs, before)
        with torch.autocast(device, enabled=False):
            return self._in(torch.get_autocast_dtype(device), inputs, before)

    def _in(self, dtype: torch.dtype, inputs: Tensor, before: Any) -> Any:
        """`forward` with weights, inputs and states of the dtype given."""
        weights = list(self.parameters())
        flat = torch.cat([weight.flatten() for weight in weights]).to(dtype)  # as cuDNN has them
        pieces = torch.split(flat, [weight.numel() for weight in weights])
        shaped = [piece.view_as(weight) for piece, weight in zip(pieces, weights, strict=True)]
        options = (shaped, True, 1, 0.0, torch.is_grad_enabled(), False, False)
        inputs = inputs.to(dtype)
        if self.mode == "LSTM":
            hidden, a, c = torch.lstm(inputs, [part.to(dtype) for part in before], *options)
            return hidden, (a, c)
        functions = {"GRU": torch.gru, "RNN_TANH": torch.rnn_tanh, "RNN_RELU": torch.rnn_relu}
        return functions[self.mode](inputs, before.to(dtype), *options)


class RNN(_OfTorch, nn.RNN):  # type: ignore[misc]
    """a⟨t⟩ = tanh(W_a [a⟨t−1⟩, x⟨t⟩] + b_a). Elman 1990."""


class ReluRNN(RNN):
    """a⟨t⟩ = max(0, W_a [a⟨t−1⟩, x⟨t⟩] + b_a), W_aa beginning as the identity.

    Le, Jaitly and Hinton 2015, arXiv:1504.00941.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, nonlinearity="relu")


class LSTM(_OfTorch, nn.LSTM):  # type: ignore[misc]
    """Γ_u, Γ_f, Γ_o = σ(W [a⟨t−1⟩, x⟨t⟩] + b), c̃ = tanh(W_c [a⟨t−1⟩, x⟨t⟩] + b_c);
    c⟨t⟩ = Γ_u * c̃ + Γ_f * c⟨t−1⟩, a⟨t⟩ = Γ_o * tanh(c⟨t⟩).

    Hochreiter and Schmidhuber 1997, with the forget gate of Gers, Schmidhuber and Cummins 2000.
    Rows: Γ_u, Γ_f, c̃, Γ_o (torch.nn's i, f, g, o).
    """


class GRU(_OfTorch, nn.GRU):
    """Γ_r, Γ_u = σ(W [c⟨t−1⟩, x⟨t⟩] + b), c̃ = tanh(W_cx x⟨t⟩ + b_x + Γ_r * (W_cc c⟨t−1⟩ + b_c));
    c⟨t⟩ = Γ_u * c̃ + (1 − Γ_u) * c⟨t−1⟩.

    Cho et al. 2014 with the reset after the product, as torch.nn.GRU has it. Rows: Γ_r, 1 − Γ_u,
    c̃ (torch.nn's r, z, n: its z keeps, so it is 1 − Γ_u). On a GPU this is torch.nn.GRU itself;
    on a CPU, where that one has no fused kernel, it is the scan below with the same weights.
    """

    weight_ih_l0: nn.Parameter
    weight_hh_l0: nn.Parameter
    bias_ih_l0: nn.Parameter
    bias_hh_l0: nn.Parameter

    def forward(self, inputs: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        if inputs.device.type != "cpu":
            hidden, last = super().forward(inputs, before)
            return hidden, last
        projected, weight = _products(inputs, self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0)
        return _scan(GRUScan, projected, weight, before[0], self.bias_hh_l0)


class _Cell(nn.Module):
    """The parameters of one layer, named as torch.nn names them."""

    cell: str

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        rows = GATES[self.cell] * hidden_size
        self.weight_ih_l0 = nn.Parameter(torch.empty(rows, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.empty(rows))
        self.bias_hh_l0 = nn.Parameter(torch.empty(rows))

    def products(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """What the inputs add to each gate at every step, and the weights for the rest."""
        bias = self.bias_ih_l0 + self.bias_hh_l0
        return _products(inputs, self.weight_ih_l0, self.weight_hh_l0, bias)


class SimpleGRU(_Cell):
    """c̃ = tanh(W_c [c⟨t−1⟩, x⟨t⟩] + b_c), Γ_u = σ(W_u [c⟨t−1⟩, x⟨t⟩] + b_u);
    c⟨t⟩ = Γ_u * c̃ + (1 − Γ_u) * c⟨t−1⟩.

    The course's simplified GRU, one gate; the minimal gated unit of Zhou et al. 2016 without its
    second use of the gate. Rows: Γ_u, c̃.
    """

    cell = "gru-simple"

    def forward(self, inputs: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        return _scan(SimpleGRUScan, *self.products(inputs), before[0])


class ResetBeforeGRU(_Cell):
    """Γ_u, Γ_r = σ(W [c⟨t−1⟩, x⟨t⟩] + b), c̃ = tanh(W_c [Γ_r * c⟨t−1⟩, x⟨t⟩] + b_c);
    c⟨t⟩ = Γ_u * c̃ + (1 − Γ_u) * c⟨t−1⟩.

    The course's full GRU, that of Chung et al. 2014 (arXiv:1412.3555): the reset before the
    product. Rows: Γ_r, Γ_u, c̃.
    """

    cell = "gru-reset-before"

    def forward(self, inputs: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        return _scan(ResetBeforeGRUScan, *self.products(inputs), before[0])


class PeepholeLSTM(_Cell):
    """Γ_u, Γ_f, Γ_o = σ(W [a⟨t−1⟩, x⟨t⟩] + p * c⟨t−1⟩ + b), c̃ = tanh(W_c [a⟨t−1⟩, x⟨t⟩] + b_c);
    c⟨t⟩ = Γ_u * c̃ + Γ_f * c⟨t−1⟩, a⟨t⟩ = Γ_o * tanh(c⟨t⟩).

    The course's peephole connections, p a diagonal matrix a gate: all three gates see c⟨t−1⟩.
    In Gers, Schraudolph and Schmidhuber 2002 the output gate sees c⟨t⟩ instead. Rows: Γ_u, Γ_f,
    c̃, Γ_o; of the peepholes: Γ_u, Γ_f, Γ_o.
    """

    cell = "lstm-peephole"

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ch_l0 = nn.Parameter(torch.empty(3, hidden_size))

    def forward(
        self, inputs: Tensor, before: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        projected, weight = self.products(inputs)
        with torch.autocast(inputs.device.type, enabled=False):
            a, c = PeepholeLSTMScan.apply(  # type: ignore[no-untyped-call]
                projected, weight, before[0][0], before[1][0], self.weight_ch_l0
            )
        return a, (a[-1:], c[None])


CELL_CLASSES: dict[str, type[nn.Module]] = {
    "rnn": RNN,
    "rnn-relu": ReluRNN,
    "gru-simple": SimpleGRU,
    "gru-reset-before": ResetBeforeGRU,
    "gru": GRU,
    "lstm": LSTM,
    "lstm-peephole": PeepholeLSTM,
}


@torch.no_grad()
def initialise(layer: nn.Module, cell: str) -> None:
    """Recurrent weights orthogonal gate by gate, biases zero, the forget gate's bias 1.

    The forget gate's: Jozefowicz, Zaremba and Sutskever 2015. The recurrent weights of rnn-relu
    are the identity (Le et al. 2015); peepholes begin closed.
    """
    for name, weight in layer.named_parameters():
        if name.startswith("weight_hh"):
            for gate in torch.split(weight, weight.shape[1]):
                (nn.init.eye_ if cell == "rnn-relu" else nn.init.orthogonal_)(gate)
        elif name.startswith("weight_ih"):
            nn.init.xavier_uniform_(weight)
        else:
            nn.init.zeros_(weight)
    if cell.startswith("lstm"):
        bias = layer.get_parameter("bias_ih_l0")
        bias[len(bias) // 4 : len(bias) // 2].fill_(1.0)  # the second of the four gates


def _products(
    inputs: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """The inputs' products of all steps at once, and W_hh in the precision of products."""
    device = inputs.device.type
    projected = functional.linear(inputs, weight_ih, bias).to(weight_hh.dtype)
    if torch.is_autocast_enabled(device):
        weight_hh = weight_hh.to(torch.get_autocast_dtype(device))
    return projected, weight_hh


def _scan(
    scan: type[torch.autograd.Function], projected: Tensor, *others: Tensor
) -> tuple[Tensor, Tensor]:
    """Runs a scan whose output is its state; the last one as torch.nn gives it."""
    with torch.autocast(projected.device.type, enabled=False):
        hidden: Tensor = scan.apply(projected, *others)  # type: ignore[no-untyped-call]
    return hidden, hidden[-1:]
