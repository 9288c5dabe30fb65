"""From text to tokens: files of them on disk, and the split into training and validation.

Knows nothing about windows or networks. Token files are anonymous temporary files, mapped into
memory, so that a corpus may be larger than memory and nothing is left behind.
"""

import dataclasses
import mmap
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.errors import OptionError, TextError
from charlm.text import Text, lines_where
from charlm.tokenizers import EOS, UNK, Tokenizer, train_tokenizer
from charlm.tokenizers.base import smallest_dtype

BLOCK = 2**24  # tokens looked through at a time
COUNTED = 2**20  # of a block's tokens, at least, where a sample of them will do
GROWING = ("characters", "words")  # kinds of tokens that new ones can join
VALID_EVERY = 10  # per line: lines 10, 20, 30, … are the validation's

Ids = npt.NDArray[np.integer[Any]]
Part = Callable[[], Iterable[Iterable[str]]]  # its documents in pieces, anew at each call


@dataclasses.dataclass(frozen=True)
class Tokens:
    """A text as tokens: <EOS>, the first token, …, so that event e predicts ids[e + 1].

    characters and bytes (of UTF-8) are the text's, each line's end included where it is predicted.
    """

    ids: Ids
    characters: int
    bytes: int
    per_line: bool

    @property
    def events(self) -> int:
        """How many predictions the text asks for."""
        return max(0, len(self.ids) - 1)

    @property
    def counted(self) -> int:
        """How many of them count when the text is measured: all but the ends of files."""
        return self.events if self.per_line else max(0, self.events - self.sequences + 1)

    @property
    def unseen(self) -> int:
        """How many tokens were not in the vocabulary."""
        return self._count(UNK)

    @property
    def sequences(self) -> int:
        """How many sequences there are."""
        return max(1, self._count(EOS) - self.per_line)

    def frequencies(self, size: int) -> npt.NDArray[np.float64]:
        """(size,) the share that each token is of those to predict, as if each came once more.

        Of a long text not all are counted, but ones evenly spread over it.
        """
        counts = np.ones(size)
        for _, block in blocks_of(self.ids[1:]):
            every = len(block) // COUNTED or 1
            counts += every * np.bincount(block[::every], minlength=size)
        shares: npt.NDArray[np.float64] = counts / counts.sum()
        return shares

    @property
    def checksum(self) -> str:
        """CRC-32 of the tokens, as eight hexadecimal digits."""
        checksum = 0
        for _, block in blocks_of(self.ids):
            checksum = zlib.crc32(block.data, checksum)
        return f"{checksum:08x}"

    def _count(self, token: int) -> int:
        return sum(int(np.count_nonzero(block == token)) for _, block in blocks_of(self.ids))


@dataclasses.dataclass(frozen=True)
class Corpus:
    """What a model learns from (`train`) and is measured on while it learns (`valid`).

    files: how many the text was in.
    """

    name: str
    tokenizer: Tokenizer
    train: Tokens
    valid: Tokens
    files: int = 1

    @property
    def digest(self) -> str:
        """Both parts' checksums, the training's first: whether a text is the same, not whose."""
        return self.train.checksum + self.valid.checksum


def tokenize(documents: Iterable[Iterable[str]], tokenizer: Tokenizer, per_line: bool) -> Tokens:
    """Encodes documents, each an iterable of pieces of text, into one file of tokens.

    Per line, each line's end becomes <EOS> (lines are non-empty and end in a newline, as
    `lines_where` gives them). Else <EOS> stands between documents, and a single one has no end;
    one without tokens, as white space is to words, is none.
    """
    if per_line and tokenizer.newline == UNK:
        raise OptionError("--vocab-size and --min-count leave no token for the line's end")
    dtype = smallest_dtype(tokenizer.size)
    characters = size = 0
    with _no_room_said(), tempfile.TemporaryFile() as file:
        for document in documents:
            begun = per_line and file.tell() > 0
            for chunk in document:
                ids = tokenizer.encode(chunk)
                if len(ids) and not begun:
                    file.write(np.array([EOS], dtype).tobytes())
                    begun = True
                if per_line:
                    ids[ids == tokenizer.newline] = EOS
                file.write(ids.data)
                characters += len(chunk)
                size += len(chunk) if chunk.isascii() else len(chunk.encode())
        file.flush()
        if not file.tell():
            return Tokens(np.zeros(0, dtype), 0, 0, per_line)
        ids = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype)
    return Tokens(ids, characters, size, per_line)


