"""What `charlm score` scores: sentences that were given, or the lines of a file."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from charlm.cli import terminal
from charlm.cli.files import opened, tell_all
from charlm.errors import TextError

if TYPE_CHECKING:
    from charlm.text import Text

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
    if _comes(options):
        return chain.from_iterable(_arriving(options["encoding"]))
    return _lines_of(opened(options["paths"], options["encoding"]), options["sort"])


def blocks_of_file(options: dict[str, Any]) -> Iterator[list[Sentence]]:
    """The same in blocks, to be scored together; of standard input never more than has come."""
    if _comes(options):
        arrivals = _arriving(options["encoding"])
        return chain.from_iterable(_blocks(lines) for lines in arrivals)
    return _blocks(lines_of_file(options))


def _comes(options: dict[str, Any]) -> bool:
    """Whether lines are scored as they come: of standard input alone, in its order."""
    return options["paths"] == ("-",) and not options["sort"]


def _arriving(encoding: str) -> Iterator[list[Sentence]]:
    """The lines that standard input has each time when it is looked at, and its notices last."""
    from charlm.text import Stream

    stream = Stream(encoding)
    yield from _split(stream.name, stream.pieces())
    tell_all(stream.notices)


def _blocks(lines: Iterable[Sentence]) -> Iterator[list[Sentence]]:
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
    done, several = 0, len(text.documents) > 1
    with terminal.Waiting(f"scoring {text.name}", writes=not held) as waiting:
        for document in text.documents:
            file = document.name if several else ""
            for lines in _split(document.name, document.chunks(), file):
                for line in lines:
                    yield line
                    done += len(line.text) + 1
                    waiting.tell(done / text.characters)


def _split(name: str, pieces: Iterable[str], file: str = "") -> Iterator[list[Sentence]]:
    """The lines that end in each piece, and last what has no end."""
    rest, number = "", 1
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        yield [_line(name, number + k, line, file) for k, line in enumerate(whole)]
        number += len(whole)
        _line(name, number, rest, file)  # of a line without end not all is read
    if rest:
        yield [_line(name, number, rest, file)]


def _line(name: str, number: int, line: str, file: str) -> Sentence:
    where = f"{name}, line {number}"
    if len(line) > LONGEST:
        raise TextError(f"{where}: longer than {LONGEST:,} characters; try charlm eval")
    return Sentence(where, line, number, file)
