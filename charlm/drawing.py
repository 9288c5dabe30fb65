"""Choosing the next tokens of many streams on a GPU, where their logits are.

What `charlm.sampling.Sampler` does in NumPy, which is faster on a CPU; the tests hold the two
equal. Knows nothing about networks or texts.
"""

import math

import torch
from torch import Tensor

from charlm.inference import Exact
from charlm.sampling import COLDEST, Sampler

NONE = -1  # what is drawn where nothing can be


def drawn(sampler: Sampler, logits: Tensor, uniforms: Exact) -> Tensor:
    """Tokens (batch,) for logits (batch, vocabulary), which are used up, and uniforms (batch,).

    NONE where the logits are not finite.
    """
    for token in sampler.forbidden:
        logits[:, token] = -math.inf
    most = logits.amax(1, keepdim=True)
    tokens = _chosen(sampler, logits, most, uniforms)
    return tokens.where(most[:, 0].isfinite(), NONE)


def _chosen(sampler: Sampler, logits: Tensor, most: Tensor, uniforms: Exact) -> Tensor:
    if sampler.temperature == 0:
        return logits.argmax(1)
    scaled = (logits - most).double()
    weights = scaled.div_(max(sampler.temperature, COLDEST)).exp_()
    if sampler.top_k is not None and sampler.top_k < weights.shape[1]:
        likeliest = weights.topk(sampler.top_k, 1)
        weights = torch.zeros_like(weights).scatter_(1, likeliest.indices, likeliest.values)
    if sampler.top_p is not None and sampler.top_p < 1:
        weights = _nucleus(weights, sampler.top_p)
    if sampler.min_p is not None:
        weights[weights < sampler.min_p * weights.amax(1, keepdim=True)] = 0.0
    return _draw(weights, torch.from_numpy(uniforms).to(weights.device))


def _nucleus(weights: Tensor, share: float) -> Tensor:
    ordered, order = weights.sort(stable=True, dim=1, descending=True)
    before = ordered.cumsum(1) - ordered
    ordered[before >= share * ordered.sum(1, keepdim=True)] = 0.0
    return torch.zeros_like(weights).scatter_(1, order, ordered)


def _draw(weights: Tensor, uniforms: Tensor) -> Tensor:
    """One token a row with probability proportional to its weight, by the inverse of the sum."""
    sums = weights.cumsum(1)
    tokens = (sums <= (uniforms * sums[:, -1])[:, None]).sum(1)
    likely = (weights > 0) * torch.arange(weights.shape[1], device=weights.device)
    return torch.minimum(tokens, likely.amax(1))  # rounding may pass the last one