@contextmanager
def _no_room_said() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TextError(
            f"the text's tokens cannot be kept in a temporary file: {error.strerror}; make room or "
            "set TMPDIR to another folder"
        ) from None


def build_corpus(
    text: Text,
    valid: Text | None = None,
    *,
    tokenizer: Tokenizer | str = "characters",
    grow: bool = False,
    min_count: int = 1,
    vocabulary_size: int | None = None,
    valid_fraction: float = 0.1,
    per_line: bool = False,
) -> Corpus:
    """Splits, learns the tokenizer from the training part alone, and encodes.

    tokenizer: the kind to learn, or one that is there, to which, with `grow`, the new tokens are
    added. valid: a text of its own to validate on; without it the last `valid_fraction` of the
    characters or, per line, every tenth line, which may be nothing. Raises TextError if nothing
    is left to train on, or a text of its own has nothing to validate on.
    """
    train_part, valid_part = _split(text, valid, valid_fraction, per_line)
    pieces: Iterator[str] = (piece for document in train_part() for piece in document)
    if (first := next(pieces, None)) is None:
        if not per_line and text.characters > 1:
            raise TextError(
                f"{text.name}: --valid-fraction {valid_fraction:g} leaves none of its "
                f"{text.characters:,} characters to train on; give a smaller one"
            )
        raise TextError(
            f"{text.name}: too short to train on; give at least two lines or characters"
        )
    pieces = chain([first], pieces)
    if isinstance(tokenizer, str):
        tokenizer = train_tokenizer(tokenizer, pieces, min_count, vocabulary_size)
    elif grow and tokenizer.kind in GROWING:
        new = train_tokenizer(tokenizer.kind, pieces, min_count, vocabulary_size)
        tokenizer = tokenizer.grown(new)
    parts = [tokenize(part(), tokenizer, per_line) for part in (train_part, valid_part)]
    if valid is not None and not parts[1].events:
        raise TextError(f"{valid.name}: all its lines are empty: there is nothing to validate on")
    return Corpus(text.name, tokenizer, parts[0], parts[1], len(text.documents))


def lines_of(text: Text, held: bool) -> Iterator[str]:
    """In pieces, every tenth line, which validates, or all the others."""
    last = VALID_EVERY - 1
    return lines_where(text.line_chunks(), lambda line: (line % VALID_EVERY == last) == held)


def _split(text: Text, valid: Text | None, fraction: float, per_line: bool) -> tuple[Part, Part]:
    """The training's and the validation's."""
    if valid is not None:
        return partial(text.to_read, per_line), partial(valid.to_read, per_line)
    if per_line:
        return lambda: [lines_of(text, held=False)], lambda: [lines_of(text, held=True)]
    boundary = int(round(text.characters * (1 - fraction), 6))  # 10 × (1 − 0.9) is 1
    return partial(_between, text, 0, boundary), partial(_between, text, boundary, text.characters)


def _between(text: Text, start: int, stop: int) -> Iterator[Iterable[str]]:
    """The documents' characters from start to stop, counted over all documents."""
    at = 0
    for document in text.documents:
        begin, end = max(start - at, 0), min(stop - at, document.characters)
        if begin < end:
            yield document.chunks(begin, end)
        at += document.characters


def blocks_of(ids: Ids) -> Iterator[tuple[int, Ids]]:
    """Where each block begins, and the block: once through the tokens, in bounded memory.

    What was read of a mapped file need not stay in memory; it is read again if it is wanted.
    """
    owner: Any = ids
    while isinstance(owner, np.ndarray):
        owner = owner.base
    mapped = getattr(owner, "obj", None)
    for at in range(0, len(ids), BLOCK):
        yield at, ids[at : at + BLOCK]
        if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def places_of(token: int, ids: Ids) -> npt.NDArray[np.int64]:
    """Where a token is, in bounded memory but for the answer."""
    found = [at + np.flatnonzero(block == token) for at, block in blocks_of(ids)]
    return np.concatenate([np.zeros(0, np.int64), *found])
