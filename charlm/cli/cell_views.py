"""Views of `charlm inspect` on a model's cells: one cell, finding, matching, context.

Each is drawn on a terminal, or written as columns or JSON.
"""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from charlm.cli import paint, terminal
from charlm.cli.views import (
    EOS_NAME,
    GREATEST,
    Options,
    around,
    columns,
    names,
    of_characters,
    pieces,
    place,
    places,
    stream_json,
)
from charlm.cli.watched import reading
from charlm.errors import OptionError
from charlm.inspection.colours import Colour, diverging, sequential

if TYPE_CHECKING:
    from charlm.api import Model
    from charlm.inspection.finding import Found, FoundCell
    from charlm.inspection.matching import Matches
    from charlm.inspection.passage import Passage

THRESHOLD = 0.3  # as LSTMVis has it


def cells(model: "Model", passage: "Passage", options: Options) -> None:
    """The text coloured by one cell, or all cells ranked by how well each tells a feature."""
    if options["cell_index"] is not None:
        _one_cell(model, passage, options)
    else:
        _find(model, passage, options)


def _one_cell(model: "Model", passage: "Passage", options: Options) -> None:
    from charlm.inspection.activations import Cell, trace

    cell = Cell.parse(options["cell_index"], model.checkpoint.model)
    with reading(model.engine, len(passage)) as engine:
        values = [float(value) for value in trace(engine, passage.ids, cell)]
    greatest = max(1.0, max(map(abs, values)))  # a ReLU's values know no bound
    if options["as_json"]:
        head = {"view": "cells", "layer": cell.layer, "cell": cell.number}
        figures = zip(pieces(passage), values, strict=True)
        stream_json(head, "tokens", ({"piece": piece, "value": value} for piece, value in figures))
    elif depth := paint.colours():
        colours = [diverging(value / greatest) for value in values]
        _paint(passage, colours, depth)
        scale = [(f" {greatest * k / 4:+.3g} ", diverging(k / 4)) for k in range(-4, 5)]
        paint.show("")
        paint.legend(scale, f"cell {cell} after each token", depth)
    else:
        _columns(zip(places(passage), names(model, passage), values, strict=True), "value")


def _paint(passage: "Passage", colours: Sequence[Colour], depth: int) -> None:
    """The text on its colours, behind the numbers of its lines."""
    lines = list(passage.lines())
    width = len(str(len(lines)))
    margins = [str(number).rjust(width) for number in range(1, len(lines) + 1)]
    for row in paint.page(passage.pieces, colours, lines, margins, depth):
        paint.show(row)


def _columns(figures: Iterable[tuple[tuple[int, int], str, float]], title: str) -> None:
    """Each token's place, name and value."""
    columns(
        ["line", "column", "token", title],
        ((*place, name, value) for place, name, value in figures),
    )


def _find(model: "Model", passage: "Passage", options: Options) -> None:
    from charlm.inspection.features import FEATURES, matches, of_tokens
    from charlm.inspection.finding import find

    name = options["find"]
    feature = FEATURES[name] if name else matches(options["find_regex"])
    labels = of_tokens(feature, passage)
    with reading(model.engine, len(passage)) as engine:
        found = find(engine, passage, labels)
    name = name or options["find_regex"]
    if options["as_json"]:
        terminal.write_json(_found_json(name, found))
        return
    half = len(labels) // 2
    terminal.write(
        f"{terminal.symbol(name)}: {found.measure} of each cell alone,\n"
        f"chosen on the first {half:,} tokens, scored on the other {len(labels) - half:,}\n\n"
    )
    rows = [_found_row(str(one.cell), one) for one in found.cells[:GREATEST]]
    name = f"{found.chance.cell}, labels moved along the text (best of {len(found.moved)})"
    rows.append(_found_row(name, found.chance))
    terminal.table(["cell", "is", "chosen on", "held out"], rows, right=[2, 3])
    advice = f"look at it: --cell-index {found.cells[0].cell}"
    if not found.beyond_chance:
        advice = (
            "no cell alone tells it: the best does no better than with labels moved along the text"
        )
    chance = 0.5 if found.measure == "AUROC" else 0
    terminal.write(f"\n{advice}; {chance:g} is chance, 1 is perfect\n")


def _found_row(name: str, found: "FoundCell") -> list[str]:
    direction = "higher" if found.rising else "lower"
    return [name, direction, f"{found.chosen:.3f}", f"{found.held_out:.3f}"]


