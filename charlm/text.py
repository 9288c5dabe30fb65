"""Unicode text from files, folders, standard input or strings, in pieces and in bounded memory.

A `Text` is an ordered collection of `Document`s. Each is decoded once, strictly, when it is
opened, which counts it and finds what is wrong with it, and again, piece by piece, whenever it
is read. A `Stream` is read once, as it comes. Characters are code points, exactly as the file has
them: a byte order mark is dropped, nothing else is changed. Lines end at "\\n" alone. Knows
nothing about where bytes come from (`sources`), nor about tokens, sequences or models.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

from charlm.errors import TextError
from charlm.sources import (
    Source,
    arriving,
    check_encoding,
    checkpoints_in,
    sources_of,
    string_source,
)

CHUNK = 2**20  # characters of a piece
NAMED = 3  # files, at most, that a text of several is called by
KEPT_CR = "lines end with CR LF, the CR is kept (tr -d '\\r' takes it out)"


@dataclass
class Counts:
    """What one pass over a text finds."""

    characters: int = 0
    crlf: int = 0
    lone_cr: int = 0
    nul: int = 0

    @classmethod
    def of(cls, pieces: Iterable[str], name: str) -> "Counts":
        """Count a text whose pieces never end between a CR and its LF."""
        counts = cls()
        for piece in pieces:
            counts.add(piece, name)
        return counts

    def add(self, piece: str, name: str) -> None:
        """Count one more piece; TextError for a lone surrogate."""
        if not piece.isascii():
            _utf8(piece, name, self.characters)  # refuses lone surrogates
        self.characters += len(piece)
        if "\r" in piece:
            crlf = piece.count("\r\n")
            self.crlf += crlf
            self.lone_cr += piece.count("\r") - crlf
        if "\0" in piece:
            self.nul += piece.count("\0")


class Document:
    """One file, one stream kept in a temporary file, or one string.

    `name` is what messages call it: the path as the user gave it, or "<stdin>".
    """

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.has_mark = source.mark > 0
        self._source = source
        self.counts = Counts.of(self.chunks(), self.name)

    @property
    def characters(self) -> int:
        return self.counts.characters

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """The characters [start, stop), in pieces of at most 2**20 characters, or one more.

        A piece ends behind a line end, else behind a space or tab, else anywhere but between
        a CR and its LF. Each call reads from the beginning; readings may be interleaved.
        Raises TextError when a file is no longer what it was when it was opened.
        """
        return _pieces(_between(self._source.decoded(), start, stop))


class Stream:
    """Standard input, read once and as it comes, which nothing is known of before."""

    def __init__(self, encoding: str) -> None:
        check_encoding(encoding)
        self._source = arriving(encoding)
        self.name = self._source.name
        self.has_mark = self._source.mark > 0
        self.counts = Counts()

    def pieces(self) -> Iterator[str]:
        """The characters as they come, a CR with what follows it. TextError for what is none."""
        held = ""
        for string in self._source.decoded():
            piece = held + string
            held = "\r" * piece.endswith("\r")
            yield self._counted(piece.removesuffix("\r"))
        yield self._counted(held)
        if not self.counts.characters:
            raise _empty(self.name)

    @property
    def notices(self) -> list[str]:
        """Remarks on what was read so far."""
        return _notices([self])

    def _counted(self, piece: str) -> str:
        self.counts.add(piece, self.name)
        return piece


@dataclass(frozen=True)
class Text:
    """Documents in order, and `notices`: one-line remarks for the user, none of them an error."""

    documents: tuple[Document, ...]
    notices: list[str]

    @property
    def name(self) -> str:
        """Of a file its name; of several how many there are, and the first names."""
        names = [os.path.basename(document.name) for document in self.documents]
        if len(names) == 1:
            return names[0]
        more = ", …" if len(names) > NAMED else ""
        return f"{len(names):,} files ({', '.join(names[:NAMED])}{more})"

    @property
    def characters(self) -> int:
        return sum(document.characters for document in self.documents)

    def chunks(self) -> Iterator[str]:
        """The pieces of all documents, with nothing between one document and the next."""
        for document in self.documents:
            yield from document.chunks()

    def line_chunks(self) -> Iterator[str]:
        """The same for use by line: a document that ends inside a line is given a line end."""
        for document in self.documents:
            piece = ""
            for piece in document.chunks():
                yield piece
            if not piece.endswith("\n"):
                yield "\n"

    def to_read(self, per_line: bool) -> list[Iterator[str]]:
        """What a model reads: each document or, per line, all lines that are not empty as one."""
        if per_line:
            return [lines_where(self.line_chunks(), lambda _: True)]
        return [document.chunks() for document in self.documents]


def open_text(paths: Sequence[str | os.PathLike[str]], encoding: str = "utf-8") -> Text:
    """Open and survey files, folders and "-" (stdin).

    Of a folder all files are read but the hidden ones and, with a notice, checkpoints.

    All of it is decoded once, so a text that opens can be read. Raises TextError, which names
    the file and the byte, and OptionError for an encoding that Python does not know.
    """
    check_encoding(encoding)
    found = [document for path in paths for document in _documents(os.fspath(path), encoding)]
    documents = tuple(document for document in found if document.characters)
    if not documents:
        raise TextError("no text was given; name a file, a folder or - (standard input)")
    notices = _notices(documents)
    if empty := len(found) - len(documents):
        notices.append(f"empty files left out: {empty:,}")
    if checkpoints := sum(len(checkpoints_in(os.fspath(path))) for path in paths):
        notices.append(f"checkpoints left out: {checkpoints:,}")
    return Text(documents, notices)


def text_of(string: str, name: str = "text") -> Text:
    """A text in memory; TextError if it is empty or holds a lone surrogate."""
    if not string:
        raise TextError(f"{name} is empty")
    document = Document(string_source(_utf8(string, name), name))
    return Text((document,), _notices((document,)))


def lines_where(pieces: Iterable[str], keep: Callable[[int], bool]) -> Iterator[str]:
    """Of a text in pieces, the lines that are not empty and whose index is kept, each with "\\n".

    Indices count from 0 and skip empty lines; `keep` is asked once for each, in order. A piece
    may end anywhere, and a line may be longer than memory.

    >>> "".join(lines_where(["Ada\\nBo", "b\\n\\nCleo"], lambda index: index != 1))
    'Ada\\nCleo\\n'
    """
    index = 0
    inside = keeping = False  # a line that the pieces so far left unfinished
    for piece in pieces:
        kept = []
        if inside:
            head, end, piece = piece.partition("\n")
            inside = not end
            kept += [head, end] if keeping else []
        whole, _, tail = piece.rpartition("\n")
        lines = [line for line in whole.split("\n") if line]
        chosen = compress(lines, map(keep, range(index, index + len(lines))))
        kept.append("\n".join([*chosen, ""]))
        index += len(lines)
        if tail:
            inside, keeping = True, keep(index)
            index += 1
            kept += [tail] if keeping else []
        if result := "".join(kept):
            yield result
    if inside and keeping:
        yield "\n"


def _between(strings: Iterable[str], start: int, stop: int | None) -> Iterator[str]:
    position = 0
    for string in strings:
        if position + len(string) > start:
            yield string[max(0, start - position) : None if stop is None else stop - position]
        position += len(string)
        if stop is not None and position >= stop:
            return


def _pieces(strings: Iterable[str]) -> Iterator[str]:
    rest = ""
    for string in strings:
        rest += string
        while len(rest) > CHUNK:
            end = _cut(rest)
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


def _cut(string: str) -> int:
    for end in "\n \t":
        if cut := string.rfind(end, 0, CHUNK) + 1:
            return cut
    return CHUNK + (string[CHUNK - 1 : CHUNK + 1] == "\r\n")


def _documents(path: str, encoding: str) -> list[Document]:
    """The documents that one argument names: some of a folder's may be empty, not all."""
    documents = [Document(source) for source in sources_of(path, encoding)]
    if not any(document.characters for document in documents):
        name = documents[0].name if len(documents) == 1 else path
        raise _empty(name)
    return documents


def _empty(name: str) -> TextError:
    return TextError(f"{name} is empty: there is no text to read")


def _utf8(string: str, name: str, before: int = 0) -> bytes:
    try:
        return string.encode()
    except UnicodeEncodeError as error:
        found = f"U+{ord(string[error.start]):04X} at character {before + error.start}"
        raise TextError(f"{name} holds a lone surrogate, {found}; take it out") from None


def _notices(documents: Sequence[Document | Stream]) -> list[str]:
    remarks: dict[str, Callable[[Document | Stream], int]] = {
        "byte order mark dropped": lambda document: document.has_mark,
        KEPT_CR: lambda document: document.counts.crlf,
        "carriage returns without a line feed, kept": lambda document: document.counts.lone_cr,
        "NUL characters, kept (is it UTF-16 without a mark?)": lambda document: document.counts.nul,
    }
    notices = []
    for remark, count in remarks.items():
        if names := [document.name for document in documents if count(document)]:
            others = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
            notices.append(f"{names[0]}{others}: {remark}")
    return notices
