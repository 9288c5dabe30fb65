"""Steps that a GPU replays are the steps themselves, bit for bit.

Where there is no GPU a recorded graph is played by one that keeps each operation with the tensors
that it read and wrote, and runs it again on those, as a CUDA graph does.
"""

import gc
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from conftest import corpus_of, fixed_machine
from test_training import TEXT, assert_same, finish
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from charlm import run
from charlm.config import CELLS
from charlm.replay import Replayed
from charlm.run import Run

LINES = "".join("ab" * (k % 7 + 1) + "\n" for k in range(200))


class Graph(TorchDispatchMode):
    """Operations with the tensors that they read and wrote when they were recorded.

    Recording leaves all tensors as they were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Callable[..., Any], Any, Any, Any]] = []
        self.replays = 0
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}  # by address: a tensor, its values before

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for read in tree_flatten((args, kwargs))[0]:
            if isinstance(read, Tensor):
                self._kept.setdefault(read.data_ptr(), (read, read.detach().clone()))
        results = func(*args, **kwargs)
        self.operations.append((func, args, kwargs, results))
        return results

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for tensor, before in self._kept.values():
            tensor.data.copy_(before)

    def replay(self) -> None:
        self.replays += 1
        for function, args, kwargs, results in self.operations:
            with torch._C._AutoDispatchBelowAutograd():
                again = function(*args, **kwargs)
            for written, new in zip(tree_flatten(results)[0], tree_flatten(again)[0], strict=True):
                if isinstance(written, Tensor) and written.data_ptr() != new.data_ptr():
                    written.data.copy_(new)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    """The graphs recorded by a test, in order."""
    made: list[Graph] = []

    def new() -> Graph:
        made.append(Graph())
        return made[-1]

    monkeypatch.setattr(torch.cuda, "CUDAGraph", new)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, _: graph)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 0))
    return made


def replayed(training: Any) -> None:
    """Makes a run's steps replays, as they are on a GPU."""
    training._stepper._learn = Replayed(training._stepper._learn_from)


def begin(text: str, per_line: bool, **chosen: Any) -> Run:
    small = {"hidden_size": 8, "batch_size": 4, "bptt": 16, "reset_probability": 0.2}
    corpus = corpus_of(text, per_line=per_line)
    return run.begin(corpus, fixed_machine(), {**small, "dropout": 0.3, **chosen})


@pytest.mark.parametrize("cell", CELLS)
def test_replayed_steps_are_the_steps(cell: str, graphs: list[Graph]) -> None:
    plain, replaying = (begin(TEXT, False, steps=30, layers=2, cell=cell) for _ in range(2))
    replayed(replaying.training)
    finish(plain)
    finish(replaying)
    assert [graph.replays for graph in graphs] == [29]
    assert_same(plain, replaying)


def test_each_length_of_lines_has_its_recording(graphs: list[Graph]) -> None:
    plain, replaying = (begin(LINES, True, epochs=3) for _ in range(2))
    replayed(replaying.training)
    finish(plain)
    finish(replaying)
    assert len(graphs) > 3
    assert_same(plain, replaying)


def test_a_call_is_replayed_from_the_second_with_such_shapes_on(graphs: list[Graph]) -> None:
    calls = []

    def double(x: Tensor) -> Sequence[Tensor]:
        calls.append((x.shape, gc.isenabled()))
        return [2 * x]

    function = Replayed(double)
    for number in range(4):
        for size in (2, 3):
            (result,) = function(torch.full((size,), float(number)))
            assert result.tolist() == [2.0 * number] * size
    assert calls == [((2,), True), ((3,), True), ((2,), False), ((3,), False)]
    assert gc.isenabled()  # what an earlier graph's end in the midst of a recording would break
    assert [graph.replays for graph in graphs] == [3, 3]
