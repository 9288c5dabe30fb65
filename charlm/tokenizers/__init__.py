"""Text to token numbers and back: characters, bytes, words and SentencePiece subwords.

`train_tokenizer` makes one from a text, `load_tokenizer` from what a checkpoint keeps of it (its
`header()` and `tensors()`). Knows nothing about files, sequences or models.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.config import TOKENIZERS as KINDS
from charlm.config import check_limits
from charlm.errors import CheckpointError, OptionError
from charlm.tokenizers.base import EOS, SPECIAL_PIECES, UNK, Decoder, Ids, Tokenizer
from charlm.tokenizers.bytes import Bytes
from charlm.tokenizers.characters import Characters
from charlm.tokenizers.subwords import TENSOR, Subwords
from charlm.tokenizers.words import Words

__all__ = [
    "EOS",
    "KINDS",
    "UNK",
    "Decoder",
    "Ids",
    "Tokenizer",
    "load_tokenizer",
    "train_tokenizer",
]


def train_tokenizer(
    kind: str, chunks: Iterable[str], min_count: int = 1, vocabulary_size: int | None = None
) -> Tokenizer:
    """Learn a vocabulary from a text in one pass over its chunks, in bounded memory.

    `vocabulary_size` is the most tokens there may be, <EOS> and <UNK> included; by default all
    characters, 10,000 words or 2,000 subwords. Characters and words seen fewer than `min_count`
    times become <UNK>; bytes and subwords, which can write every text, take no `min_count`.

    Raises OptionError and TextError.

    >>> tokenizer = train_tokenizer("characters", ["hello"])
    >>> tokenizer.decode(tokenizer.encode("hole"))
    'hole'
    """
    if kind not in KINDS:
        raise OptionError(f"no tokenizer is called {kind!r}; there are {', '.join(KINDS)}")
    check_limits("--min-count", min_count, minimum=1)
    if min_count > 1 and kind not in ("characters", "words"):
        raise OptionError(f"--min-count {min_count}: {kind} can write every text; leave it out")
    if vocabulary_size is not None and vocabulary_size <= len(SPECIAL_PIECES):
        raise OptionError(
            f"--vocab-size {vocabulary_size}: give 3 or more, for <EOS>, <UNK> and text"
        )
    if kind == "characters":
        return Characters.train(chunks, min_count, vocabulary_size)
    if kind == "words":
        return Words.train(chunks, min_count, vocabulary_size)
    if kind != "bytes":
        return Subwords.train(kind, chunks, vocabulary_size)
    if vocabulary_size not in (None, Bytes.size):
        raise OptionError(f"--vocab-size {vocabulary_size}: bytes always have {Bytes.size} tokens")
    return Bytes()


def load_tokenizer(
    header: dict[str, Any], tensors: Mapping[str, npt.NDArray[np.uint8]]
) -> Tokenizer:
    """The tokenizer that a checkpoint keeps; both arguments may come from a stranger's file.

    `tensors` may hold the model's weights as well; names with `tokenizer.` are the tokenizer's.
    Raises CheckpointError, which says what is wrong.
    """
    kind = header.get("kind")
    if kind not in KINDS:
        raise CheckpointError(f"the tokenizer is of an unknown kind, {kind!r:.40}")
    own = {name for name in tensors if name.startswith("tokenizer.")}
    for name in own - ({TENSOR} if kind in ("unigram", "bpe") else set()):
        raise CheckpointError(f"the {kind} tokenizer has an unknown tensor {name!r:.60}")
    if kind == "characters":
        return Characters.load(header)
    if kind == "bytes":
        return Bytes.load(header)
    if kind == "words":
        return Words.load(header)
    return Subwords.load(header, tensors)
