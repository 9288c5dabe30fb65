"""A function of tensors whose kernels a GPU records once and then replays (CUDA graphs).

A GPU is done with the kernels of a small network before Python has launched them one by one; a
recorded graph launches all of them at once. Knows nothing about what they compute.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Sequence[Tensor]]
Shapes = tuple[torch.Size, ...]


class Replayed:
    """Calls a function of tensors; from the second call with tensors of the same shapes, a replay.

    The function may only compute with tensors on the GPU: it must not wait for it, nor read or draw
    anything else that changes. What a call gives is overwritten by the next.
    """

    def __init__(self, function: Function) -> None:
        self._function = function
        self._seen: set[Shapes] = set()
        self._recordings: dict[Shapes, _Recording] = {}
        self._pool = torch.cuda.graph_pool_handle()  # of the memory that all recordings share

    def __call__(self, *tensors: Tensor) -> Sequence[Tensor]:
        shapes = tuple(tensor.shape for tensor in tensors)
        if shapes not in self._seen:  # what a library does but once is done now
            self._seen.add(shapes)
            return self._function(*tensors)
        if shapes not in self._recordings:
            self._recordings[shapes] = _Recording(self._function, tensors, self._pool)
        return self._recordings[shapes].replay(tensors)


class _Recording:
    """The kernels for tensors of some shapes, with the places that these are copied to."""

    def __init__(self, function: Function, tensors: Sequence[Tensor], pool: Any) -> None:
        self._places = [tensor.clone() for tensor in tensors]
        self._graph = torch.cuda.CUDAGraph()
        with _nothing_collected(), torch.cuda.graph(self._graph, pool):
            self._results = function(*self._places)

    def replay(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        torch._foreach_copy_(self._places, list(tensors))
        self._graph.replay()
        return self._results


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Keeps Python from collecting garbage: a recording of an earlier run that ends now, in the
    midst of another, would break that off."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
