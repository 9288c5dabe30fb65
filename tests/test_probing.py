"""Minimal pairs are scored as `score` does, and counted honestly."""

from typing import Any

import pytest
from conftest import random_checkpoint
from hypothesis import given
from hypothesis import strategies as st

from charlm import probing
from charlm.api import Model
from charlm.config import CELLS
from charlm.pairs import Pair
from charlm.probing import Accuracy, Measured, Start, measure, ranges, wilson
from charlm.scoring import score

# Scoring


def test_the_margin_is_the_difference_of_two_scores() -> None:
    model = Model(random_checkpoint(per_line=True))
    pairs = [Pair("The cat was full.", "The cat were full."), Pair("cats", "The fish were here.")]
    start = Start.of(model.tokenizer, per_line=True)
    measured = measure(model.engine, model.tokenizer, pairs, start)
    for one in measured:
        better, worse = model.score(one.pair.better), model.score(one.pair.worse)
        margin = better.log_probability - worse.log_probability
        assert one.margin == pytest.approx(margin, abs=1e-4)
    by_character = measure(model.engine, model.tokenizer, pairs, start, "character")
    per_character = (
        better.log_probability / better.characters - worse.log_probability / worse.characters
    )
    assert by_character[1].margin == pytest.approx(per_character, abs=1e-5)


def test_to_a_whole_file_model_a_text_is_a_line() -> None:
    model = Model(random_checkpoint())
    pair = Pair("The cat was full.", "The cat were full.")
    start = Start.of(model.tokenizer, per_line=False)
    assert start == Start("\n", "\n", eos=False)
    (one,) = measure(model.engine, model.tokenizer, [pair], start)
    better, worse = (
        model.score(text + "\n", given="\n").log_probability for text in (pair.better, pair.worse)
    )
    assert one.margin == pytest.approx(better - worse, abs=1e-4)


def test_what_stands_before_and_behind_can_be_chosen() -> None:
    tokenizer = random_checkpoint().tokenizer
    assert Start.of(tokenizer, True) == Start("", "", eos=True)
    assert Start.of(tokenizer, True, end=False) == Start("", "", eos=False)
    assert Start.of(tokenizer, False, given="cat ", end=False) == Start("cat ", "", eos=False)
    assert Start.of(tokenizer, False, given="") == Start("", "\n", eos=False)


def test_a_model_without_newlines_needs_none() -> None:
    from charlm.tokenizers import train_tokenizer

    tokenizer = train_tokenizer("characters", ["abc"])
    assert Start.of(tokenizer, False) == Start("", "", eos=False)


SHARED = "The cats, which ate the fish, were full."
PAIRS = [
    *(Pair(SHARED, SHARED[:k] + " cat".join(SHARED[k:].split("a"))) for k in range(len(SHARED))),
    Pair(SHARED, SHARED),  # the same text
    Pair(SHARED, SHARED[:9]),  # the one begins with the other
    Pair(SHARED[:9], SHARED),
    Pair("c☃t", "c☂t"),
    Pair("a", "b"),
    Pair("The " * 90, "The " * 80 + "cat"),  # longer than a window
]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("end", [True, False])
def test_reading_a_shared_beginning_once_changes_nothing(cell: str, end: bool) -> None:
    model = Model(random_checkpoint(cell, 2, per_line=cell != "gru"))
    start = Start.of(model.tokenizer, model.per_line, end=end)
    apart = [
        [
            score(
                model.engine, model.tokenizer, [text + start.end], given=start.given, eos=start.eos
            )
            for text in (pair.better, pair.worse)
        ]
        for pair in PAIRS
    ]
    for one, ((better,), (worse,)) in zip(
        measure(model.engine, model.tokenizer, PAIRS, start), apart, strict=True
    ):
        greatest = max(abs(better.log_probability), abs(worse.log_probability))
        margin = better.log_probability - worse.log_probability
        assert one.margin == pytest.approx(margin, abs=1e-6 * greatest)
        assert one.unseen == (better.unseen_tokens > 0) + (worse.unseen_tokens > 0)


