"""What every tokenizer does: the protocol, the two special tokens, and what the kinds share.

Knows nothing about files, sequences or models.
"""

import re
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from charlm.errors import CheckpointError

EOS = 0  # <EOS>: the boundary of sequences, context at the start, a scored event at the end
UNK = 1  # <UNK>: whatever is not in the vocabulary
SPECIAL_PIECES = ("<EOS>", "<UNK>")

Ids = npt.NDArray[np.unsignedinteger[Any]]
SURROGATE = re.compile("([\ud800-\udfff])")  # half a character; no encoding of Unicode has it


class Decoder(Protocol):
    """Turns tokens into text one at a time, and never gives out half a character.

    The texts of all `feed`s and the last `finish`, joined, equal `Tokenizer.decode` of the whole.
    """

    def feed(self, token: int) -> str: ...

    def finish(self) -> str: ...


class Tokenizer(Protocol):
    """A two-way map between text and token numbers, 0 being <EOS> and 1 being <UNK>."""

    @property
    def kind(self) -> str:
        """`characters`, `bytes`, `words`, `unigram` or `bpe`."""

    @property
    def size(self) -> int:
        """Number of tokens, <EOS> and <UNK> included."""

    @property
    def newline(self) -> int:
        """The token of "\\n" (UNK where the vocabulary has none)."""

    def encode(self, text: str) -> Ids:
        """Token numbers, in the smallest unsigned type that holds `size`; unseen ones are UNK.

        <EOS> is never among them: a text that spells it is only text.
        """

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of the tokens; special tokens are written as `<EOS>` and `<UNK>`."""

    def decoder(self) -> Decoder:
        """A fresh incremental decoder."""

    def piece(self, token: int) -> str:
        """How one token is written in a table: its own text, spaces and controls as they are.

        A byte that is no character by itself is written as `<0xE2>`.
        """

    def unseen(self, text: str) -> list[tuple[int, str]]:
        """Each character or word that `encode` turns into UNK, with its character offset."""

    def grown(self, other: "Tokenizer") -> "Tokenizer":
        """This tokenizer with the other's new tokens appended; numbers already given stay.

        Raises OptionError where the two are of different kinds.
        """

    def header(self) -> dict[str, Any]:
        """What the checkpoint's JSON header keeps, `kind` included."""

    def tensors(self) -> dict[str, npt.NDArray[np.uint8]]:
        """What the checkpoint keeps as tensors (a SentencePiece model); mostly nothing."""


def smallest_dtype(size: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The smallest unsigned type that holds the numbers 0 to size − 1."""
    return np.dtype(np.min_scalar_type(size - 1))


def check_fields(header: dict[str, Any], **types: type) -> None:
    """Refuse a tokenizer's header whose keys, besides `kind`, are not exactly those of `types`.

    Raises CheckpointError.
    """
    for key in header.keys() - types.keys() - {"kind"}:
        raise CheckpointError(f"the tokenizer has an unknown key {key!r:.40}")
    for key, expected in types.items():
        if key not in header:
            raise CheckpointError(f"the tokenizer has no {key!r}")
        if type(header[key]) is not expected:
            found = type(header[key]).__name__
            raise CheckpointError(f"the tokenizer's {key!r} is {found}, not {expected.__name__}")


def check_distinct(pieces: Iterable[str]) -> None:
    """Refuse a table that holds a piece twice, or half a character; raises CheckpointError."""
    seen: set[str] = set()
    for piece in pieces:
        if piece in seen:
            raise CheckpointError(f"the tokenizer's table holds {piece!r:.40} twice")
        if SURROGATE.search(piece):
            raise CheckpointError(f"the tokenizer's table holds a lone surrogate, {piece!a:.40}")
        seen.add(piece)
