"""Views of `charlm inspect` on a model's expectations, and what all its views share.

Each is drawn on a terminal, or written as columns or JSON.
"""

import dataclasses
import math
import shutil
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from charlm.cli import paint, terminal
from charlm.cli.watched import reading
from charlm.inspection.colours import Colour

if TYPE_CHECKING:
    from charlm.api import Model
    from charlm.inspection.passage import Passage
    from charlm.inspection.surprise import Expectations

Options = dict[str, Any]
GREATEST = 10  # surprises, and cells found, that are listed


def columns(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A header and rows, with tabs between; texts have been made safe."""
    terminal.write("\t".join(titles) + "\n")
    for row in rows:
        terminal.write("\t".join(map(_plain, row)) + "\n")


def _plain(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def places(passage: "Passage") -> list[tuple[int, int]]:
    """Line and column of each token, from 1."""
    found, line, column = [], 1, 1
    for piece in passage.pieces:
        found.append((line, column))
        column += len(piece)
        if "\n" in piece:
            line += piece.count("\n")
            column = len(piece) - piece.rindex("\n")
    return found


def names(model: "Model", passage: "Passage") -> list[str]:
    """Each token on one line: its text, or a byte's name where it is no character by itself."""
    return [
        terminal.symbol(piece or model.tokenizer.piece(token))
        for piece, token in zip(passage.pieces, passage.ids[1:].tolist(), strict=True)
    ]


def around(passage: "Passage", begin: int, end: int, reach: int = 16) -> str:
    """Tokens begin to end in brackets, with some of the text before and behind."""
    before = "".join(passage.pieces[max(0, begin - reach) : begin])[-reach:]
    behind = "".join(passage.pieces[end : end + reach])[:reach]
    return f"{paint.shown(before)}⟦{paint.shown(''.join(passage.pieces[begin:end]))}⟧" + (
        paint.shown(behind)
    )


# surprise


def surprise(model: "Model", passage: "Passage", options: Options) -> None:
    """Every token on the colour of its bits, the bits of each line, the greatest surprises."""
    from charlm.inspection.surprise import expectations

    with reading(model.engine, len(passage)) as engine:
        seen = expectations(engine, passage, count=1)
    bits = [float(value) for value in seen.bits]
    lines = list(passage.lines())
    totals = [math.fsum(bits[begin:end]) for begin, end in lines]
    if options["as_json"]:
        terminal.write_json(_surprise_json(model, passage, seen, totals))
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
    colours = [colour_of(value) for value in _of_characters(passage, bits)]
    for row in paint.page(passage.pieces, colours, lines, margins, depth):
        paint.show(row)
    legend = "".join(
        paint.painted(f" {value} ", colour_of(value), depth) for value in range(int(MOST_BITS) + 1)
    )
    paint.show(f"\n{'bits'.rjust(width)} │ {legend} or more")
    paint.show(f"{'in all'.rjust(width)} │ {_total(passage, sum(totals))}\n")


def _of_characters(passage: "Passage", bits: Sequence[float]) -> list[float]:
    """The bits of each token that completes a character, those of its other bytes included."""
    summed, waiting = [], 0.0
    for piece, value in zip(passage.pieces, bits, strict=True):
        waiting += value
        summed.append(waiting)
        waiting = 0.0 if piece else waiting
    return summed


def _total(passage: "Passage", bits: float) -> str:
    characters = len(passage.text)
    return f"{bits:,.1f} bits, {bits / characters:.4f} a character ({characters:,} characters)"


def _greatest(model: "Model", passage: "Passage", seen: "Expectations") -> None:
    where = places(passage)
    rows = [
        [
            f"{where[t][0]}:{where[t][1]}",
            f"{seen.bits[t]:.2f}",
            f"{seen.ranks[t]}",
            around(passage, t, t + 1),
            f"{terminal.symbol(model.tokenizer.piece(int(seen.likeliest[t, 0])))} "
            f"{seen.probabilities[t, 0]:.2f}",
        ]
        for t in seen.greatest(GREATEST)
    ]
    titles = ["line:column", "bits", "rank", "the greatest surprises", "expected, with P"]
    terminal.table(titles, rows, right=[0, 1, 2])


def _surprise_columns(
    model: "Model",
    passage: "Passage",
    seen: "Expectations",
    lines: Sequence[tuple[int, int]],
    totals: Sequence[float],
) -> None:
    expected = [terminal.symbol(model.tokenizer.piece(int(k))) for k in seen.likeliest[:, 0]]
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
) -> dict[str, Any]:
    tokens = [
        {
            "text": piece,
            "bits": float(seen.bits[t]),
            "rank": int(seen.ranks[t]),
            "expected": model.tokenizer.piece(int(seen.likeliest[t, 0])),
            "expected_probability": float(seen.probabilities[t, 0]),
        }
        for t, piece in enumerate(passage.pieces)
    ]
    return {
        "view": "surprise",
        "bits": math.fsum(totals),
        "characters": len(passage.text),
        "line_bits": list(totals),
        "greatest": seen.greatest(GREATEST),
        "tokens": tokens,
    }


