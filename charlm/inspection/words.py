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
from charlm.tokenizers import EOS, UNK, Tokenizer
from charlm.tokenizers.base import SPECIAL_PIECES


@dataclass(frozen=True)
class WordScore:
    """A word without the white space before it, its −ln P, and how many tokens it is.

    unseen: how many of them are <UNK>. The end of a sequence, where it is counted, is a word of
    its own.
    """

    word: str
    nats: float
    tokens: int
    unseen: int = 0


def by_word(tokenizer: Tokenizer, text: str, tokens: Sequence[TokenScore]) -> list[WordScore]:
    """The scores of a text's tokens, in order, summed by word.

    White space at the end of the text belongs to its last word. Words that share a token, as those
    on both sides of a no-break space may, count as one.
    """
    inside = [token for token in tokens if token.token != EOS]
    spans = list(_spans(tokenizer, text, inside))
    shared = {at for begin, end in spans for at in range(begin + 1, end)}
    begins = [match.start() for match in re.finditer(r"\s*\S+", text)] or [0]
    begins = [begin for begin in begins if begin not in shared]
    words = [text[a:b].strip() for a, b in itertools.pairwise([*begins, len(text)])]
    words.append(SPECIAL_PIECES[EOS])
    numbers = [bisect_right(begins, begin) - 1 for begin, _ in spans]
    numbers += [len(begins)] * (len(tokens) - len(inside))
    grouped = itertools.groupby(zip(numbers, tokens, strict=True), key=lambda pair: pair[0])
    scores = []
    for number, pairs in grouped:
        own = [token for _, token in pairs]
        nats, unseen = sum(token.nats for token in own), sum(token.token == UNK for token in own)
        scores.append(WordScore(words[number], nats, len(own), unseen))
    return scores


def _spans(
    tokenizer: Tokenizer, text: str, tokens: Sequence[TokenScore]
) -> Iterator[tuple[int, int]]:
    """Where in the text each token begins and ends; a byte inside a character is at its begin."""
    at = 0
    if tokenizer.kind == "words":  # which leave out the white space between them
        for token in tokens:
            word = token.unseen or token.piece
            begin = text.index(word, at)
            yield begin, (at := begin + len(word))
        return
    ids = np.array([token.token for token in tokens], np.uint32)
    for piece in pieces_of(tokenizer, ids, text):
        yield at, (at := at + len(piece))
