"""Decoding by search: the likeliest sequences that a beam of a given width finds.

Knows engines and token numbers; knows nothing about checkpoints or terminals.
"""

import dataclasses
from collections.abc import Collection

import numpy as np

from charlm.config import check_limits
from charlm.inference import Array, Engine, Exact, Ids, State, ln_softmax, rows_of
from charlm.sampling import read_prompt
from charlm.threads import threads_for
from charlm.tokenizers import EOS

GREATEST_PENALTY = 10  # powers of a length that every float holds


@dataclasses.dataclass(frozen=True)
class Found:
    """A sequence of the beam: its tokens after the prompt, without <EOS>.

    log_probability: ln P of the tokens and, where the sequence has `ended`, of <EOS>, in nats.
    score: what the beam ranks by, log_probability over the length penalty. text: what the tokens
    write, where it is known, as it is of what `Model.search` finds.
    """

    tokens: tuple[int, ...]
    ended: bool
    log_probability: float
    score: float
    text: str = ""


def beam_search(
    engine: Engine,
    prompt: Ids,
    width: int,
    length: int,
    *,
    length_penalty: float = 0.0,
    forbidden: Collection[int] = (),
) -> list[Found]:
    """The `width` best sequences of at most `length` tokens (<EOS> is one), the best first.

    At every step each unfinished sequence is extended by every token, and of the extensions and
    the sequences that ended before the `width` with the best score stay; a width of 1 is greedy,
    and one as large as the tree of sequences finds the true best. The score is
    ln P / ((5 + n) / 6)^α for n tokens, α being the length penalty (Wu et al. 2016,
    arXiv:1609.08144): 0 ranks by probability, which favours short sequences, more favours longer
    ones. Probabilities are the model's, also where tokens are forbidden. Of equals the earlier
    extension, then the smaller token, goes first. All unfinished sequences run in one batch.
    Raises OptionError for a width, length or penalty that cannot be used.
    """
    check_limits("--length", length, minimum=0)
    check_limits("--beam", width, minimum=1)
    check_limits("--length-penalty", length_penalty, minimum=0, maximum=GREATEST_PENALTY)
    with threads_for(engine.config.parameters):
        return _search(engine, prompt, width, length, length_penalty, forbidden)


def _search(
    engine: Engine,
    prompt: Ids,
    width: int,
    length: int,
    length_penalty: float,
    forbidden: Collection[int],
) -> list[Found]:
    logits, state = read_prompt(engine, prompt, 1)
    never = np.array(sorted(forbidden), np.intp)
    ended: list[Found] = []
    going = [Found((), False, 0.0, 0.0)]
    for n in range(1, length + 1):
        totals = np.array([[one.log_probability] for one in going]) + ln_softmax(logits)
        totals[:, never] = -np.inf
        penalty = ((5 + n) / 6) ** length_penalty
        rows, tokens = _best(totals, width)
        extended = [
            (_extended(going[row], token, float(totals[row, token]), penalty), row)
            for row, token in zip(rows.tolist(), tokens.tolist(), strict=True)
        ]
        pool = [*((one, -1) for one in ended), *extended]  # with the row that it came from
        pool = sorted(pool, key=lambda pair: -pair[0].score)[:width]
        ended = [one for one, _ in pool if one.ended]
        going = [one for one, _ in pool if not one.ended]
        if not going or n == length:
            break
        logits, state = _step(engine, going, [row for one, row in pool if not one.ended], state)
    return sorted([*ended, *going], key=lambda one: -one.score)


def _best(totals: Exact, count: int) -> tuple[Ids, Ids]:
    """Rows and columns of the `count` greatest finite totals, the greatest first."""
    flat = totals.ravel()
    least = np.partition(flat, -count)[-count] if count < flat.size else -np.inf
    places = np.flatnonzero((flat >= least) & (flat > -np.inf))
    places = places[np.argsort(-flat[places], kind="stable")][:count]
    return places // totals.shape[1], places % totals.shape[1]


def _extended(one: Found, token: int, log_probability: float, penalty: float) -> Found:
    score = log_probability / penalty
    if token == EOS:
        return Found(one.tokens, True, log_probability, score)
    return Found((*one.tokens, token), False, log_probability, score)


def _step(engine: Engine, going: list[Found], rows: list[int], state: State) -> tuple[Array, State]:
    """The next logits of every unfinished sequence, which go on from the given rows' states."""
    before = rows_of(state, rows)
    logits, after = engine.logits(np.array([[one.tokens[-1] for one in going]]), before)
    return logits[0], after
