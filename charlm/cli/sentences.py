"""What `charlm score` scores: sentences that were given, or the lines of a file."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from charlm.cli import terminal
from charlm.errors import TextError

if TYPE_CHECKING:
    from charlm.text import Document, Text

LONGEST = 2**20  # characters of a line


class Sentence(NamedTuple):
    """A text to score and what messages call it."""

    name: str
    text: str


def lines_of_file(options: dict[str, Any]) -> Iterator[Sentence]:
    """The lines of -f FILE, without their ends. Tells the file's notices."""
    from charlm.text import open_text

    text = open_text([options["path"]], options["encoding"])
    for remark in text.notices:
        terminal.notice(remark)
    return _lines_of(text)


def _lines_of(text: "Text") -> Iterator[Sentence]:
    done = 0
    with terminal.Waiting(f"scoring {text.name}") as waiting:
        for document in text.documents:
            rest, number = "", 1
            for chunk in document.chunks():
                *whole, rest = (rest + chunk).split("\n")
                for line in whole:
                    yield _line(document, number, line)
                    number += 1
                    done += len(line) + 1
                    waiting.tell(done / text.characters)
                _line(document, number, rest)  # of a line without end not all is read
            if rest:
                yield _line(document, number, rest)


def _line(document: "Document", number: int, line: str) -> Sentence:
    where = f"{document.name}, line {number}"
    if len(line) > LONGEST:
        raise TextError(f"{where}: longer than {LONGEST:,} characters; try charlm eval")
    return Sentence(where, line)
