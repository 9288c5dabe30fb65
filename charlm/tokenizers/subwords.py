"""Subwords as tokens: SentencePiece's unigram and BPE models, made lossless over all of Unicode.

SentencePiece keeps a few characters to itself: U+2581 is its space, U+2585 its unknown, tab and
NUL its boundaries, and lines end at a newline. So before it sees a text they change places with
the private-use characters 0xF0000 above them, one for one, and after decoding they change back.
For the space that makes a round of three: " " → U+2581 → U+F2581 → " ". SentencePiece alone would
take the last for its space again, so U+F2581 goes past it, as the byte 0x20.

The newline is a piece by itself. Characters without a piece are written as their UTF-8 bytes.
Knows nothing about files; `sentencepiece` is imported when a tokenizer is made, not before.
"""

import io
import re
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.errors import CheckpointError, OptionError, TextError
from charlm.tokenizers.base import (
    EOS,
    SPECIAL_PIECES,
    SURROGATE,
    UNK,
    Ids,
    Tokenizer,
    check_fields,
    smallest_dtype,
)
from charlm.tokenizers.bytes import Utf8Decoder
from charlm.tokenizers.characters import count_characters, most_frequent

DEFAULT_SIZE = 2_000
_FIRST_BYTE = len(SPECIAL_PIECES) + 1  # the token of byte 0, after the newline's
TENSOR = "tokenizer.sentencepiece"
_MOST_PIECES = 1_000_000  # SentencePiece dies of numbers near 2^31; also its default of seeds
_SAMPLE = 5_000_000  # characters to train on, at most; a minute or two where nothing parts words

_PRIVATE = 0xF0000
_NEWLINE = chr(_PRIVATE + ord("\n"))
_SPACE = chr(_PRIVATE + 0x2581)
_INTO = {char: chr(ord(char) + _PRIVATE) for char in "\0\t\n\u2585"}
_INTO |= {private: char for char, private in _INTO.items()}
_INTO |= {" ": "\u2581", "\u2581": _SPACE, _SPACE: " "}
_SWAP = str.maketrans(_INTO)
_SWAP_BACK = str.maketrans({there: here for here, there in _INTO.items()})
_APART = re.compile(f"([\ud800-\udfff{_SPACE}])")  # what does not go through SentencePiece

_OPTIONS: dict[str, Any] = {
    "hard_vocab_limit": False,  # a short text may have fewer pieces
    "character_coverage": 1.0,
    "byte_fallback": True,
    "user_defined_symbols": [_NEWLINE],
    "allow_whitespace_only_pieces": True,  # indentation
    "normalization_rule_name": "identity",
    "add_dummy_prefix": False,
    "remove_extra_whitespaces": False,
    "eos_id": EOS,
    "unk_id": UNK,
    "bos_id": -1,
    "pad_id": -1,
    "eos_piece": SPECIAL_PIECES[EOS],
    "unk_piece": SPECIAL_PIECES[UNK],
    "minloglevel": 2,  # errors only
}

# At most 1,000 characters (4,000 bytes: SentencePiece drops lines over 4,192), ending after a
# newline or before white space, where no piece lies across, and only then anywhere.
_BLOCK = re.compile(r"(?s:.{1,1000})(?:(?<=\n)|(?<! )(?= )|\Z)|(?s:.{1,1000})")