# predictions


def predictions(model: "Model", passage: "Passage", options: Options) -> None:
    """After every token the five likeliest next, the one that came marked."""
    import numpy as np

    from charlm.inspection.surprise import expectations
    from charlm.tokenizers import EOS

    came, named = passage.ids[1:].tolist(), names(model, passage)
    if not passage.per_line:  # what comes after the last token is asked too
        passage = dataclasses.replace(passage, ids=np.append(passage.ids, EOS))
    with reading(model.engine, len(passage)) as engine:
        seen = expectations(engine, passage)
    after = ["<EOS>", *named][: len(seen.bits)]
    raw = ["<EOS>", *passage.pieces][: len(seen.bits)]
    steps = [
        [
            (model.tokenizer.piece(int(token)), float(p), t < len(came) and int(token) == came[t])
            for token, p in zip(seen.likeliest[t], seen.probabilities[t], strict=True)
        ]
        for t in range(len(after))
    ]
    if options["as_json"]:
        terminal.write_json({"view": "predictions", "steps": _steps_json(raw, steps)})
    elif depth := paint.colours():
        _paint_predictions(after, steps, depth)
    else:
        ranks = range(1, len(steps[0]) + 1)
        titles = [f"{title}{rank}" for rank in ranks for title in ("next", "P")]
        rows = (
            [text, *(part for piece, p, _ in step for part in (terminal.symbol(piece), p))]
            for text, step in zip(after, steps, strict=True)
        )
        columns(["after", *titles], rows)


Step = list[tuple[str, float, bool]]  # pieces with their probability, and whether each came


def _steps_json(after: Sequence[str], steps: Sequence[Step]) -> list[dict[str, Any]]:
    return [
        {
            "after": text,
            "next": [{"text": piece, "probability": p, "came": came} for piece, p, came in step],
        }
        for text, step in zip(after, steps, strict=True)
    ]


def _paint_predictions(after: Sequence[str], steps: Sequence[Step], depth: int) -> None:
    """Blocks of as many columns as fit: the token, and under it what was likeliest next."""
    from charlm.inspection.surprise import colour_of

    texts = [[terminal.symbol(piece)[:CUT] for piece, _, _ in step] for step in steps]
    width = max(terminal.columns_of(text) for step in texts for text in step) + 6
    across = max(1, shutil.get_terminal_size().columns // width)
    for start in range(0, len(after), across):
        part = slice(start, start + across)
        paint.show("".join(_padded(text[:CUT], width) for text in after[part]))
        for rank in range(len(steps[0])):
            cells = []
            for step, shown in zip(steps[part], texts[part], strict=True):
                _, p, came = step[rank]
                cell = f"{shown[rank]} {_share(p)}"
                colour = colour_of(-math.log2(p)) if p > 0 else colour_of(math.inf)
                cells.append(_padded(cell, width, colour if came else None, depth))
            paint.show("".join(cells))
        paint.show("")
    marked = paint.painted(" the one that came ", colour_of(0), depth)
    paint.show(f"{marked} is on the colour of its bits, as in --view surprise")


CUT = 8  # characters of a longer token that are shown


def _padded(text: str, width: int, colour: Colour | None = None, depth: int = 0) -> str:
    rest = " " * (width - terminal.columns_of(text))
    return (paint.painted(text, colour, depth) if colour else text) + rest


def _share(p: float) -> str:
    """.93, of the width of three."""
    return "1.0" if p >= 0.995 else f"{p:.2f}"[1:]
