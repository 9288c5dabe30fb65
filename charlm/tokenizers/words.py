"""Words and punctuation as tokens: the one tokenizer that may lose spacing.

What is a token:

- a word: letters, digits, combining marks and underscores, with an apostrophe, a hyphen or a
  full stop between two of them (`n't`, `well-known`, `u.s`) and a comma between digits (`1,000`);
- an apostrophe with a short ending that stands apart (`'s`, `'re`), as in tokenized corpora;
- "\\n", and any other character that is not white space, by itself.

Case is kept; white space other than "\\n" is lost. `<unk>`, as tokenized corpora print it, and
`<UNK>`, as `decode` prints it, are read as the token UNK.

How `decode` joins them: one space between tokens; none before . , ; : ! ? … ) ] } % ' ” ’
and none after ( [ { “ ‘ $ #; none around "\\n"; a straight double quote opens and closes in turn
within a line. What is decoded encodes to the same tokens again (but for <EOS>).

Knows nothing about languages, nor about scripts that write no spaces.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.errors import CheckpointError, OptionError, TextError
from charlm.tokenizers.base import (
    SPECIAL_PIECES,
    SURROGATE,
    UNK,
    Ids,
    Tokenizer,
    check_distinct,
    check_fields,
    smallest_dtype,
)

DEFAULT_SIZE = 10_000
_MOST_COUNTED = 1_000_000  # distinct words held while counting; about 150 MB
_LONGEST = 100  # characters of a word that is worth learning
_CLOSING = frozenset(".,;:!?…)]}%'”’\n")
_OPENING = frozenset("([{“‘$#\n")


class Words:
    """A table of words, the most frequent first; the first of them is token 2.

    >>> tokenizer = Words(["cat", "(", ")", "the"])
    >>> tokenizer.decode(tokenizer.encode("the cat  ( the dog )"))
    'the cat (the <UNK>)'
    """

    kind = "words"

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.size = len(SPECIAL_PIECES) + len(words)
        self._pieces = [*SPECIAL_PIECES, *words]
        self._ids = {word: token for token, word in enumerate(words, len(SPECIAL_PIECES))}
        self._dtype = smallest_dtype(self.size)
        self.newline = self._ids.get("\n", UNK)

    @classmethod
    def train(cls, chunks: Iterable[str], min_count: int, vocabulary_size: int | None) -> "Words":
        """The most frequent words, of equally frequent ones the first in code point order."""
        counts = _count(chunks)
        if not counts:
            raise TextError(
                "the text holds no word to learn: only white space, or words of more than "
                f"{_LONGEST} characters"
            )
        often = [word for word in counts if counts[word] >= min_count]
        if not often:
            most = max(counts.values())
            raise OptionError(
                f"--min-count {min_count}: no word is seen so often; give {most} or less"
            )
        often.sort(key=lambda word: (-counts[word], word))
        size = DEFAULT_SIZE if vocabulary_size is None else vocabulary_size
        return cls(often[: size - len(SPECIAL_PIECES)])

    @classmethod
    def load(cls, header: dict[str, Any]) -> "Words":
        """From an untrusted header; raises CheckpointError."""
        check_fields(header, words=list)
        words = header["words"]
        for word in words:
            if not isinstance(word, str) or (word != "\n" and word.split() != [word]):
                raise CheckpointError(f"the tokenizer's table holds {word!r:.40}, not a word")
        check_distinct((*SPECIAL_PIECES, *words))
        return cls(words)

    def encode(self, text: str) -> Ids:
        words = _pattern().findall(text)
        return np.fromiter(map(self._ids.get, words, repeat(UNK)), self._dtype, len(words))

    def decode(self, tokens: Iterable[int]) -> str:
        return "".join(map(self.decoder().feed, tokens))

    def decoder(self) -> "WordDecoder":
        return WordDecoder(self._pieces)

    def piece(self, token: int) -> str:
        return self._pieces[token]

    def unseen(self, text: str) -> list[tuple[int, str]]:
        found = ((match.start(), match.group()) for match in _pattern().finditer(text))
        return [(offset, word) for offset, word in found if word not in self._ids]

    def grown(self, other: Tokenizer) -> "Words":
        if not isinstance(other, Words):
            raise OptionError(f"a words tokenizer cannot grow by one of {other.kind}")
        return Words(list(dict.fromkeys(self.words + other.words)))

    def header(self) -> dict[str, Any]:
        return {"kind": self.kind, "words": self.words}

    def tensors(self) -> dict[str, npt.NDArray[np.uint8]]:
        return {}


class WordDecoder:
    """Joins words by the module's rule; what stands between two waits for the second."""

    def __init__(self, pieces: list[str]) -> None:
        self._pieces = pieces
        self._glued = True  # the next token follows without a space
        self._quoting = False  # a straight double quote is open

    def feed(self, token: int) -> str:
        piece = self._pieces[token]
        closing, opening = piece in _CLOSING, piece in _OPENING
        if piece == '"':
            closing, opening = self._quoting, not self._quoting
            self._quoting = opening
        elif piece == "\n":
            self._quoting = False
        text = piece if self._glued or closing else " " + piece
        self._glued = opening
        return text

    def glue(self) -> None:
        """What follows stands without a space: what came before ends in white space."""
        self._glued = True

    def finish(self) -> str:
        return ""


@cache
def _pattern() -> re.Pattern[str]:
    """The regular expression of one token."""
    basic = map(chr, range(0x300, 0x10000))  # a set that goes beyond is six times as slow
    marks = "".join(char for char in basic if unicodedata.category(char)[0] == "M")
    letter = rf"[\w{marks}\u200c\u200d]"  # with the two joiners that Persian and Hindi write
    word = rf"{letter}+(?:(?:['’.-]|(?<=\d),(?=\d)){letter}+)*"
    ending = rf"['’](?:[sdmt]|re|ve|ll)(?!{letter})"
    return re.compile(rf"<unk>|<UNK>|\n|{ending}|{word}|\S")


def _count(chunks: Iterable[str]) -> Counter[str]:
    """How often each word is seen, in bounded memory.

    Words longer than `_LONGEST` are left out. When too many distinct words are held the rarest
    are forgotten (once seen, then twice, …), as in Manku and Motwani's lossy counting: exact but
    for texts of several hundred megabytes.
    """
    counts: Counter[str] = Counter()
    for chunk in chunks:
        counts.update(word for word in _pattern().findall(chunk) if len(word) <= _LONGEST)
        rare = 0
        while len(counts) > _MOST_COUNTED:
            rare += 1
            counts = Counter({word: n for word, n in counts.items() if n > rare})
    for word in [word for word in counts if word.upper() == "<UNK>" or SURROGATE.search(word)]:
        del counts[word]
    return counts
