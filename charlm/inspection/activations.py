"""What the cells do while a model reads a text: every layer's state after every token.

The states come in blocks, so that a long text needs little memory. Knows engines; knows nothing
about text, features or terminals.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.config import ModelConfig
from charlm.errors import OptionError
from charlm.inference import Array, Engine, Ids, State, finite
from charlm.tokenizers import EOS

BLOCK = 1024  # steps of a block


@dataclass(frozen=True)
class Block:
    """Steps start, start + 1, …: the tokens read, and the state before and after each.

    before[k] and after[k] are of layer k: (a, c) for an LSTM, else (a,), each (time, hidden).
    """

    start: int
    ids: Ids
    before: State
    after: State

    @property
    def steps(self) -> slice:
        return slice(self.start, self.start + len(self.ids))

    def memories(self) -> Array:
        """What every cell keeps, (time, layers × hidden): c of an LSTM, else a."""
        return np.concatenate([layer[-1] for layer in self.after], axis=1)

    def values(self) -> Array:
        """What is shown of every cell, of the same shape: tanh(c) of an LSTM, else a.

        tanh(c⟨t⟩) is what Karpathy, Johnson and Li 2015 show: the memory, gate or no gate.
        """
        shown = [np.tanh(layer[1]) if len(layer) > 1 else layer[0] for layer in self.after]
        return np.concatenate(shown, axis=1)


def blocks(engine: Engine, ids: Ids, length: int = BLOCK) -> Iterator[Block]:
    """Reads ids[0], then gives the states around each of ids[1:]; <EOS> starts afresh.

    Step t is the reading of ids[t + 1]. Raises OverflowingError where a state is not finite.
    """
    zero = engine.initial_state(1)
    state = engine.after(ids[:1, None], zero)
    for start in range(0, len(ids) - 1, length):
        part = ids[start + 1 : start + 1 + length]
        before, after = _empty(zero, len(part)), _empty(zero, len(part))
        for t, token in enumerate(part):
            state = zero if token == EOS else state
            _keep(before, t, state)
            state = engine.after(part[t : t + 1, None], state)
            _keep(after, t, state)
        for state_part in itertools.chain(*after):
            finite(state_part)
        yield Block(start, part, before, after)


def _empty(state: State, steps: int) -> State:
    return [
        tuple(np.empty((steps, part.shape[1]), np.float32) for part in layer) for layer in state
    ]


def _keep(states: State, t: int, state: State) -> None:
    for rows, layer in zip(states, state, strict=True):
        for row, part in zip(rows, layer, strict=True):
            row[t] = part[0]


@dataclass(frozen=True, order=True)
class Cell:
    """One cell: its layer and its number in it, both counted from 1, written `LAYER:NUMBER`."""

    layer: int
    number: int

    def __str__(self) -> str:
        return f"{self.layer}:{self.number}"

    @classmethod
    def at(cls, column: int, config: ModelConfig) -> "Cell":
        """The cell whose value stands in this column of `Block.values`."""
        layer, number = divmod(column, config.hidden_size)
        return cls(layer + 1, number + 1)

    def column(self, config: ModelConfig) -> int:
        """The inverse of `at`."""
        return (self.layer - 1) * config.hidden_size + self.number - 1

    @classmethod
    def parse(cls, text: str, config: ModelConfig) -> "Cell":
        """From `LAYER:NUMBER`; raises OptionError if the model has no such cell."""
        numbers = re.fullmatch(r"(\d{1,18}):(\d{1,18})", text)
        if not numbers:
            raise OptionError(
                f"--cell-index {text!r:.40}: write LAYER:NUMBER, both from 1, as in 1:17"
            )
        cell = cls(int(numbers[1]), int(numbers[2]))
        if not 1 <= cell.layer <= config.layers:
            raise OptionError(f"--cell-index {text}: the model has layers 1 to {config.layers}")
        if not 1 <= cell.number <= config.hidden_size:
            raise OptionError(
                f"--cell-index {text}: layer {cell.layer} has cells 1 to {config.hidden_size}"
            )
        return cell


def trace(engine: Engine, ids: Ids, cell: Cell) -> npt.NDArray[np.float32]:
    """The value of one cell after each of ids[1:]."""
    column = cell.column(engine.config)
    return np.concatenate([block.values()[:, column].copy() for block in blocks(engine, ids)])