class Subwords:
    """A SentencePiece model; <EOS> is 0, <UNK> 1, the newline 2, then 256 bytes, then pieces."""

    def __init__(self, kind: str, model: bytes) -> None:
        from sentencepiece import SentencePieceProcessor

        self.kind = kind
        self._model = model
        self._processor = SentencePieceProcessor(model_proto=model)
        self.size = int(self._processor.get_piece_size())
        self._pieces = [self._bytes(token) for token in range(self.size)]
        self._dtype = smallest_dtype(self.size)
        self.newline = int(self._processor.piece_to_id(_NEWLINE))

    def _bytes(self, token: int) -> bytes:
        """The token's text in UTF-8, not yet changed back."""
        piece = str(self._processor.id_to_piece(token))
        if self._processor.is_byte(token):
            return bytes([int(piece[1:-1], 16)])  # <0xE2>
        return piece.encode()

    @classmethod
    def train(cls, kind: str, chunks: Iterable[str], vocabulary_size: int | None) -> "Subwords":
        """Learn pieces from the text, or from an even share of it if it is long.

        Raises OptionError for a vocabulary that has no place for pieces, TextError for a text
        that has none to learn. A short text gives fewer pieces than were asked for.
        """
        size = min(DEFAULT_SIZE if vocabulary_size is None else vocabulary_size, _MOST_PIECES)
        places = size - _FIRST_BYTE - 256
        if places < 2:
            least = size - places + 2
            raise OptionError(
                f"--vocab-size {size}: subwords need 256 bytes, a newline, <EOS> and <UNK>; "
                f"give {least} or more"
            )
        return cls(kind, _train(kind, _sample(chunks, _SAMPLE), size, places // 2))

    @classmethod
    def load(
        cls, header: dict[str, Any], tensors: Mapping[str, npt.NDArray[np.uint8]]
    ) -> "Subwords":
        """From an untrusted header and model; raises CheckpointError."""
        check_fields(header, size=int)
        model = tensors.get(TENSOR)
        if model is None or model.dtype != np.uint8 or model.ndim != 1 or not model.size:
            raise CheckpointError(f"the tokenizer has no tensor {TENSOR} of bytes")
        try:
            tokenizer = cls(header["kind"], model.tobytes())
            sound = tokenizer._is_sound(header["size"])
        except (RuntimeError, ValueError, IndexError) as error:
            raise CheckpointError("the tokenizer's SentencePiece model is damaged") from error
        if not sound:
            raise CheckpointError("the tokenizer's SentencePiece model is not one of charlm's")
        return tokenizer

    def _is_sound(self, size: int) -> bool:
        """Whether the model has charlm's layout, and a text comes back as it was."""
        processor = self._processor
        probe = "  a\t\u2581b  \0\U000f2581é\U0001f600\r\n\n ﬁ "  # changed by any normalisation
        return bool(
            self.size == size
            and processor.is_control(EOS)
            and processor.is_unknown(UNK)
            and self._pieces[: len(SPECIAL_PIECES)] == [name.encode() for name in SPECIAL_PIECES]
            and self.newline == _FIRST_BYTE - 1
            and self._pieces[_FIRST_BYTE:][:256] == [bytes([byte]) for byte in range(256)]
            and self.decode(self.encode(probe)) == probe
        )

    def encode(self, text: str) -> Ids:
        ids = chain.from_iterable(map(self._encode_part, _APART.split(text)))
        return np.fromiter(ids, self._dtype)

    def _encode_part(self, part: str) -> Iterable[int]:
        if _APART.match(part):
            return [_FIRST_BYTE + ord(" ") if part == _SPACE else UNK]
        blocks = [block.translate(_SWAP) for block in _BLOCK.findall(part)]
        return chain.from_iterable(self._processor.encode(blocks))

    def decode(self, tokens: Iterable[int]) -> str:
        data = b"".join(map(self._pieces.__getitem__, tokens))
        return data.decode("utf-8", "replace").translate(_SWAP_BACK)

    def decoder(self) -> Utf8Decoder:
        return Utf8Decoder(self._pieces, _SWAP_BACK)

    def piece(self, token: int) -> str:
        if self._processor.is_byte(token):
            return str(self._processor.id_to_piece(token))
        return self.decode([token])

    def unseen(self, text: str) -> list[tuple[int, str]]:
        return [(match.start(), match.group()) for match in SURROGATE.finditer(text)]

    def grown(self, other: Tokenizer) -> "Subwords":
        if other.kind != self.kind:
            raise OptionError(f"a {self.kind} tokenizer cannot grow by one of {other.kind}")
        return self  # it writes every text already

    def header(self) -> dict[str, Any]:
        return {"kind": self.kind, "size": self.size}

    def tensors(self) -> dict[str, npt.NDArray[np.uint8]]:
        return {TENSOR: np.frombuffer(bytearray(self._model), np.uint8)}


def _sample(chunks: Iterable[str], limit: int) -> list[str]:
    """Blocks spread evenly over the text, between half of `limit` characters and all of it.

    Whenever they grow too many every other one is dropped, and from then on every other one is
    not taken: one pass, bounded memory, and the same blocks each time.
    """
    blocks: list[str] = []
    held, stride = 0, 1
    every = (block for chunk in chunks for block in _BLOCK.findall(chunk))
    for number, block in enumerate(every):
        if number % stride:
            continue
        blocks.append(block)
        held += len(block)
        if held > limit and len(blocks) > 1:
            blocks = blocks[::2]
            held, stride = sum(map(len, blocks)), stride * 2
    return blocks


def _train(kind: str, blocks: list[str], size: int, characters: int) -> bytes:
    """SentencePiece's model of the blocks; it learns pieces of the most frequent `characters`.

    The others part its lines as newlines do, across which it learns nothing.
    """
    from sentencepiece import SentencePieceTrainer

    counts = count_characters(blocks)
    counts[ord("\n")] = 0
    if not counts.any():
        raise TextError("the text is empty or has only line ends: there are no subwords to learn")
    counts[list(map(ord, most_frequent(counts, 1, characters)))] = 0
    unlearned = chain(np.flatnonzero(counts).tolist(), range(0xD800, 0xE000), [ord(_SPACE)])
    swap = _SWAP | dict.fromkeys(unlearned, _NEWLINE)
    lines = chain.from_iterable(block.translate(swap).split(_NEWLINE) for block in blocks)
    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=(line for line in lines if line),
            model_writer=model,
            model_type=kind,
            vocab_size=size,
            seed_sentencepiece_size=min(20 * size, _MOST_PIECES),  # as good, sooner
            **_OPTIONS,
        )
    except RuntimeError as error:
        raise TextError(
            f"{kind} finds no subwords to learn in this text; choose the bytes tokenizer "
            f"(SentencePiece says: {str(error).strip()})"
        ) from error
    return model.getvalue()
