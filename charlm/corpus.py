"""From text to training windows: tokens on disk, the split, and windows of (time, batch) tokens.

Knows nothing about networks. Token files are anonymous temporary files, mapped into memory, so
that a corpus may be larger than memory and nothing is left behind.
"""

import dataclasses
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.errors import OptionError, TextError
from charlm.text import Text, lines_where
from charlm.tokenizers import EOS, UNK, Tokenizer, train_tokenizer

IGNORED = -100  # a target that is padding
VALID_EVERY = 10  # per line: lines 10, 20, 30, … are the validation's

Ids = npt.NDArray[np.integer[Any]]


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
    def unseen(self) -> int:
        """How many tokens were not in the vocabulary."""
        return self._count(UNK)

    @property
    def sequences(self) -> int:
        """How many sequences there are."""
        return max(1, self._count(EOS) - self.per_line)

    def _count(self, token: int) -> int:
        blocks = range(0, len(self.ids), 2**24)
        return sum(int(np.count_nonzero(self.ids[at : at + 2**24] == token)) for at in blocks)


@dataclasses.dataclass(frozen=True)
class Corpus:
    """What a model learns from (`train`) and is measured on while it learns (`valid`)."""

    name: str
    tokenizer: Tokenizer
    train: Tokens
    valid: Tokens

    @property
    def digest(self) -> str:
        """CRC-32 of both parts' tokens: tells whether a text is the same, not who wrote it."""
        return "".join(f"{zlib.crc32(part.ids.data):08x}" for part in (self.train, self.valid))


Documents = list[Iterable[str]]


def tokenize(documents: Iterable[Iterable[str]], tokenizer: Tokenizer, per_line: bool) -> Tokens:
    """Encodes documents, each an iterable of pieces of text, into one file of tokens.

    Per line, each line's end becomes <EOS> (lines are non-empty and end in a newline, as
    `lines_where` gives them). Else <EOS> stands between documents, and a single one has no end.
    """
    if per_line and tokenizer.newline == UNK:
        raise OptionError("--vocab-size and --min-count leave no token for the line's end")
    dtype = np.min_scalar_type(tokenizer.size - 1)
    characters = size = 0
    with tempfile.TemporaryFile() as file:
        first = True
        for document in documents:
            if first or not per_line:
                file.write(np.array([EOS], dtype).tobytes())
            first = False
            for chunk in document:
                ids = tokenizer.encode(chunk)
                if per_line:
                    ids[ids == tokenizer.newline] = EOS
                file.write(ids.tobytes())
                characters += len(chunk)
                size += len(chunk) if chunk.isascii() else len(chunk.encode())
        file.flush()
        ids = np.memmap(file, dtype, "r") if file.tell() else np.zeros(0, dtype)
    return Tokens(ids, characters, size, per_line)


def build_corpus(
    text: Text,
    valid: Text | None = None,
    *,
    tokenizer: Tokenizer | str = "characters",
    min_count: int = 1,
    vocabulary_size: int | None = None,
    valid_fraction: float = 0.1,
    per_line: bool = False,
) -> Corpus:
    """Splits, learns the tokenizer (unless given) from the training part alone, and encodes.

    valid: a text of its own to validate on; without it the last `valid_fraction` of the
    characters or, per line, every tenth line, which may be nothing. Raises TextError if nothing
    is left to train on.
    """
    train_part, valid_part = _split(text, valid, valid_fraction, per_line)
    if isinstance(tokenizer, str):
        chunks = (chunk for document in train_part() for chunk in document)
        tokenizer = train_tokenizer(tokenizer, chunks, min_count, vocabulary_size)
    parts = [tokenize(part(), tokenizer, per_line) for part in (train_part, valid_part)]
    if parts[0].events < 1:
        raise TextError(
            f"{text.name}: too short to train on; give at least two lines or characters"
        )
    return Corpus(text.name, tokenizer, parts[0], parts[1])


def _split(text: Text, valid: Text | None, fraction: float, per_line: bool) -> Any:
    """Two functions that give the training and the validation documents, from the beginning."""
    if per_line:
        whole, held = text, valid
        if held is not None:
            return lambda: [_lines(whole)], lambda: [_lines(held)]
        return (
            lambda: [
                lines_where(text.line_chunks(), lambda line: line % VALID_EVERY < VALID_EVERY - 1)
            ],
            lambda: [
                lines_where(text.line_chunks(), lambda line: line % VALID_EVERY == VALID_EVERY - 1)
            ],
        )
    if valid is not None:
        return lambda: _between(text, 0, text.characters), lambda: _between(
            valid, 0, valid.characters
        )
    boundary = min(int(text.characters * (1 - fraction)), text.characters)
    return (
        lambda: _between(text, 0, boundary),
        lambda: _between(text, boundary, text.characters),
    )


def _lines(text: Text) -> Iterator[str]:
    return lines_where(text.line_chunks(), lambda _: True)


