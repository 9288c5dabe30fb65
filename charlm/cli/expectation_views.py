"""Views of `charlm inspect` on what a model expects: surprise and predictions.

Each is drawn on a terminal, or written as columns or JSON.
"""

import dataclasses
import math
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
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
from charlm.inspection.colours import Colour

if TYPE_CHECKING:
    from charlm.api import Model
    from charlm.inspection.passage import Passage
    from charlm.inspection.surprise import Expectations


def surprise(model: "Model", passage: "Passage", options: Options) -> None:
    """Every token on the colour of its bits, the bits of each line, the greatest surprises."""
    from charlm.inspection.surprise import expectations

    with reading(model.engine, len(passage)) as engine:
        seen = expectations(engine, passage, count=1)
    bits = [float(value) for value in seen.bits]
    lines = list(passage.lines())
    totals = [math.fsum(bits[begin:end]) for begin, end in lines]
    if options["as_json"]:
        _surprise_json(model, passage, seen, totals)
    elif depth := paint.colours():
        _paint_surprise(passage, bits, lines, totals, depth)
        _greatest(model, passage, seen)
    else:
        _surprise_columns(model, passage, seen, lines, totals)


def _paint_surprise(
    passage: "Passage",
    bits: Sequence[float],
    lines: Sequence[tuple[int, int]],
    totals: Sequence[float],
    depth: int,
) -> None:
    from charlm.inspection.surprise import MOST_BITS, colour_of

    width = max(len(f"{total:,.1f}") for total in totals) + 5
    margins = [f"{total:,.1f} bits".rjust(width) for total in totals]
    colours = [colour_of(value) for value in of_characters(passage, bits)]
    for row in paint.page(passage.pieces, colours, lines, margins, depth):
        paint.show(row)
    scale = [(f" {value} ", colour_of(value)) for value in range(int(MOST_BITS) + 1)]
    paint.show("")
    paint.legend(scale, "or more", depth, f"{'bits'.rjust(width)} │ ")
    paint.legend([], _total(passage, sum(totals)), depth, f"{'in all'.rjust(width)} │ ")
    paint.show("")


def _total(passage: "Passage", bits: float) -> str:
    characters = passage.characters
    return f"{bits:,.1f} bits, {bits / characters:.4f} a character ({characters:,} characters)"


def _greatest(model: "Model", passage: "Passage", seen: "Expectations") -> None:
    rows = [
        [
            place(passage, t),
            f"{seen.bits[t]:.2f}",
            f"{seen.ranks[t]}",
            around(passage, t, t + 1, model.tokenizer.piece(int(passage.ids[t + 1]))),
            f"{terminal.symbol(model.tokenizer.piece(int(seen.likeliest[t, 0])))} "
            f"{seen.probabilities[t, 0]:.2f}",
        ]
        for t in seen.greatest(GREATEST)
    ]
    titles = ["line:column", "bits", "rank", "the greatest surprises", "expected, with P"]
    terminal.table(titles, rows, right=[0, 1, 2], spare=[2, 0, 4])


def _surprise_columns(
    model: "Model",
    passage: "Passage",
    seen: "Expectations",
    lines: Sequence[tuple[int, int]],
    totals: Sequence[float],
) -> None:
    expected = (terminal.symbol(model.tokenizer.piece(int(k))) for k in seen.likeliest[:, 0])
    figures = zip(
        places(passage),
        names(model, passage),
        seen.bits,
        seen.ranks,
        expected,
        seen.probabilities[:, 0],
        strict=True,
    )
    columns(
        ["line", "column", "token", "bits", "rank", "expected", "P"],
        ((*place, token, float(b), r, e, float(p)) for place, token, b, r, e, p in figures),
    )
    if not sys.stdout.isatty():  # a program reads one table; --json has the sums too
        terminal.notice(_total(passage, sum(totals)))
        return
    terminal.write("\n")
    columns(
        ["line", "bits", "tokens"],
        (
            (number, total, end - begin)
            for number, ((begin, end), total) in enumerate(zip(lines, totals, strict=True), 1)
        ),
    )
    terminal.write(f"\n{_total(passage, sum(totals))}\n\n")
    _greatest(model, passage, seen)


