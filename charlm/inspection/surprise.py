"""What a model expected of each token of a text, and how much the token surprised it.

Knows engines and passages; knows nothing about terminals. `ScoredText` shows itself in a notebook.
"""

import dataclasses
import html
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from charlm.figures import visible
from charlm.inference import Engine, Ids
from charlm.inspection.colours import Colour, hexadecimal, ink, sequential
from charlm.inspection.passage import Passage
from charlm.scoring import Score, TokenScore
from charlm.sequences import predictions
from charlm.tokenizers import EOS

MOST_BITS = 10.0  # the colour scale's end: a token of probability 1/1024, or less

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Expectations:
    """For each token of a passage: its bits and rank, and the likeliest tokens in its place."""

    bits: Floats  # (tokens,): −log2 P
    ranks: npt.NDArray[np.int64]  # (tokens,), 1 for the likeliest
    likeliest: npt.NDArray[np.int64]  # (tokens, count): token numbers, the likeliest first
    probabilities: Floats  # (tokens, count)

    def greatest(self, count: int) -> list[int]:
        """The tokens with the most bits, the greatest first."""
        return [int(t) for t in np.argsort(-self.bits, kind="stable")[:count]]


def expectations(engine: Engine, passage: Passage, count: int = 5) -> Expectations:
    """Reads the passage once; every sequence starts from the zero state after <EOS>."""
    count = min(count, engine.config.vocabulary_size)
    ids, zero = passage.ids, engine.initial_state(1)
    starts = [*np.flatnonzero(ids[:-1] == EOS), len(ids) - 1]
    rows = [
        _expected(*window, count)
        for begin, end in itertools.pairwise(starts)
        for window in predictions(engine, ids[begin : end + 1], zero)
    ]
    return Expectations(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def _expected(
    log_probabilities: Floats, tokens: Ids, count: int
) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    own = np.take_along_axis(log_probabilities, tokens[:, None], axis=1)
    likeliest = np.argpartition(-log_probabilities, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(log_probabilities, likeliest, 1), 1, kind="stable")
    likeliest = np.take_along_axis(likeliest, order, 1)
    return (
        -own[:, 0] / math.log(2),
        1 + (log_probabilities > own).sum(axis=1),
        likeliest,
        np.exp(np.take_along_axis(log_probabilities, likeliest, axis=1)),
    )


def colour_of(bits: float) -> Colour:
    """The colour of a surprise: dark blue for 0 bits, light yellow for 10 or more."""
    return sequential(bits / MOST_BITS)


@dataclasses.dataclass(frozen=True)
class ScoredText(Score):
    """A score that shows itself in a notebook as a surprise map, of what token_scores gives."""

    token_scores: Callable[[], Sequence[TokenScore]] = dataclasses.field(
        repr=False, compare=False, kw_only=True
    )

    def _repr_html_(self) -> str:
        return surprise_map(self)


def surprise_map(score: ScoredText) -> str:
    """HTML: every token on the colour of its bits, its figures in its title, and a legend."""
    tokens = "".join(
        _span(token.unseen or token.piece, token.nats / math.log(2), _rank(token))
        for token in score.token_scores()
    )
    legend = "".join(_span(f" {bits} ", bits) for bits in range(0, int(MOST_BITS) + 1, 2))
    total = abs(score.log_probability) / math.log(2)  # never -0.0
    return (
        '<div style="font-family:monospace;line-height:1.7">'
        f'<div style="white-space:pre-wrap;overflow-wrap:anywhere">{tokens}</div>'
        f'<div style="white-space:pre-wrap">{legend} bits or more; in all {total:.1f} bits, '
        f"{score.bits_per_character:.3f} a character</div></div>"
    )


def _rank(token: TokenScore) -> str:
    return f", rank {token.rank}{', unseen' * bool(token.unseen)}"


def _span(piece: str, bits: float, more: str = "") -> str:
    colour = colour_of(bits)
    style = f"background:{hexadecimal(colour)};color:{hexadecimal(ink(colour))}"
    shown = html.escape(visible(piece)).replace("\n", "␊\n")
    return f'<span style="{style}" title="{bits:.2f} bits{more}">{shown}</span>'
