"""One text as a model reads it, ready for a page: surprise, alternatives, cells, found features.

All that a page needs to answer for any character, any cell and any span is in one small record.
Knows models and passages; knows nothing about HTML.
"""

import base64
import dataclasses
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.api import Model
from charlm.errors import TextError
from charlm.figures import visible
from charlm.inference import Array
from charlm.inspection.activations import Block, Cell, blocks
from charlm.inspection.features import FEATURES, of_tokens
from charlm.inspection.finding import Found, FoundCell, find_in
from charlm.inspection.passage import Passage
from charlm.inspection.surprise import Expectations, expectations

LEVELS = 16  # of a cell's value, from −1 to 1
MOST_VALUES = 6_000_000  # cells × tokens that are kept: about 3 MB of a page
BEST = 3  # cells that are shown of each feature
PROBABILITY = 10_000  # of what a probability is written as a share

Levels = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a page shows of a text.

    cells: those whose values are kept, with the `levels` of each after every token (cells, tokens).
    all_cells: how many the model has. found: of each feature the cells that tell it best.
    """

    passage: Passage
    expected: Expectations
    names: Sequence[str]  # of the tokens
    cells: Sequence[Cell]
    all_cells: int
    levels: Levels
    found: dict[str, Found]
    squashed: bool  # levels are of v / (1 + |v|): a ReLU's values have no bound

    @property
    def bits(self) -> float:
        """Bits of the whole text."""
        return float(self.expected.bits.sum())

    def to_json(self) -> dict[str, Any]:
        """Plain values; the levels as bytes, compressed, in base64."""
        numbers, likeliest = np.unique(self.expected.likeliest, return_inverse=True)
        return {
            "pieces": [visible(piece) for piece in self.passage.pieces],
            "bits": [round(float(bits), 4) for bits in self.expected.bits],
            "ranks": self.expected.ranks.tolist(),
            "names": [visible(self.names[number]) for number in numbers],
            "likeliest": likeliest.reshape(self.expected.likeliest.shape).tolist(),
            "probabilities": np.rint(self.expected.probabilities * PROBABILITY)
            .astype(int)
            .tolist(),
            "cells": [str(cell) for cell in self.cells],
            "allCells": self.all_cells,
            "squashed": self.squashed,
            "perLine": self.passage.per_line,
            "levels": packed(self.levels),
            "found": {
                name: _found_json(found)
                for name, found in sorted(self.found.items(), key=_strength, reverse=True)
            },
        }


def read(model: Model, text: str) -> Reading:
    """Reads the text: once for what is expected, once for the cells."""
    config, tokenizer = model.checkpoint.model, model.tokenizer
    passage = Passage.of(tokenizer, text, model.per_line)
    kept = [_memories_alone(block) for block in blocks(model.engine, passage.ids)]
    found = _find(kept, passage, model)
    values = np.concatenate([block.values() for block in kept])
    if no_bound := config.cell == "rnn-relu":
        values = values / (1 + np.abs(values))
    columns = _columns(values, found, model)
    levels = ((values[:, columns] + 1) * (LEVELS / 2)).astype(np.int64).clip(0, LEVELS - 1)
    return Reading(
        passage=passage,
        expected=expectations(model.engine, passage),
        names=[tokenizer.piece(token) for token in range(tokenizer.size)],
        cells=[Cell.at(column, config) for column in columns],
        all_cells=values.shape[1],
        levels=np.ascontiguousarray(levels.T.astype(np.uint8)),
        found=found,
        squashed=no_bound,
    )


def _memories_alone(block: Block) -> Block:
    """The block with only the cells' memories after each step: a fraction of all states."""
    after = [(*(None for _ in layer[1:]), layer[-1]) for layer in block.after]
    return dataclasses.replace(block, before=[], after=after)


def _find(kept: Sequence[Block], passage: Passage, model: Model) -> dict[str, Found]:
    """Every feature that both halves of the text have, with all cells ranked."""
    found = {}
    for name, feature in FEATURES.items():
        try:
            found[name] = find_in(kept, model.checkpoint.model, of_tokens(feature, passage))
        except TextError:  # everywhere the same in a half of the text
            continue
    return found


def _columns(values: Array, found: dict[str, Found], model: Model) -> list[int]:
    """The cells to keep, in order: all, or those found and those that move most."""
    room = MOST_VALUES // len(values)
    if values.shape[1] <= room:
        return list(range(values.shape[1]))
    best = [
        one.cell.column(model.checkpoint.model)
        for f in found.values()
        if f.beyond_chance
        for one in f.cells[:BEST]
    ]
    moving = np.argsort(-values.std(axis=0), kind="stable").tolist()
    return sorted(list(dict.fromkeys([*best, *moving]))[:room])


def _strength(found: tuple[str, Found]) -> float:
    """From 0, chance, to 1: how well the best cell does on the held-out half."""
    score = found[1].cells[0].held_out
    return score if found[1].measure == "correlation" else 2 * score - 1


def _found_json(found: Found) -> dict[str, Any]:
    def record(one: FoundCell) -> dict[str, Any]:
        return {
            "cell": str(one.cell),
            "rising": one.rising,
            "chosen": round(one.chosen, 3),
            "heldOut": round(one.held_out, 3),
        }

    return {
        "measure": found.measure,
        "cells": [record(one) for one in found.cells[:BEST]],
        "moved": round(found.chance.held_out, 3),
        "beyondChance": found.beyond_chance,
    }


def packed(levels: Levels) -> str:
    """Bytes, compressed (zlib), in base64."""
    return base64.b64encode(zlib.compress(levels.tobytes(), 6)).decode("ascii")
