"""What each word of a text costs a model, whatever its tokens are.

A word is what stands between white space, and the white space before it is its own: the chain rule
then gives each word's probability after all that was before it. Knows scores of tokens; knows
nothing about networks or terminals.
"""

import itertools
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from charlm.inspection.passage import pieces_of
from charlm.scoring import TokenScore
from charlm.tokenizers import EOS, Tokenizer
from charlm.tokenizers.base import SPECIAL_PIECES


@dataclass(frozen=True)
class WordScore:
    """A word without the white space before it, its −ln P, and how many tokens it is.

    The end of a sequence, where it is counted, is a word of its own.
    """

    word: str
    nats: float
    tokens: int


def by_word(tokenizer: Tokenizer, text: str, tokens: Sequence[TokenScore]) -> list[WordScore]:
    """The scores of a text's tokens, in order, summed by word.

    White space at the end of the text belongs to its last word.
    """
    found = list(re.finditer(r"\s*(\S+)", text))
    begins = [match.start() for match in found] or [0]
    words = [*([match[1] for match in found] or [""]), SPECIAL_PIECES[EOS]]
    inside = [token for token in tokens if token.token != EOS]
    numbers = [bisect_right(begins, at) - 1 for at in _begins(tokenizer, text, inside)]
    numbers += [len(begins)] * (len(tokens) - len(inside))
    grouped = itertools.groupby(zip(numbers, tokens, strict=True), key=lambda pair: pair[0])
    scores = []
    for number, pairs in grouped:
        nats = [token.nats for _, token in pairs]
        scores.append(WordScore(words[number], sum(nats), len(nats)))
    return scores


def _begins(tokenizer: Tokenizer, text: str, tokens: Sequence[TokenScore]) -> Iterator[int]:
    """Where in the text each token begins; a byte inside a character begins where that does."""
    at = 0
    if tokenizer.kind == "words":  # which leave out the white space between them
        for token in tokens:
            word = token.unseen or token.piece
            begin = text.index(word, at)
            yield begin
            at = begin + len(word)
        return
    ids = np.array([token.token for token in tokens], np.uint32)
    for piece in pieces_of(tokenizer, ids, text):
        yield at
        at += len(piece)
