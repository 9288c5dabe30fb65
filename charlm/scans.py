"""The loops over time of the cells that torch.nn lacks, or has without a fast kernel for the CPU.

Each is an autograd function with its own way back: the state's gradient goes back step by step, in
operations small enough for the cache, and the weights' gradients of all steps are one matrix
product (Appleyard, Kocisky and Blunsom 2016, arXiv:1604.01946). Only the equations' recurrent part
is here: what the inputs add to each gate is already multiplied. The equations and the order of the
gates stand in `charlm.cells`.

Precision: a matrix product takes its factors in the dtype of the weights given; everything else is
in the dtype of the states.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def _product(left: Tensor, weight: Tensor) -> Tensor:
    """left weight, the factors in the weight's dtype, the result in that of `left`."""
    return torch.mm(left.to(weight.dtype), weight).to(left.dtype)


def _through_sigmoid(gradient: Tensor, gate: Tensor, out: Tensor) -> Tensor:
    """The gradient with respect to z where gate = σ(z)."""
    torch.ops.aten.sigmoid_backward.grad_input(gradient, gate, grad_input=out)
    return out


def _through_tanh(gradient: Tensor, candidate: Tensor, out: Tensor) -> Tensor:
    """The gradient with respect to z where candidate = tanh(z)."""
    torch.ops.aten.tanh_backward.grad_input(gradient, candidate, grad_input=out)
    return out


def _tanh(z: Tensor, out: Tensor) -> Tensor:
    """tanh(z) = 2σ(2z) − 1; torch.tanh waits for threads of its own and takes ten times longer."""
    return torch.sigmoid(2 * z, out=out).mul_(2).sub_(1)


def _plus_product(added: Tensor, left: Tensor, weight: Tensor) -> Tensor:
    """added + left weight, the factors in the weight's dtype, the sum in that of `added`."""
    if weight.dtype == added.dtype:
        return torch.addmm(added, left, weight)
    return added + torch.mm(left.to(weight.dtype), weight)


def _over_time(gradients: Tensor, before: Tensor, weight: Tensor) -> Tensor:
    """Σ_t gradients⟨t⟩ᵀ before⟨t⟩ as one matrix product: the weights' gradient of all steps."""
    left, right = gradients.flatten(0, 1), before.flatten(0, 1)
    return left.T.to(weight.dtype) @ right.to(weight.dtype)


class SimpleGRUScan(torch.autograd.Function):
    """(time, batch, 2 × size) inputs' products → (time, batch, size) c."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, weight: Tensor, before: Tensor) -> Tensor:
        size = before.shape[1]
        gates = torch.empty_like(projected)
        states = projected.new_empty(len(projected) + 1, *before.shape)
        states[0] = before
        for x, gate, c, after in zip(projected, gates, states, states[1:], strict=False):
            z = _plus_product(x, c, weight.T)
            update = torch.sigmoid(z[:, :size], out=gate[:, :size])
            candidate = _tanh(z[:, size:], gate[:, size:])
            torch.lerp(c, candidate, update, out=after)
        ctx.save_for_backward(weight, gates, states)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor | None, ...]:
        weight, gates, states = ctx.saved_tensors
        d_z = torch.empty_like(gates)
        d_c = torch.zeros_like(states[0])
        for t in reversed(range(len(gates))):
            update, candidate = gates[t].chunk(2, -1)
            d_update, d_candidate = d_z[t].chunk(2, -1)
            d_c = d_c + d_states[t]
            written = d_c * update
            _through_tanh(written, candidate, d_candidate)
            _through_sigmoid((candidate - states[t]) * d_c, update, d_update)
            d_c = _plus_product(d_c - written, d_z[t], weight)
        return d_z, _over_time(d_z, states[:-1], weight), d_c


class GRUScan(torch.autograd.Function):
    """(time, batch, 3 × size) inputs' products → (time, batch, size) c; rows r, z, n."""

    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, weight: Tensor, before: Tensor, bias: Tensor
    ) -> Tensor:
        size = before.shape[1]
        gates = torch.empty_like(projected)
        recurrent = projected.new_empty(len(projected), *before.shape)  # W_cc c⟨t−1⟩ + b_c
        states = projected.new_empty(len(projected) + 1, *before.shape)
        states[0] = before
        bias = bias.expand(len(before), -1)
        for t, (x, gate, c) in enumerate(zip(projected, gates, states, strict=False)):
            z = _plus_product(bias, c, weight.T)
            recurrent[t] = z[:, 2 * size :]
            both = torch.add(x[:, : 2 * size], z[:, : 2 * size], out=gate[:, : 2 * size]).sigmoid_()
            z = torch.addcmul(x[:, 2 * size :], both[:, :size], z[:, 2 * size :])
            candidate = _tanh(z, gate[:, 2 * size :])
            torch.lerp(candidate, c, both[:, size:], out=states[t + 1])
        ctx.save_for_backward(weight, gates, recurrent, states)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor | None, ...]:
        weight, gates, recurrent, states = ctx.saved_tensors
        d_x, d_z = torch.empty_like(gates), torch.empty_like(gates)
        d_c = torch.zeros_like(states[0])
        size = d_c.shape[1]
        for t in reversed(range(len(gates))):
            reset, keep, candidate = gates[t].chunk(3, -1)
            d_c = d_c + d_states[t]
            kept = d_c * keep
            d_candidate = _through_tanh(d_c - kept, candidate, d_x[t, :, 2 * size :])
            _through_sigmoid(d_candidate * recurrent[t], reset, d_x[t, :, :size])
            _through_sigmoid((states[t] - candidate) * d_c, keep, d_x[t, :, size : 2 * size])
            d_z[t, :, : 2 * size] = d_x[t, :, : 2 * size]
            torch.mul(d_candidate, reset, out=d_z[t, :, 2 * size :])  # the input is not reset
            d_c = _plus_product(kept, d_z[t], weight)
        return d_x, _over_time(d_z, states[:-1], weight), d_c, d_z.sum((0, 1))