def _surprise_json(
    model: "Model", passage: "Passage", seen: "Expectations", totals: Sequence[float]
) -> None:
    from charlm.tokenizers import UNK

    tokens = (
        {
            "piece": piece,
            "bits": float(seen.bits[t]),
            "rank": int(seen.ranks[t]),
            "expected": model.tokenizer.piece(int(seen.likeliest[t, 0])),
            "expected_probability": float(seen.probabilities[t, 0]),
            "unseen": bool(passage.ids[t + 1] == UNK),
        }
        for t, piece in enumerate(pieces(passage))
    )
    head = {
        "view": "surprise",
        "bits": math.fsum(totals),
        "characters": passage.characters,
        "line_bits": list(totals),
        "greatest": seen.greatest(GREATEST),
    }
    stream_json(head, "tokens", tokens)


Step = list[tuple[str, float, bool]]  # pieces with their probability, and whether each came


def predictions(model: "Model", passage: "Passage", options: Options) -> None:
    """After every token the five likeliest next, the one that came marked."""
    import numpy as np

    from charlm.inspection.surprise import expectations
    from charlm.tokenizers import EOS

    came, after = passage.ids[1:].tolist(), [EOS_NAME, *pieces(passage)]
    named = [EOS_NAME, *names(model, passage)]
    if not passage.per_line:  # what comes after the last token is asked too
        passage = dataclasses.replace(passage, ids=np.append(passage.ids, EOS))
    with reading(model.engine, len(passage)) as engine:
        seen = expectations(engine, passage)
    steps = _steps(model, seen, came)
    if options["as_json"]:
        records = (_step_json(piece, step) for piece, step in zip(after, steps, strict=False))
        stream_json({"view": "predictions"}, "steps", records)
    elif depth := paint.colours():
        likely = [model.tokenizer.piece(int(token)) for token in np.unique(seen.likeliest)]
        width = max(_widest(map(terminal.symbol, likely)) + 6, _widest(set(named)) + 1)
        _paint_predictions(zip(named, steps, strict=False), width, depth)
    else:
        titles = [f"{title}{k + 1}" for k in range(seen.likeliest.shape[1]) for title in COLUMNS]
        rows = (
            [name, *(part for piece, p, _ in step for part in (terminal.symbol(piece), p))]
            for name, step in zip(named, steps, strict=False)
        )
        columns(["after", *titles], rows)


COLUMNS = ("next", "P")
CUT = 8  # characters of a longer token that are shown


def _steps(model: "Model", seen: "Expectations", came: Sequence[int]) -> Iterator[Step]:
    for t, (likeliest, probabilities) in enumerate(
        zip(seen.likeliest, seen.probabilities, strict=True)
    ):
        yield [
            (model.tokenizer.piece(int(token)), float(p), t < len(came) and int(token) == came[t])
            for token, p in zip(likeliest, probabilities, strict=True)
        ]


def _step_json(after: str, step: Step) -> dict[str, Any]:
    following = [{"piece": piece, "probability": p, "came": came} for piece, p, came in step]
    return {"after": after, "next": following}


def _paint_predictions(steps: Iterator[tuple[str, Step]], width: int, depth: int) -> None:
    """Blocks of as many columns as fit: the token, and under it what was likeliest next."""
    from charlm.inspection.surprise import colour_of

    across = max(1, shutil.get_terminal_size().columns // width)
    while block := list(islice(steps, across)):
        paint.show("".join(_padded(after[:CUT], width) for after, _ in block))
        for row in zip(*(step for _, step in block), strict=True):
            cells = [
                _padded(
                    f"{terminal.symbol(piece)[:CUT]} {_share(p)}",
                    width,
                    colour_of(-math.log2(max(p, 1e-300))) if came else None,
                    depth,
                )
                for piece, p, came in row
            ]
            paint.show("".join(cells))
        paint.show("")
    marked = [(" the one that came ", colour_of(0))]
    paint.legend(marked, "is on the colour of its bits, as in --view surprise", depth)


def _padded(text: str, width: int, colour: Colour | None = None, depth: int = 0) -> str:
    rest = " " * (width - terminal.columns_of(text))
    return (paint.painted(text, colour, depth) if colour else text) + rest


def _widest(symbols: Iterable[str]) -> int:
    return max(terminal.columns_of(symbol[:CUT]) for symbol in symbols)


def _share(p: float) -> str:
    """.93, of the width of three."""
    return "1.0" if p >= 0.995 else f"{p:.2f}"[1:]