class Counting:
    """An engine that counts the tokens that it reads."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.config, self.initial_state = engine, engine.config, engine.initial_state
        self.read = 0

    def nats(self, tokens: Any, targets: Any, state: Any) -> Any:
        self.read += tokens.size
        return self.engine.nats(tokens, targets, state)


def test_what_a_pair_begins_with_is_read_once() -> None:
    model = Model(random_checkpoint(per_line=True))
    engine: Any = Counting(model.engine)
    pairs = [Pair(SHARED, SHARED[:-1] + mark) for mark in "ab,"]
    start = Start.of(model.tokenizer, model.per_line)
    measure(engine, model.tokenizer, pairs, start)
    assert engine.read == len(pairs) * (len(SHARED) + 1 + 2)


def test_many_pairs_are_measured_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(random_checkpoint())
    start = Start.of(model.tokenizer, model.per_line)
    expected = measure(model.engine, model.tokenizer, PAIRS, start)
    monkeypatch.setattr(probing, "BLOCK", 7)
    found = measure(model.engine, model.tokenizer, PAIRS, start)
    assert [one.pair for one in found] == PAIRS
    assert [one.margin for one in found] == pytest.approx(
        [one.margin for one in expected], abs=1e-4
    )


def test_equal_probabilities_are_ties_and_not_right() -> None:
    model = Model(random_checkpoint())
    pairs = [Pair("c☃t", "c☂t"), Pair("cat", "cat"), Pair("cat", "The cat was full.")]
    start = Start.of(model.tokenizer, per_line=False)
    accuracy = Accuracy.of(measure(model.engine, model.tokenizer, pairs, start))
    assert (accuracy.pairs, accuracy.right, accuracy.ties) == (3, 1, 2)
    assert accuracy.unseen == 2  # texts, not pairs


def test_a_tie_is_one_of_whole_texts_whatever_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(random_checkpoint())
    pairs = [Pair("The cats, which were full, sat here.", "The cat sat.")]
    start = Start.of(model.tokenizer, per_line=False)
    (one,) = measure(model.engine, model.tokenizer, pairs, start, "character")
    monkeypatch.setattr(probing, "TIE", abs(one.margin) * 12)  # of 37 and 13 characters
    assert measure(model.engine, model.tokenizer, pairs, start, "character") == [one]
    monkeypatch.setattr(probing, "TIE", abs(one.margin) * 38)
    (tied,) = measure(model.engine, model.tokenizer, pairs, start, "character")
    assert (one.tied, tied.tied) == (False, True)
    assert Accuracy.of([tied]).right == 0


def test_a_trained_model_knows_was_from_were(cat_model: Model) -> None:
    pairs = [
        Pair("The cat was full.", "The cat were full."),
        Pair("The cats were happy.", "The cats was happy."),
    ]
    start = Start.of(cat_model.tokenizer, cat_model.per_line)
    accuracy = Accuracy.of(measure(cat_model.engine, cat_model.tokenizer, pairs, start))
    assert accuracy.right == 2
    assert accuracy.margin > 1


# Counting


def test_wilson_is_wilsons() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3
    for right, of, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(right, of) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 2000), st.floats(0, 1))
def test_the_interval_holds_the_share(of: int, share: float) -> None:
    right = round(share * of)
    low, high = wilson(right, of)
    assert 0 <= low <= right / of <= high <= 1


@given(st.lists(st.integers(0, 60), min_size=1), st.integers(1, 12))
def test_ranges_hold_every_distance_once(distances: list[int], most: int) -> None:
    found = ranges(distances, most)
    assert len(found) <= most
    flat = [end for both in found for end in both]
    assert flat == sorted(flat)
    for distance in distances:
        assert sum(first <= distance <= last for first, last in found) == 1


def test_groups_and_distances_count_all_pairs() -> None:
    measured = [
        Measured(
            Pair("a", "b", "x" if k % 3 else "y", distance=k if k < 20 else None),
            margin=k - 10,
            tied=k == 10,
            unseen=0,
        )
        for k in range(24)
    ]
    assert {name: len(of) for name, of in probing.groups(measured).items()} == {"y": 8, "x": 16}
    found = list(probing.by_distance(measured))
    assert sum(accuracy.pairs for _, _, accuracy in found) == 20
    assert sum(accuracy.right for _, _, accuracy in found) == 9
    assert sum(accuracy.ties for _, _, accuracy in found) == 1
    assert (found[0][0], found[-1][1]) == (0, 19)
