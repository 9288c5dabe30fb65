"""What the views of `charlm inspect` share: columns, JSON in a stream, where a token stands."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any

from charlm.cli import terminal
from charlm.figures import on_one_line

if TYPE_CHECKING:
    from charlm.api import Model
    from charlm.inspection.passage import Passage

Options = dict[str, Any]
EOS_NAME = "<EOS>"  # of `charlm.tokenizers`, which imports NumPy
GREATEST = 10  # surprises, and cells found, that are listed
AROUND = 16  # tokens and characters, at most, that are shown before and behind a span


def columns(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A header and rows, with tabs between; texts have been made safe."""
    lines = ("\t".join(map(_plain, row)) + "\n" for row in rows)
    _write(chain(["\t".join(titles) + "\n"], lines))


def stream_json(head: dict[str, Any], name: str, records: Iterable[dict[str, Any]]) -> None:
    """One JSON object on a line: the head, and under `name` a list that is never held whole."""
    commas = chain([""], repeat(", "))
    items = (
        comma + terminal.json_of(record) for comma, record in zip(commas, records, strict=False)
    )
    _write(chain([f'{terminal.json_of(head)[:-1]}, "{name}": ['], items, ["]}\n"]))


def _write(texts: Iterator[str]) -> None:
    """Many at a time: a terminal or pipe is told of each write."""
    while part := "".join(islice(texts, 1000)):
        terminal.write(part)


def _plain(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def places(passage: "Passage") -> Iterator[tuple[int, int]]:
    """Line and column of each token, from 1."""
    line, column = 1, 1
    for piece in passage.pieces:
        yield line, column
        column += len(piece)
        if "\n" in piece:
            line += piece.count("\n")
            column = len(piece) - piece.rindex("\n")


def place(passage: "Passage", token: int) -> str:
    """`LINE:COLUMN` of one token, from 1."""
    line, column = next(islice(places(passage), token, None))
    return f"{line}:{column}"


def pieces(passage: "Passage", part: slice = slice(None)) -> Sequence[str]:
    """Each token's text; of a per-line model the end of a line is <EOS>, as it is expected."""
    if not passage.per_line:
        return passage.pieces[part]
    return [EOS_NAME if piece == "\n" else piece for piece in passage.pieces[part]]


def names(model: "Model", passage: "Passage") -> list[str]:
    """The same on one line, and a byte's name where it is no character by itself."""
    return [
        terminal.symbol(piece or model.tokenizer.piece(token))
        for piece, token in zip(pieces(passage), passage.ids[1:].tolist(), strict=True)
    ]


def of_characters(passage: "Passage", values: Sequence[float]) -> list[float]:
    """Of each token that completes a character its value, those of its other bytes added."""
    summed, waiting = [], 0.0
    for piece, value in zip(passage.pieces, values, strict=True):
        waiting += value
        summed.append(waiting)
        waiting = 0.0 if piece else waiting
    return summed


def around(passage: "Passage", begin: int, end: int, name: str = "") -> str:
    """Tokens begin to end in brackets, with some of the text before and behind.

    name: what stands there instead of bytes that complete no character.
    """
    before = "".join(passage.pieces[max(0, begin - AROUND) : begin])[-AROUND:]
    inside = "".join(pieces(passage, slice(begin, end))) or name
    behind = "".join(passage.pieces[end : end + AROUND])[:AROUND]
    return on_one_line(f"{before}⟦{inside}⟧{behind}")
