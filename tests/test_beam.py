"""Beam search: greedy at width 1, exhaustive at full width, and true to the scores."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from conftest import random_checkpoint

from charlm.beam import Found, beam_search
from charlm.config import CELLS, ModelConfig
from charlm.errors import OptionError
from charlm.inference import Array, Ids, NumpyEngine, State
from charlm.sampling import Sampler, generate
from charlm.sequences import sequence_nats
from charlm.tokenizers import EOS, UNK

VOCABULARY, LENGTH = 4, 4
NOTHING: Ids = np.zeros(0, np.intp)


def tiny(cell: str = "lstm", seed: int = 0) -> NumpyEngine:
    config = ModelConfig(
        vocabulary_size=VOCABULARY, cell=cell, layers=2, hidden_size=6, embedding_size=3
    )
    draw = np.random.default_rng(seed)
    weights = {
        name: draw.normal(0, 1.0, shape).astype(np.float32)
        for name, shape in config.weight_shapes().items()
    }
    return NumpyEngine(config, weights)


def all_sequences(engine: NumpyEngine, prompt: Ids, length: int) -> list[Found]:
    """Every sequence of at most `length` tokens with its ln P, the likeliest first."""
    others = [token for token in range(VOCABULARY) if token != EOS]
    bodies = [
        (body, n < length)
        for n in range(length + 1)
        for body in itertools.product(others, repeat=n)
    ]
    ids = [np.array([EOS, *prompt, *body, *([EOS] if ended else [])]) for body, ended in bodies]
    found = [
        Found(body, ended, total, total)
        for (body, ended), nats in zip(bodies, sequence_nats(engine, ids), strict=True)
        for total in [-float(nats[len(prompt) :].astype(np.float64).sum())]
    ]
    return sorted(found, key=lambda one: -one.log_probability)


def texts(found: list[Found]) -> list[tuple[tuple[int, ...], bool]]:
    return [(one.tokens, one.ended) for one in found]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("prompt", [NOTHING, np.array([2, 3])], ids=["no prompt", "prompt"])
def test_a_beam_as_wide_as_the_tree_lists_all_sequences_in_order(cell: str, prompt: Ids) -> None:
    engine = tiny(cell)
    everything = all_sequences(engine, prompt, LENGTH)
    assert len(everything) == sum(3**n for n in range(LENGTH + 1))
    found = beam_search(engine, prompt, 500, LENGTH)
    assert texts(found) == texts(everything)
    for one, true in zip(found, everything, strict=True):
        assert one.log_probability == pytest.approx(true.log_probability, rel=1e-6, abs=1e-5)
        assert one.score == one.log_probability
    assert math.fsum(math.exp(one.log_probability) for one in found) == pytest.approx(1.0)


def test_a_narrower_beam_finds_no_better_and_at_last_the_best() -> None:
    for seed in range(6):
        engine = tiny(seed=seed)
        best = all_sequences(engine, NOTHING, LENGTH)[0]
        reached = [beam_search(engine, NOTHING, width, LENGTH)[0] for width in (1, 2, 4, 120)]
        for one in reached:
            assert one.log_probability <= best.log_probability + 1e-5
        assert reached[-1].tokens == best.tokens


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("forbidden", [[], [UNK], [UNK, EOS]])
def test_a_beam_of_one_is_greedy(cell: str, forbidden: list[int]) -> None:
    for seed in range(5):
        engine = tiny(cell, seed)
        drawn = generate(engine, Sampler(0.0, forbidden=forbidden), NOTHING, [[0]], 12)
        greedy = [int(token[0]) for token in drawn]
        (found,) = beam_search(engine, NOTHING, 1, 12, forbidden=forbidden)
        assert list(found.tokens) + [EOS] * found.ended == greedy


def test_forbidden_tokens_never_appear_and_leave_probabilities_as_they_are() -> None:
    engine = tiny()
    everything = [one for one in all_sequences(engine, NOTHING, 3) if UNK not in one.tokens]
    found = beam_search(engine, NOTHING, 500, 3, forbidden=[UNK])
    assert texts(found) == texts(everything)
    for one, true in zip(found, everything, strict=True):
        assert one.log_probability == pytest.approx(true.log_probability, rel=1e-6, abs=1e-5)


@pytest.mark.parametrize("penalty", [0.5, 1.0, 3.0])
def test_the_length_penalty_is_that_of_wu_et_al(penalty: float) -> None:
    engine = tiny()
    found = beam_search(engine, NOTHING, 500, LENGTH, length_penalty=penalty)
    assert len(found) == len(all_sequences(engine, NOTHING, LENGTH))
    for one in found:
        tokens = len(one.tokens) + one.ended
        assert one.score == pytest.approx(one.log_probability / ((5 + tokens) / 6) ** penalty)
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)


def test_a_greater_penalty_favours_longer_sequences() -> None:
    lengths = []
    for penalty in (0.0, 1.0, 4.0):
        found = beam_search(tiny(), NOTHING, 10, 8, length_penalty=penalty)
        lengths.append(sum(len(one.tokens) for one in found))
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


class Counting(NumpyEngine):
    """Notes how many streams each call runs."""

    batches: list[int]

    def logits(self, tokens: Ids, state: State) -> tuple[Array, State]:
        self.batches.append(tokens.shape[1])
        return super().logits(tokens, state)


def test_every_step_is_one_call_for_all_sequences_and_repeats_itself() -> None:
    checkpoint = random_checkpoint()
    engine = Counting(checkpoint.model, checkpoint.weights)
    engine.batches = []
    first = beam_search(engine, NOTHING, 5, 10, forbidden=[EOS])
    assert engine.batches == [1, *[5] * 9]
    assert first == beam_search(engine, NOTHING, 5, 10, forbidden=[EOS])
    assert len(set(texts(first))) == 5


class Even(NumpyEngine):
    """Finds all tokens equally likely."""

    def logits(self, tokens: Ids, state: State) -> tuple[Array, State]:
        logits, state = super().logits(tokens, state)
        return np.zeros_like(logits), state


def test_of_equals_the_earlier_and_smaller_go_first() -> None:
    checkpoint = random_checkpoint()
    engine = Even(checkpoint.model, checkpoint.weights)
    found = beam_search(engine, NOTHING, 3, 2, forbidden=[EOS])
    assert [one.tokens for one in found] == [(1, 1), (1, 2), (1, 3)]


def test_no_length_gives_the_empty_sequence() -> None:
    assert beam_search(tiny(), NOTHING, 4, 0) == [Found((), False, 0.0, 0.0)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 0}, "--beam: 0 cannot be used; it must be at least 1"),
        ({"width": 2, "length_penalty": -1.0}, "--length-penalty: -1 cannot be used"),
        ({"width": 2, "length_penalty": float("nan")}, "--length-penalty: nan cannot be used"),
    ],
)
def test_what_cannot_be_used_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        beam_search(tiny(), NOTHING, length=3, **options)
