"""Where else the same cells are on: the question of LSTMVis (Strobelt et al. 2018).

A cell is on throughout a span if its value is at least the threshold after every token of it.
Knows activations and positions; one bit a cell and token is kept. Knows nothing about terminals.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from charlm.errors import OptionError
from charlm.inference import Engine, Ids
from charlm.inspection.activations import Cell, blocks

PLACES = 50

Bits = npt.NDArray[np.uint8]  # (time, cells / 8), packed
_ONES = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


@dataclasses.dataclass(frozen=True)
class Place:
    """Another span, tokens begin to end: how many of the cells are on, and how many others."""

    begin: int
    end: int
    shared: int
    others: int


@dataclasses.dataclass(frozen=True)
class Matches:
    """The cells that are on throughout the span, and the places most like it, the best first."""

    cells: list[Cell]
    places: list[Place]


def match(engine: Engine, ids: Ids, begin: int, end: int, threshold: float) -> Matches:
    """Places of the same length where most of the span's cells are on and fewest others.

    There are PLACES at most. Each has at least one of them on; none overlaps the span or a better
    place. Tokens are counted without the first <EOS>: the span is ids[begin + 1 : end + 1]. Raises
    OptionError if no cell is on throughout the span.
    """
    on = throughout(_switched(engine, ids, threshold), end - begin)
    wanted = on[begin].copy()
    if not wanted.any():
        raise OptionError(
            f"--threshold {threshold:g}: no cell is so high throughout the span; "
            "give a lower one or a shorter span"
        )
    columns = np.flatnonzero(np.unpackbits(wanted))
    shared = _count(on, wanted)
    others = _count(on, ~wanted)
    return Matches(
        [Cell.at(int(column), engine.config) for column in columns],
        _best(shared, others, begin, end),
    )


def _switched(engine: Engine, ids: Ids, threshold: float) -> Bits:
    """One bit a cell and token: whether its value is at least the threshold."""
    return np.concatenate(
        [np.packbits(block.values() >= threshold, axis=1) for block in blocks(engine, ids)]
    )


def throughout(bits: Bits, length: int) -> Bits:
    """Row t: what is set in all rows from t to t + length − 1; doubles the stretch at each pass."""
    rows = len(bits) - length + 1
    reach = 1
    while reach < length:
        step = min(reach, length - reach)
        bits = bits[:-step] & bits[step:]
        reach += step
    return bits[:rows]


def _count(bits: Bits, mask: Bits) -> npt.NDArray[np.int64]:
    """How many bits of the mask are set in each row."""
    counts = np.empty(len(bits), np.int64)
    for at in range(0, len(bits), 2**16):
        counts[at : at + 2**16] = _ONES[bits[at : at + 2**16] & mask].sum(axis=1)
    return counts


def _best(
    shared: npt.NDArray[np.int64],
    others: npt.NDArray[np.int64],
    begin: int,
    end: int,
) -> list[Place]:
    length = end - begin
    free = np.ones(len(shared) + length, bool)
    free[begin:end] = False
    places: list[Place] = []
    for at in np.lexsort((others, -shared)):
        if len(places) == PLACES or not shared[at]:
            break
        if free[at] and free[at + length - 1]:
            places.append(Place(int(at), int(at) + length, int(shared[at]), int(others[at])))
            free[at : at + length] = False
    return places
