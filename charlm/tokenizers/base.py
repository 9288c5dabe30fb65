"""What every tokenizer does: the protocol, and the two special tokens.

Knows nothing about files, sequences or models.
"""

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

EOS = 0  # <EOS>: the boundary of sequences, context at the start, a scored event at the end
UNK = 1  # <UNK>: whatever is not in the vocabulary
SPECIAL_PIECES = ("<EOS>", "<UNK>")

Ids = npt.NDArray[np.unsignedinteger[Any]]


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
        """Token numbers, in the smallest unsigned type that holds `size`; unseen ones are UNK."""

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of the tokens; special tokens are written as `<EOS>` and `<UNK>`."""

    def decoder(self) -> Decoder:
        """A fresh incremental decoder."""

    def piece(self, token: int) -> str:
        """How one token is written in a table (a lone byte as `<0xE2>`)."""

    def unseen(self, text: str) -> list[tuple[int, str]]:
        """Each character or word that `encode` turns into UNK, with its character offset."""

    def grown(self, other: "Tokenizer") -> "Tokenizer":
        """This tokenizer with the other's new tokens appended; numbers already given stay."""

    def header(self) -> dict[str, Any]:
        """What the checkpoint's JSON header keeps, `kind` included."""

    def tensors(self) -> dict[str, npt.NDArray[np.uint8]]:
        """What the checkpoint keeps as tensors (a SentencePiece model); mostly nothing."""


def smallest_dtype(size: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The smallest unsigned type that holds the numbers 0 to size − 1."""
    return np.dtype(np.min_scalar_type(size - 1))
