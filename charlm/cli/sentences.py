"""What `charlm score` scores: sentences that were given, or the lines of a file."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from charlm.cli import terminal
from charlm.cli.files import opened
from charlm.errors import TextError

if TYPE_CHECKING:
    from charlm.text import Document, Text

LONGEST = 2**20  # characters of a line
BLOCK = 4096  # lines, at most, that are read and scored together


class Sentence(NamedTuple):
    """A text to score and what messages call it; a line's number and, of several, its file."""

    name: str
    text: str
    line: int = 0
    file: str = ""

    @property
    def place(self) -> str:
        """Where the line is: 12, or notes.txt:12."""
        return f"{self.file}:{self.line}" if self.file else f"{self.line}"

    def to_json(self) -> dict[str, Any]:
        """What there is of file, line and text."""
        place = {"file": self.file, "line": self.line}
        return {name: value for name, value in place.items() if value} | {"text": self.text}


def lines_of_file(options: dict[str, Any]) -> Iterator[Sentence]:
    """The lines of all -f FILE, without their ends. Tells the file's notices."""
    return _lines_of(opened(options["paths"], options["encoding"]), options["sort"])


def blocks_of(lines: Iterator[Sentence]) -> Iterator[list[Sentence]]:
    """The lines, BLOCK at a time or, where they are long, about LONGEST characters."""
    block: list[Sentence] = []
    characters = 0
    for line in lines:
        block.append(line)
        characters += len(line.text)
        if len(block) == BLOCK or characters >= LONGEST:
            yield block
            block, characters = [], 0
    if block:
        yield block


def _lines_of(text: "Text", held: bool) -> Iterator[Sentence]:
    """held: nothing is written before the last line is scored."""
    done = 0
    with terminal.Waiting(f"scoring {text.name}", writes=not held) as waiting:
        for document in text.documents:
            line_of = partial(_line, document, several=len(text.documents) > 1)
            rest, number = "", 1
            for chunk in document.chunks():
                *whole, rest = (rest + chunk).split("\n")
                for line in whole:
                    yield line_of(number, line)
                    number += 1
                    done += len(line) + 1
                    waiting.tell(done / text.characters)
                line_of(number, rest)  # of a line without end not all is read
            if rest:
                yield line_of(number, rest)


def _line(document: "Document", number: int, line: str, several: bool) -> Sentence:
    where = f"{document.name}, line {number}"
    if len(line) > LONGEST:
        raise TextError(f"{where}: longer than {LONGEST:,} characters; try charlm eval")
    return Sentence(where, line, number, document.name if several else "")
