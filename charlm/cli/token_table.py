"""Tokens and words with their probabilities, as `charlm score` shows them: JSON, rows, a table.

Knows nothing about which tokens they are, those of a sentence or those that may come next.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from charlm.cli import terminal

if TYPE_CHECKING:
    from charlm.inspection.words import WordScore
    from charlm.scoring import TokenScore

    Scored = Sequence[TokenScore] | Sequence[WordScore]


def records(scored: "Scored") -> list[dict[str, Any]]:
    """Every figure of each token or word in full precision, under its name."""
    return [
        vars(one) | {"bits": one.nats / math.log(2), "probability": math.exp(-one.nats)}
        for one in scored
    ]


def write_rows(place: str, scored: "Scored") -> None:
    """A line each into a pipe: where the text is, the token, ln P, bits, rank, what is <UNK>.

    Of a word: where its text is, the word, ln P, bits, its tokens, how many of them are <UNK>.
    """
    for one in scored:
        name, *more = _cells(one)
        figures = (f"{-one.nats:.4f}", f"{one.nats / math.log(2):.4f}")
        terminal.write("\t".join([place, name, *figures, *more]) + "\n")


def show(scored: "Scored", words: bool) -> None:
    """A table on stdout, a row each: P, bits and a token's rank or a word's tokens.

    How many of these are unseen stands there where any are.
    """
    rows = []
    for one in scored:
        name, *more = _cells(one)
        if not words:
            rank, unseen = more
            name, more = f"{name}␣{unseen}" if unseen else name, [rank]
        p = f"{math.exp(-one.nats):.4f}" if one.nats < 9 else f"{math.exp(-one.nats):.1e}"
        rows.append([name, p, f"{one.nats / math.log(2):.3f}", *more])
    titles = ["word", "P", "bits", "tokens", "unseen"] if words else ["token", "P", "bits", "rank"]
    if words and all(row[-1] == "0" for row in rows):
        titles, rows = titles[:-1], [row[:-1] for row in rows]
    terminal.table(titles, rows, right=range(1, len(titles)))


def _cells(one: "TokenScore | WordScore") -> list[str]:
    """A token, its rank, what of the text it stands for if it is <UNK>.

    Of a word: itself, how many tokens it is, how many of them are <UNK>.
    """
    from charlm.scoring import TokenScore

    if isinstance(one, TokenScore):
        return [terminal.symbol(one.piece), str(one.rank), terminal.symbol(one.unseen)]
    return [terminal.symbol(one.word), str(one.tokens), str(one.unseen)]
