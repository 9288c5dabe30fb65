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

    Of a word: where its text is, the word, ln P, bits, its tokens.
    """
    for one in scored:
        name, *more = _names(one)
        figures = (f"{-one.nats:.4f}", f"{one.nats / math.log(2):.4f}")
        terminal.write("\t".join([place, name, *figures, *more]) + "\n")


def show(scored: "Scored") -> None:
    """A table on stdout, a row each: P, bits and a token's rank or a word's tokens."""
    rows, last = [], "rank"
    for one in scored:
        name, count, *unseen = _names(one)
        last = "rank" if unseen else "tokens"
        p = math.exp(-one.nats)
        shown = f"{p:.4f}" if one.nats < 9 else f"{p:.1e}"
        name = f"{name}␣{unseen[0]}" if any(unseen) else name
        rows.append([name, shown, f"{one.nats / math.log(2):.3f}", count])
    title = "token" if last == "rank" else "word"
    terminal.table([title, "P", "bits", last], rows, right=[1, 2, 3])


def _names(one: "TokenScore | WordScore") -> list[str]:
    """A token, its rank, what of the text it stands for if it is <UNK>; a word, its tokens."""
    from charlm.scoring import TokenScore

    if isinstance(one, TokenScore):
        return [terminal.symbol(one.piece), str(one.rank), terminal.symbol(one.unseen)]
    return [terminal.symbol(one.word), str(one.tokens)]
