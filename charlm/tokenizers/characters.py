"""Characters as tokens: one Unicode code point each, no normalisation.

Knows nothing about what makes a grapheme: an accent that combines is a token of its own.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.errors import OptionError, TextError
from charlm.tokenizers.base import (
    SPECIAL_PIECES,
    UNK,
    Ids,
    Tokenizer,
    check_distinct,
    check_fields,
    smallest_dtype,
)

CODE_POINTS = 0x110000


class Characters:
    """A table of characters; the first of them is token 2.

    >>> tokenizer = Characters("abc")
    >>> tokenizer.encode("cab?").tolist()
    [4, 2, 3, 1]
    """

    kind = "characters"

    def __init__(self, characters: str) -> None:
        self.characters = characters
        self.size = len(SPECIAL_PIECES) + len(characters)
        self._pieces: list[str] = [*SPECIAL_PIECES, *characters]
        self._table = np.full(CODE_POINTS, UNK, smallest_dtype(self.size))
        self._table[code_points(characters)] = np.arange(len(SPECIAL_PIECES), self.size)
        self._ascii = self._table[:256].tobytes()  # of use while a token is one byte
        self.newline = int(self._table[ord("\n")])

    @classmethod
    def train(
        cls, chunks: Iterable[str], min_count: int, vocabulary_size: int | None
    ) -> "Characters":
        """The characters seen `min_count` times, the most frequent if they are too many."""
        counts = count_characters(chunks)
        if not counts.any():
            raise TextError("the text is empty: there are no characters to learn")
        limit = CODE_POINTS if vocabulary_size is None else vocabulary_size - len(SPECIAL_PIECES)
        characters = most_frequent(counts, min_count, limit)
        if not characters:
            raise OptionError(
                f"--min-count {min_count}: no character is seen so often; "
                f"give {counts.max()} or less"
            )
        return cls(characters)

    @classmethod
    def load(cls, header: dict[str, Any]) -> "Characters":
        """From an untrusted header; raises CheckpointError."""
        check_fields(header, characters=str)
        check_distinct(header["characters"])
        return cls(header["characters"])

    def encode(self, text: str) -> Ids:
        if self._table.itemsize == 1 and text.isascii():  # five times as fast
            return np.frombuffer(bytearray(text, "ascii").translate(self._ascii), np.uint8)
        return self._table.take(code_points(text))

    def decode(self, tokens: Iterable[int]) -> str:
        return "".join(map(self._pieces.__getitem__, tokens))

    def decoder(self) -> "CharacterDecoder":
        return CharacterDecoder(self._pieces)

    def piece(self, token: int) -> str:
        return self._pieces[token]

    def unseen(self, text: str) -> list[tuple[int, str]]:
        return [(int(i), text[i]) for i in np.flatnonzero(self.encode(text) == UNK)]

    def grown(self, other: Tokenizer) -> "Characters":
        if not isinstance(other, Characters):
            raise OptionError(f"a characters tokenizer cannot grow by one of {other.kind}")
        return Characters("".join(dict.fromkeys(self.characters + other.characters)))

    def header(self) -> dict[str, Any]:
        return {"kind": self.kind, "characters": self.characters}

    def tensors(self) -> dict[str, npt.NDArray[np.uint8]]:
        return {}


class CharacterDecoder:
    """Every token is whole characters already, so nothing is ever held back."""

    def __init__(self, pieces: list[str]) -> None:
        self._pieces = pieces

    def feed(self, token: int) -> str:
        return self._pieces[token]

    def finish(self) -> str:
        return ""


def code_points(text: str) -> npt.NDArray[np.unsignedinteger[Any]]:
    """The numbers of the characters; lone surrogates have theirs too."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def count_characters(chunks: Iterable[str]) -> npt.NDArray[np.int64]:
    """How often each code point is seen, lone surrogates left out; shape (0x110000,)."""
    counts = np.zeros(CODE_POINTS, np.int64)
    for chunk in chunks:
        codes = code_points(chunk)
        found = _count_bytes(codes) if codes.itemsize == 1 else np.bincount(codes)
        counts[: len(found)] += found
    counts[0xD800:0xE000] = 0
    return counts


def _count_bytes(codes: npt.NDArray[np.unsignedinteger[Any]]) -> npt.NDArray[np.int64]:
    """np.bincount of bytes, taken two by two, which takes half as long."""
    even = len(codes) // 2 * 2
    pairs = np.bincount(codes[:even].view(np.uint16), minlength=2**16).reshape(256, 256)
    counts: npt.NDArray[np.int64] = pairs.sum(axis=0) + pairs.sum(axis=1)
    counts[codes[even:]] += 1
    return counts


def most_frequent(counts: npt.NDArray[np.int64], min_count: int, limit: int) -> str:
    """At most `limit` characters counted `min_count` times or more, ordered by code point.

    Of characters that are equally frequent the lower code point comes first into the limit.
    """
    codes = np.flatnonzero(counts >= min_count)
    ranked = codes[np.argsort(-counts[codes], kind="stable")]
    return "".join(map(chr, sorted(ranked[:limit].tolist())))
