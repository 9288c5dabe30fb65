"""The view of `charlm inspect` on a model's gates: how often each is closed and open.

Drawn on a terminal, or written as columns or JSON.
"""

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from charlm.cli import paint, terminal
from charlm.cli.views import Options, columns
from charlm.cli.watched import reading

if TYPE_CHECKING:
    from charlm.api import Model
    from charlm.inspection.gates import Saturation
    from charlm.inspection.passage import Passage


def gates(model: "Model", passage: "Passage", options: Options) -> None:
    """How often each gate of each cell is below 0.1 and above 0.9."""
    from charlm.inspection.gates import saturation

    with reading(model.engine, len(passage)) as engine:
        found = saturation(engine, model.checkpoint.weights, passage.ids)
    if options["as_json"]:
        layers = [
            {
                "layer": one.layer,
                "gate": one.gate,
                "left": one.left.tolist(),
                "right": one.right.tolist(),
            }
            for one in found
        ]
        terminal.write_json({"view": "gates", "tokens": len(passage), "gates": layers})
        return
    if not paint.colours():
        columns(
            ["layer", "gate", "cell", "below 0.1", "above 0.9"],
            (
                [one.layer, one.gate, number, float(left), float(right)]
                for one in found
                for number, (left, right) in enumerate(zip(one.left, one.right, strict=True), 1)
            ),
        )
        terminal.write("\n")
        columns(GATE_TITLES, map(_gate_row, found))
        return
    terminal.table(GATE_TITLES, map(_gate_row, found), right=[0, 2, 3, 4, 5])
    for layer in sorted({one.layer for one in found}):
        _scatter([one for one in found if one.layer == layer])


GATE_TITLES = ["layer", "gate", "below 0.1", "above 0.9", "cells mostly closed", "mostly open"]


def _gate_row(found: "Saturation") -> list[str]:
    return [
        str(found.layer),
        found.gate,
        f"{found.left.mean():.1%}",
        f"{found.right.mean():.1%}",
        str(int((found.left > 0.9).sum())),
        str(int((found.right > 0.9).sum())),
    ]


ACROSS, DOWN = 22, 9  # of a gate's picture
DENSITY = "·:*#"  # one cell, up to 4, up to 16, more


def _scatter(found: Sequence["Saturation"]) -> None:
    """Every cell as a point: above 0.9 to the right, below 0.1 upwards (Karpathy et al. 2015)."""
    across = max(1, (shutil.get_terminal_size().columns + 2) // (ACROSS + 5))
    for first in range(0, len(found), across):
        _side_by_side(found[first : first + across])
    text = "up: share of time below 0.1; · one cell, : up to 4, * up to 16, # more"
    paint.legend([], text, paint.PLAIN)


def _side_by_side(found: Sequence["Saturation"]) -> None:
    pictures = [_picture(one) for one in found]
    titles = [f"layer {one.layer}, {one.gate} gate" for one in found]
    paint.show("\n" + "  ".join(title.ljust(ACROSS + 3) for title in titles))
    for row in zip(*pictures, strict=True):
        paint.show("  ".join(row))
    axis = f"  0 above 0.9{'1'.rjust(ACROSS - 11)} "
    paint.show("  ".join(axis for _ in found))


def _picture(found: "Saturation") -> list[str]:
    counts = [[0] * ACROSS for _ in range(DOWN)]
    for left, right in zip(found.left, found.right, strict=True):
        down = round((1 - float(left)) * (DOWN - 1))
        counts[down][round(float(right) * (ACROSS - 1))] += 1
    rows = ["".join(map(_density, row)) for row in counts]
    return ["1│" + rows[0] + " ", *(f" │{row} " for row in rows[1:-1]), "0│" + rows[-1] + " "]


def _density(count: int) -> str:
    if not count:
        return " "
    return DENSITY[min(3, ((count - 1).bit_length() + 1) // 2)]
