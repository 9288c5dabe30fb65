"""Tokens with their probabilities, as `charlm score` shows them: records for JSON, a table.

Knows nothing about which tokens they are, those of a sentence or those that may come next.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from charlm.cli import terminal

if TYPE_CHECKING:
    from charlm.scoring import TokenScore


def records(tokens: "Sequence[TokenScore]") -> list[dict[str, Any]]:
    """Every figure of each token in full precision, under its name."""
    return [
        vars(token) | {"bits": token.nats / math.log(2), "probability": math.exp(-token.nats)}
        for token in tokens
    ]


def write_rows(number: int, tokens: "Sequence[TokenScore]") -> None:
    """A line a token into a pipe: the text's number, the token, ln P, bits, rank, what is <UNK>."""
    for token in tokens:
        figures = f"{-token.nats:.4f}\t{token.nats / math.log(2):.4f}\t{token.rank}"
        piece, unseen = map(terminal.symbol, (token.piece, token.unseen))
        terminal.write(f"{number}\t{piece}\t{figures}\t{unseen}\n")


def show(tokens: "Sequence[TokenScore]") -> None:
    """A table on stdout, a row a token: P, bits and rank."""
    rows = [
        [
            terminal.symbol(f"{token.piece} {token.unseen}" if token.unseen else token.piece),
            f"{math.exp(-token.nats):.4f}" if token.nats < 9 else f"{math.exp(-token.nats):.1e}",
            f"{token.nats / math.log(2):.3f}",
            str(token.rank),
        ]
        for token in tokens
    ]
    terminal.table(["token", "P", "bits", "rank"], rows, right=[1, 2, 3])
