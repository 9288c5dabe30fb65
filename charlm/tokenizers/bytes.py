"""The bytes of UTF-8 as tokens, and the incremental decoder of whatever has bytes for tokens.

Knows nothing about other encodings: text comes in, not a file's bytes.
"""

import codecs
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.errors import OptionError
from charlm.tokenizers.base import (
    SPECIAL_PIECES,
    SURROGATE,
    UNK,
    Ids,
    Tokenizer,
    check_fields,
)

_FIRST = len(SPECIAL_PIECES)  # the token of byte 0


class Bytes:
    """Token = byte + 2. Every text can be written; only a lone surrogate becomes UNK.

    Bytes that are not UTF-8, as a model may make up, are decoded as U+FFFD.

    >>> Bytes().encode("é").tolist()
    [197, 171]
    """

    kind = "bytes"
    size = _FIRST + 256
    newline = _FIRST + ord("\n")

    def __init__(self) -> None:
        special = [piece.encode() for piece in SPECIAL_PIECES]
        self._pieces = [*special, *(bytes([byte]) for byte in range(256))]

    @classmethod
    def load(cls, header: dict[str, Any]) -> "Bytes":
        """From an untrusted header; raises CheckpointError."""
        check_fields(header)
        return cls()

    def encode(self, text: str) -> Ids:
        try:
            data = np.frombuffer(text.encode(), np.uint8)
        except UnicodeEncodeError:
            return self._encode_around_surrogates(text)
        return np.add(data, _FIRST, dtype=np.uint16)

    def _encode_around_surrogates(self, text: str) -> Ids:
        parts = SURROGATE.split(text)  # text, surrogate, text, surrogate, …, text
        unknown = np.full(1, UNK, np.uint16)
        ids = [unknown if number % 2 else self.encode(part) for number, part in enumerate(parts)]
        return np.concatenate(ids)

    def decode(self, tokens: Iterable[int]) -> str:
        return b"".join(map(self._pieces.__getitem__, tokens)).decode("utf-8", "replace")

    def decoder(self) -> "Utf8Decoder":
        return Utf8Decoder(self._pieces)

    def piece(self, token: int) -> str:
        piece = self._pieces[token]
        return piece.decode() if piece.isascii() else f"<0x{piece[0]:02X}>"

    def unseen(self, text: str) -> list[tuple[int, str]]:
        return [(match.start(), match.group()) for match in SURROGATE.finditer(text)]

    def grown(self, other: Tokenizer) -> "Bytes":
        if not isinstance(other, Bytes):
            raise OptionError(f"a bytes tokenizer cannot grow by one of {other.kind}")
        return self

    def header(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def tensors(self) -> dict[str, npt.NDArray[np.uint8]]:
        return {}


class Utf8Decoder:
    """Holds bytes back until they are a character, or can no longer become one (U+FFFD)."""

    def __init__(self, pieces: list[bytes], swap: Mapping[int, str] | None = None) -> None:
        self._pieces = pieces
        self._swap = swap or {}
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        return self._decoder.decode(self._pieces[token]).translate(self._swap)

    def finish(self) -> str:
        return self._decoder.decode(b"", final=True).translate(self._swap)
