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


def show(tokens: "Sequence[TokenScore]") -> None:
    """A table on stdout, a row a token: P, bits and rank."""
    rows = [
        [
            terminal.symbol(token.piece),
            f"{math.exp(-token.nats):.4f}" if token.nats < 9 else f"{math.exp(-token.nats):.1e}",
            f"{token.nats / math.log(2):.3f}",
            str(token.rank),
        ]
        for token in tokens
    ]
    terminal.table(["token", "P", "bits", "rank"], rows, right=[1, 2, 3])