class ResetBeforeGRUScan(torch.autograd.Function):
    """(time, batch, 3 × size) inputs' products → (time, batch, size) c; rows Γ_r, Γ_u, c̃."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, weight: Tensor, before: Tensor) -> Tensor:
        size = before.shape[1]
        of_gates, of_candidate = weight[: 2 * size].T, weight[2 * size :].T
        gates = torch.empty_like(projected)
        states = projected.new_empty(len(projected) + 1, *before.shape)
        states[0] = before
        for x, gate, c, after in zip(projected, gates, states, states[1:], strict=False):
            both, candidate = gate[:, : 2 * size], gate[:, 2 * size :]
            torch.sigmoid(_plus_product(x[:, : 2 * size], c, of_gates), out=both)
            shown = both[:, :size] * c
            _tanh(_plus_product(x[:, 2 * size :], shown, of_candidate), candidate)
            torch.lerp(c, candidate, both[:, size:], out=after)
        ctx.save_for_backward(weight, gates, states)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor | None, ...]:
        weight, gates, states = ctx.saved_tensors
        size = states.shape[-1]
        of_gates, of_candidate = weight[: 2 * size], weight[2 * size :]
        d_z = torch.empty_like(gates)
        d_c = torch.zeros_like(states[0])
        for t in reversed(range(len(gates))):
            reset, update, candidate = gates[t].chunk(3, -1)
            d_reset, d_update, d_candidate = d_z[t].chunk(3, -1)
            d_c = d_c + d_states[t]
            written = d_c * update
            _through_tanh(written, candidate, d_candidate)
            _through_sigmoid((candidate - states[t]) * d_c, update, d_update)
            d_shown = _product(d_candidate, of_candidate)  # of Γ_r * c⟨t−1⟩
            _through_sigmoid(d_shown * states[t], reset, d_reset)
            d_c = (d_c - written).addcmul_(d_shown, reset)
            d_c = _plus_product(d_c, d_z[t, :, : 2 * size], of_gates)
        reset = gates[..., :size]
        d_gates = _over_time(d_z[..., : 2 * size], states[:-1], weight)
        d_weight = _over_time(d_z[..., 2 * size :], reset * states[:-1], weight)
        return d_z, torch.cat((d_gates, d_weight)), d_c


class PeepholeLSTMScan(torch.autograd.Function):
    """(time, batch, 4 × size) inputs' products → (time, batch, size) a, the last c."""

    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, weight: Tensor, a: Tensor, c: Tensor, peepholes: Tensor
    ) -> tuple[Tensor, Tensor]:
        gates = torch.empty_like(projected).view(*projected.shape[:2], 4, -1)
        states = projected.new_empty(2, len(projected) + 1, *a.shape)  # of a and of c
        states[0, 0], states[1, 0] = a, c
        of_update, of_forget, of_output = peepholes
        for t, gate in enumerate(gates):
            a, c = states[0, t], states[1, t]
            z = _plus_product(projected[t], a, weight.T).view(gate.shape)
            update = torch.addcmul(z[:, 0], c, of_update, out=gate[:, 0]).sigmoid_()
            forget = torch.addcmul(z[:, 1], c, of_forget, out=gate[:, 1]).sigmoid_()
            candidate = _tanh(z[:, 2], gate[:, 2])
            output = torch.addcmul(z[:, 3], c, of_output, out=gate[:, 3]).sigmoid_()
            after = torch.mul(c, forget, out=states[1, t + 1]).addcmul_(update, candidate)
            torch.mul(_tanh(after, torch.empty_like(after)), output, out=states[0, t + 1])
        ctx.save_for_backward(weight, peepholes, gates, states)
        return states[0, 1:], states[1, -1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, d_c: Tensor) -> tuple[Tensor | None, ...]:
        weight, peepholes, gates, (a, c) = ctx.saved_tensors
        d_z = torch.empty_like(gates)
        d_a = torch.zeros_like(a[0])
        of_update, of_forget, of_output = peepholes
        for t in reversed(range(len(gates))):
            update, forget, candidate, output = gates[t].unbind(1)
            d_update, d_forget, d_candidate, d_output = d_z[t].unbind(1)
            d_a = d_a + d_states[t]
            shown = _tanh(c[t + 1], torch.empty_like(d_c))
            _through_sigmoid(d_a * shown, output, d_output)
            d_c = d_c + _through_tanh(d_a * output, shown, torch.empty_like(d_a))
            _through_sigmoid(d_c * candidate, update, d_update)
            _through_sigmoid(d_c * c[t], forget, d_forget)
            _through_tanh(d_c * update, candidate, d_candidate)
            d_c = (d_c * forget).addcmul_(d_update, of_update)
            d_c.addcmul_(d_forget, of_forget).addcmul_(d_output, of_output)
            d_a = _product(d_z[t].flatten(1), weight)
        d_peepholes = torch.stack([(d_z[:, :, k] * c[:-1]).sum((0, 1)) for k in (0, 1, 3)])
        d_z = d_z.flatten(2)
        return d_z, _over_time(d_z, a[:-1], weight), d_a, d_c, d_peepholes
