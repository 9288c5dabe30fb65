"""Text on colours, for a terminal: which colours it has, and lines that fit its width.

Knows the terminal's escape sequences; what it writes is made safe first. Knows no models.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence

from charlm.cli.terminal import columns_of
from charlm.figures import on_one_line
from charlm.inspection.colours import Colour, ink, of_256

PLAIN, INDEXED, DIRECT = 0, 256, 2**24  # colours of a terminal


def colours() -> int:
    """How many colours stdout has: none in a pipe, with NO_COLOR or TERM=dumb; else 256 or 2**24.

    COLORTERM tells whether the terminal knows 24-bit colours.
    """
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return PLAIN
    return DIRECT if os.environ.get("COLORTERM") in ("truecolor", "24bit") else INDEXED


def painted(text: str, colour: Colour, depth: int) -> str:
    """The text, which must be safe already, in black or white on the colour."""
    if depth == PLAIN:
        return text
    return f"\x1b[{_code(48, colour, depth)};{_code(38, ink(colour), depth)}m{text}\x1b[0m"


def _code(ground: int, colour: Colour, depth: int) -> str:
    if depth == INDEXED:
        return f"{ground};5;{of_256(colour)}"
    return f"{ground};2;{';'.join(map(str, colour))}"


def page(
    pieces: Sequence[str],
    colours: Sequence[Colour],
    lines: Iterable[tuple[int, int]],
    margins: Iterable[str],
    depth: int,
) -> Iterator[str]:
    """Rows of a terminal: each line of the text behind its margin, wrapped at the width.

    lines: begin and end of each line's pieces. The margins are all equally wide.
    """
    width = shutil.get_terminal_size().columns
    for (begin, end), margin in zip(lines, margins, strict=True):
        room = max(8, width - columns_of(margin) - 3)
        for number, row in enumerate(_wrapped(pieces[begin:end], colours[begin:end], room)):
            text = "".join(painted(run, colour, depth) for run, colour in row)
            yield f"{margin if number == 0 else ' ' * columns_of(margin)} │ {text}"


def _wrapped(
    pieces: Sequence[str], colours: Sequence[Colour], room: int
) -> Iterator[list[tuple[str, Colour]]]:
    """Rows of runs of one colour each, none wider than the room."""
    row: list[tuple[str, Colour]] = []
    used = 0
    for piece, colour in zip(pieces, colours, strict=True):
        for character in on_one_line(piece):
            width = columns_of(character)
            if used + width > room:
                yield row
                row, used = [], 0
            if row and row[-1][1] == colour:
                row[-1] = (row[-1][0] + character, colour)
            else:
                row.append((character, colour))
            used += width
    yield row


def legend(colours: Iterable[tuple[str, Colour]], text: str, depth: int, margin: str = "") -> None:
    """Shows labels on their colours and then words, wrapped at the width, behind a margin."""
    begin = columns_of(margin)
    room = shutil.get_terminal_size().columns - begin
    parts = [("", label, painted(label, colour, depth)) for label, colour in colours]
    parts += [(" ", word, word) for word in text.split(" ")]
    row, used = margin, 0
    for gap, plain, part in parts:
        if used and used + columns_of(gap + plain) > room:
            show(row)
            row, used = " " * begin, 0
        gap = gap if used else ""
        row, used = row + gap + part, used + columns_of(gap + plain)
    show(row)


def show(row: str) -> None:
    """A row on stdout as it is: painted, and safe already."""
    sys.stdout.write(row + "\n")