def _between(text: Text, start: int, stop: int) -> Iterator[Iterable[str]]:
    """The documents' characters from start to stop, counted over all documents."""
    at = 0
    for document in text.documents:
        begin, end = max(start - at, 0), min(stop - at, document.characters)
        if begin < end:
            yield document.chunks(begin, end)
        at += document.characters


@dataclasses.dataclass(frozen=True)
class Window:
    """What one step of training sees.

    inputs and targets: (time, batch) integers, padding being <EOS> and IGNORED; starts: (batch,)
    booleans, true where the stream's state is to be zero before the first step.
    """

    inputs: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    starts: npt.NDArray[np.bool_]


class Streams:
    """One long sequence as `batch` parallel streams, cut into windows of `bptt` steps.

    Each epoch turns the text by a random offset, so that windows and streams are cut elsewhere.
    A window depends on the seed, the epoch and its index alone.
    """

    def __init__(
        self, tokens: Tokens, batch: int, bptt: int, seed: int, reset_probability: float
    ) -> None:
        self._ids, self._events = tokens.ids, tokens.events
        self.batch = max(1, min(batch, tokens.events // bptt))
        self.bptt = min(bptt, tokens.events // self.batch)
        self._seed, self._reset_probability = seed, reset_probability

    def windows(self, epoch: int) -> int:
        """How many windows the epoch has."""
        del epoch
        return self._events // self.batch // self.bptt

    def window(self, epoch: int, index: int) -> Window:
        """Window `index` of the epoch: each stream goes on where it was in the window before."""
        turn = int(np.random.default_rng([self._seed, epoch]).integers(self._events))
        random = np.random.default_rng([self._seed, epoch, index])
        heads = turn + np.arange(self.batch) * (self._events // self.batch) + index * self.bptt
        at = (heads + np.arange(self.bptt)[:, None]) % self._events  # (time, batch)
        inputs, targets = self._ids[at].astype(np.int64), self._ids[at + 1].astype(np.int64)
        starts = (random.random(self.batch) < self._reset_probability) | (index == 0)
        inputs[0, starts] = EOS
        return Window(inputs, targets, starts)


class Lines:
    """One sequence a line: batches of lines of about the same length, in random order.

    Lines longer than `bptt` go on in the next window, with their state.
    """

    POOL = 50  # batches that are sorted by length together

    def __init__(self, tokens: Tokens, batch: int, bptt: int, seed: int) -> None:
        self._ids = tokens.ids
        ends = np.flatnonzero(tokens.ids == EOS)
        self._begins, self._lengths = ends[:-1], np.diff(ends)
        self.batch, self.bptt = min(batch, len(self._begins)), bptt
        self._seed, self._epoch = seed, -1

    def windows(self, epoch: int) -> int:
        """How many windows the epoch has."""
        self._plan(epoch)
        return int(self._ends[-1])

    def window(self, epoch: int, index: int) -> Window:
        """Window `index` of the epoch."""
        self._plan(epoch)
        batch = int(np.searchsorted(self._ends, index, side="right"))
        first = int(self._ends[batch - 1]) if batch else 0
        return self._cut(self._batches[batch], (index - first) * self.bptt)

    def _plan(self, epoch: int) -> None:
        """Shuffles, sorts pools of batches by length, shuffles the batches."""
        if epoch == self._epoch:
            return
        random = np.random.default_rng([self._seed, epoch])
        order = random.permutation(len(self._begins))
        pool = self.batch * self.POOL
        batches = []
        for at in range(0, len(order), pool):
            lines = order[at : at + pool]
            lines = lines[np.argsort(self._lengths[lines], kind="stable")]
            batches += [lines[k : k + self.batch] for k in range(0, len(lines), self.batch)]
        self._batches = [batches[k] for k in random.permutation(len(batches))]
        longest = np.array([self._lengths[lines].max() for lines in self._batches])
        self._ends = np.cumsum(-(-longest // self.bptt))
        self._epoch = epoch

    def _cut(self, lines: Ids, offset: int) -> Window:
        """Steps offset to offset + bptt of the given lines."""
        lengths = self._lengths[lines]
        steps = min(self.bptt, int(lengths.max()) - offset)
        at = offset + np.arange(steps)[:, None]  # (time, 1)
        inside = at < lengths  # (time, batch)
        index = np.where(inside, self._begins[lines] + at, 0)
        inputs = np.where(inside, self._ids[index], EOS).astype(np.int64)
        targets = np.where(inside, self._ids[index + 1].astype(np.int64), IGNORED)
        return Window(inputs, targets, np.full(len(lines), offset == 0))


def windows_of(
    tokens: Tokens, batch: int, bptt: int, seed: int, reset_probability: float
) -> Streams | Lines:
    """The windows that the kind of sequence asks for."""
    if tokens.per_line:
        return Lines(tokens, batch, bptt, seed)
    return Streams(tokens, batch, bptt, seed, reset_probability)
