"""How the weights move: AdamW, gradients clipped by their global norm, averaged weights.

Knows a model and its gradients; knows nothing about texts, losses, budgets or validation.
"""

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.checkpoint import MOMENTS
from charlm.config import TrainConfig
from charlm.model import LanguageModel

FINAL_RATE = 0.001  # a run ends at this share of the peak learning rate
AVERAGING = 40  # the averaged weights are about those of the last 1/40 of the run
BETAS, EPSILON = (0.7, 0.95), 1e-8  # little momentum suits recurrent networks (LOG.md)
SOFTMAX_RATE = 3.0  # times the learning rate: what the softmax layer learns with (LOG.md)


class Optimiser:
    """AdamW (Loshchilov and Hutter 2019) and averaged weights.

    Matrices decay, biases do not; the softmax layer learns at SOFTMAX_RATE times the rate.
    """

    def __init__(self, model: LanguageModel, config: TrainConfig) -> None:
        self.averaged = copy.deepcopy(model)
        self.averaged.flatten()
        self.updates = 0
        self._model, self._clip = model, config.clip
        self._parameters: list[Tensor] = list(model.parameters())
        self._averages: list[Tensor] = list(self.averaged.parameters())
        self._groups = _groups(model, config.weight_decay)
        self._moments = [[torch.zeros_like(w) for w in self._parameters] for _ in MOMENTS]

    def next_update(self, learning_rate: float) -> npt.NDArray[np.float64]:
        """(3,) what changes from update to update: rate, number, weight in the average.

        ā ← ā + (w − ā)(γ + 1) / (t + γ) is polynomial-decay averaging (Shamir and Zhang 2013).
        """
        self.updates += 1
        return np.array([learning_rate, self.updates, (AVERAGING + 1) / (self.updates + AVERAGING)])

    @torch.no_grad()
    def update(self, gradients: tuple[Tensor, ...], loss: Tensor, numbers: Tensor) -> Tensor:
        """One step against the loss's gradients, which are used up; their norm before clipping.

        Where the norm or the loss is not finite neither weights nor averages move, which on a GPU
        only the GPU knows: nothing here waits for it. Who sees that takes the step off `updates`.
        """
        rate, number, share = numbers.unbind()
        norm = self._shorten(gradients)
        undone = (loss + norm).isfinite().logical_not().float()
        self._step(gradients, rate, number.float(), undone)
        share = share.float() * (1 - undone)
        for average, weight in zip(self._averages, self._parameters, strict=True):
            average.lerp_(weight, share)
        return norm

    def _shorten(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """Shortens the gradients to the norm allowed, if theirs is larger; gives what theirs was.

        As torch.nn.utils.clip_grad_norm_ does it (Pascanu, Mikolov and Bengio 2013).
        """
        norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        torch._foreach_mul_(gradients, (self._clip / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def _step(
        self, gradients: tuple[Tensor, ...], rate: Tensor, number: Tensor, undone: Tensor
    ) -> None:
        """AdamW, by the kernel of torch.optim.AdamW(fused=True); nothing where `undone` is 1.

        That class itself imports torch's compiler when it is made, which takes a second or more.
        """
        for chosen, rate_factor, weight_decay in self._groups:
            torch._fused_adamw_(
                [self._parameters[k] for k in chosen],
                [gradients[k] for k in chosen],
                [self._moments[0][k] for k in chosen],
                [self._moments[1][k] for k in chosen],
                [],
                [number] * len(chosen),
                lr=rate * rate_factor,
                beta1=BETAS[0],
                beta2=BETAS[1],
                weight_decay=weight_decay,
                eps=EPSILON,
                amsgrad=False,
                maximize=False,
                found_inf=undone,
            )

    def finite(self) -> bool:
        """Whether all weights, averages and moments are."""
        tensors = [*self._parameters, *self._averages, *self._moments[0], *self._moments[1]]
        norms = torch._foreach_norm(tensors, math.inf)
        return bool(torch.stack(norms).isfinite().all())

    def reset(self, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Begins anew with these weights."""
        for model in (self._model, self.averaged):
            model.load_weights(weights)
        for moments in self._moments:
            torch._foreach_zero_(moments)
        self.updates = 0

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Copies of the weights, their average and AdamW's moments, for `restore`."""
        arrays = {f"weights.{name}": array for name, array in copies(self._model).items()}
        arrays |= {f"average.{name}": array for name, array in copies(self.averaged).items()}
        for moment, tensors in zip(MOMENTS, self._moments, strict=True) if self.updates else ():
            for name, tensor in zip(self._model.named_weights(), tensors, strict=True):
                arrays[f"{moment}.{name}"] = tensor.cpu().numpy().copy()
        return arrays

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], updates: int) -> None:
        """Goes back to where `arrays` were taken, after so many updates."""
        self.updates = updates
        names = self._model.named_weights()
        for prefix, model in (("weights.", self._model), ("average.", self.averaged)):
            model.load_weights({name: arrays[prefix + name] for name in names})
        for moment, tensors in zip(MOMENTS, self._moments, strict=True) if updates else ():
            for name, tensor in zip(names, tensors, strict=True):
                tensor.copy_(tensor_of(arrays[f"{moment}.{name}"], tensor.device))


def _groups(model: LanguageModel, weight_decay: float) -> list[tuple[list[int], float, float]]:
    """Which parameters learn alike: their numbers, their rate's factor and their decay."""
    groups: dict[tuple[float, float], list[int]] = {}
    for k, (name, weight) in enumerate(model.named_parameters()):
        rate_factor = SOFTMAX_RATE if name.startswith("output.") else 1.0
        kind = rate_factor, weight_decay if weight.dim() > 1 else 0.0
        groups.setdefault(kind, []).append(k)
    return [(numbers, *kind) for kind, numbers in groups.items()]


def rate_share(fraction: float, warmup: float) -> float:
    """The peak rate's share, by the budget's: a straight line up, then one down to nearly 0."""
    if fraction < warmup:
        return min(max(fraction, 1e-3) / warmup, 1.0)
    left = (1 - fraction) / max(1 - warmup, 1e-9)
    return FINAL_RATE + (1 - FINAL_RATE) * left


def copies(model: LanguageModel) -> dict[str, npt.NDArray[np.float32]]:
    """Copies of a model's weights."""
    return {
        name: weight.detach().cpu().numpy().copy() for name, weight in model.named_weights().items()
    }


def tensor_of(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """A copy of the array as a tensor."""
    return torch.from_numpy(array.copy()).to(device)
