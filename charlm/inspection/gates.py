"""How often each gate of each cell stands closed or open, as in Karpathy, Johnson and Li 2015.

A gate's value at one step is a function of the state before it and of the step's input, so all
steps are computed at once, from the recorded states, in a few matrix products. Knows the cells'
gates (`charlm.cells` has the equations) and activations; knows nothing about terminals.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charlm.config import ModelConfig
from charlm.errors import OptionError
from charlm.inference import Array, Engine, Ids
from charlm.inspection.activations import Block, blocks
from charlm.steps import sigmoid

CLOSED, OPEN = 0.1, 0.9  # below and above: left- and right-saturated


class Rows(NamedTuple):
    """Where a gate's weights stand: its block of rows, and its row of the peepholes."""

    block: int
    peephole: int = 0
    keeps: bool = False  # the rows give 1 − Γ_u: torch.nn's z keeps the old state


GATES_OF: dict[str, dict[str, Rows]] = {
    "lstm": {"update": Rows(0), "forget": Rows(1), "output": Rows(3)},
    "lstm-peephole": {"update": Rows(0, 0), "forget": Rows(1, 1), "output": Rows(3, 2)},
    "gru": {"reset": Rows(0), "update": Rows(1, keeps=True)},
    "gru-reset-before": {"reset": Rows(0), "update": Rows(1)},
    "gru-simple": {"update": Rows(0)},
}


@dataclasses.dataclass(frozen=True)
class Saturation:
    """For each cell of a layer, the share of time that a gate is below 0.1 and above 0.9."""

    layer: int  # from 1
    gate: str
    left: npt.NDArray[np.float64]  # (hidden,)
    right: npt.NDArray[np.float64]


def saturation(engine: Engine, weights: Mapping[str, Array], ids: Ids) -> list[Saturation]:
    """Every layer's gates while the text ids[1:] is read; OptionError if the cell has none."""
    config = engine.config
    if config.cell not in GATES_OF:
        raise OptionError(
            f"--view gates: a model of {config.cell} cells has no gates; "
            f"those of {', '.join(sorted(GATES_OF))} have"
        )
    steps = len(ids) - 1
    shape = (config.layers, len(GATES_OF[config.cell]), config.hidden_size)
    left, right = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for block in blocks(engine, ids):
        for k, number, values in gate_values(config, weights, block):
            left[k, number] += (values < CLOSED).sum(axis=0)
            right[k, number] += (values > OPEN).sum(axis=0)
    return [
        Saturation(k + 1, gate, left[k, number] / steps, right[k, number] / steps)
        for k in range(config.layers)
        for number, gate in enumerate(GATES_OF[config.cell])
    ]


def gate_values(
    config: ModelConfig, weights: Mapping[str, Array], block: Block
) -> Iterator[tuple[int, int, Array]]:
    """Layer, number of the gate in GATES_OF and its values (time, hidden) at the block's steps."""
    inputs = weights["embedding.weight"][block.ids]
    for k in range(config.layers):
        hidden = block.before[k][0]
        for number, rows in enumerate(GATES_OF[config.cell].values()):
            at = slice(rows.block * config.hidden_size, (rows.block + 1) * config.hidden_size)
            total = inputs @ weights[f"rnn.weight_ih_l{k}"][at].T
            total += hidden @ weights[f"rnn.weight_hh_l{k}"][at].T
            total += weights[f"rnn.bias_ih_l{k}"][at] + weights[f"rnn.bias_hh_l{k}"][at]
            if config.cell == "lstm-peephole":
                total += weights[f"rnn.weight_ch_l{k}"][rows.peephole] * block.before[k][1]
            yield k, number, sigmoid(-total if rows.keeps else total)
        inputs = block.after[k][0]