def _found_json(name: str, found: "Found") -> dict[str, Any]:
    def record(one: "FoundCell") -> dict[str, Any]:
        fields = dataclasses.asdict(one)
        cell = fields.pop("cell")
        return {"layer": cell["layer"], "cell": cell["number"], **fields}

    return {
        "view": "cells",
        "feature": name,
        "measure": found.measure,
        "cells": list(map(record, found.cells)),
        "moved": list(map(record, found.moved)),
    }


def matching(model: "Model", passage: "Passage", options: Options) -> None:
    """The cells that are on throughout a span, and the places most like it."""
    from charlm.inspection.matching import match

    begin, end = _span(options["span"], passage)
    threshold = THRESHOLD if options["threshold"] is None else options["threshold"]
    with reading(model.engine, len(passage)) as engine:
        found = match(engine, passage.ids, begin, end, threshold)
    if options["as_json"]:
        terminal.write_json(_matches_json(passage, found, begin, end, threshold))
        return
    terminal.write(
        f"{around(passage, begin, end)}\n"
        f"at least {threshold:g} throughout: {len(found.cells)} of "
        f"{model.checkpoint.model.layers * model.checkpoint.model.hidden_size} cells: "
        f"{' '.join(map(str, found.cells[:GREATEST]))}"
        f"{' …' if len(found.cells) > GREATEST else ''}\n\n"
    )
    rows = [
        [
            place(passage, one.begin),
            str(one.shared),
            str(one.others),
            around(passage, one.begin, one.end),
        ]
        for one in found.places
    ]
    terminal.table(["line:column", "the same", "others", "place"], rows, right=[0, 1, 2])


def _span(span: str, passage: "Passage") -> tuple[int, int]:
    """The tokens that hold the characters A up to B."""
    numbers = re.fullmatch(r"(\d{1,18}):(\d{1,18})", span)
    if not numbers or int(numbers[1]) >= int(numbers[2]):
        raise OptionError(f"--span {span!r:.40}: write A:B, two numbers of which A is the smaller")
    begin, end = int(numbers[1]), int(numbers[2])
    if end > (length := len(passage.text)):
        raise OptionError(
            f"--span {span}: the text has {length:,} characters, so B is at most {length}"
        )
    return passage.token_at(begin), passage.token_at(end - 1) + 1


def _matches_json(
    passage: "Passage", found: "Matches", begin: int, end: int, threshold: float
) -> dict[str, Any]:
    def record(first: int, last: int) -> dict[str, Any]:
        offsets = passage.offsets()
        text = "".join(passage.pieces[first:last])
        return {"begin": int(offsets[first]), "end": int(offsets[last]), "text": text}

    return {
        "view": "matching",
        "span": record(begin, end),
        "threshold": threshold,
        "cells": [{"layer": cell.layer, "cell": cell.number} for cell in found.cells],
        "places": [
            record(one.begin, one.end) | {"shared": one.shared, "others": one.others}
            for one in found.places
        ],
    }


def context(model: "Model", passage: "Passage", options: Options) -> None:
    """How strongly <EOS> and each earlier character bear on a prediction: gradient times input."""
    from charlm.gradients import context as bearing
    from charlm.gradients import network

    last = len(passage.text) - 1
    token = passage.token_at(last if options["position"] is None else options["position"])
    bearings = bearing(network(model.checkpoint), passage.ids, token + 1)
    strengths = [float(value) for value in bearings]
    *before, predicted = [EOS_NAME, *pieces(passage, slice(token + 1))]
    read = dataclasses.replace(passage, pieces=[EOS_NAME, *passage.pieces[:token]])
    if options["as_json"]:
        tokens = [
            {"piece": piece, "gradient_times_input": strength}
            for piece, strength in zip(before, strengths, strict=True)
        ]
        terminal.write_json({"view": "context", "predicted": predicted, "tokens": tokens})
    elif depth := paint.colours():
        sums = of_characters(read, strengths)
        shown = (value for piece, value in zip(read.pieces, sums, strict=True) if piece)
        greatest = max(shown, default=0.0) or 1.0
        _paint(read, [sequential(value / greatest) for value in sums], depth)
        scale = [(f" {greatest * k / 4:.2g} ", sequential(k / 4)) for k in range(5)]
        text = f"|gradient times input| on {terminal.symbol(predicted)}, in nats"
        paint.show("")
        paint.legend(scale, text, depth)
    else:
        at = chain([(1, 0)], places(passage))
        figures = zip(at, [EOS_NAME, *names(model, passage)], strengths, strict=False)
        _columns(figures, "gradient_times_input")
