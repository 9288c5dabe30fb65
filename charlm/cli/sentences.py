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


def _arriving(encoding: str) -> Iterator[Iterator[Sentence]]:
    """The lines that standard input has each time when it is looked at. Tells what it notices."""
    from charlm.text import Stream

    stream, told = Stream(encoding), set[str]()
    for lines in _split(stream.name, stream.pieces()):
        tell_all(notice for notice in stream.notices if notice not in told)
        told.update(stream.notices)
        yield lines


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
            pieces = _split(document.name, document.chunks(), document.name * several)
            for line in chain.from_iterable(pieces):
                yield line
                done += len(line.text) + 1
                waiting.tell(done / text.characters)


def _split(name: str, pieces: Iterable[str], file: str = "") -> Iterator[Iterator[Sentence]]:
    """The lines that end in each piece, and last what has no end."""
    rest, number = "", 1
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        yield _sentences(name, number, whole, file)
        number += len(whole)
        _check_length(_where(name, number), rest)  # of a line without end not all is read
    if rest:
        yield _sentences(name, number, [rest], file)


def _sentences(name: str, first: int, lines: list[str], file: str) -> Iterator[Sentence]:
    for number, line in enumerate(lines, first):
        where = _where(name, number)
        _check_length(where, line)
        yield Sentence(where, line, number, file)


def _where(name: str, number: int) -> str:
    return f"{name}, line {number}"


def _check_length(where: str, line: str) -> None:
    if len(line) > LONGEST:
        raise TextError(f"{where}: longer than {LONGEST:,} characters; try charlm eval")
