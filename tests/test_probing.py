"""Minimal pairs are read as published, scored as `score` does, and counted honestly."""

import json
import re
import sys
from importlib import resources
from pathlib import Path
from types import ModuleType

import pytest
from conftest import random_checkpoint
from hypothesis import given
from hypothesis import strategies as st

from charlm import probing
from charlm.api import Model
from charlm.errors import TextError
from charlm.probing import Accuracy, Measured, Pair, Start, measure, ranges, read_pairs, wilson

GRAMMAR = Path(__file__).parent.parent / "corpora" / "cats" / "generate.py"
BLIMP = {
    "sentence_good": "Who should Derek hug after shocking Richard?",
    "sentence_bad": "Who should Derek hug Richard after shocking?",
    "field": "syntax",
    "linguistics_term": "island_effects",
    "UID": "adjunct_island",
    "simple_LM_method": True,
    "one_prefix_method": False,
    "two_prefix_method": False,
    "lexically_identical": True,
    "pairID": "0",
}


def grammar() -> ModuleType:
    import importlib.util

    spec = importlib.util.spec_from_file_location("cats_grammar", GRAMMAR)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # NamedTuple looks its module up
    spec.loader.exec_module(module)
    return module


# Reading


def test_blimp_is_read_as_published() -> None:
    (pair,) = read_pairs([json.dumps(BLIMP), ""], "adjunct_island.jsonl")
    assert pair == Pair(
        BLIMP["sentence_good"], BLIMP["sentence_bad"], "adjunct_island", "island_effects"
    )


def test_columns_are_read_with_and_without_their_names() -> None:
    rows = ["a\tb\tone\t7", "c\td", "e\tf\ttwo", "g\th\ttwo\t"]
    expected = [
        Pair("a", "b", "one", distance=7),
        Pair("c", "d"),
        Pair("e", "f", "two"),
        Pair("g", "h", "two"),
    ]
    assert read_pairs(rows, "x.tsv") == expected
    assert read_pairs(["better\tworse\tgroup\tdistance", *rows], "x.tsv") == expected
    assert read_pairs(["better\tworse", *rows], "x.tsv") == expected


def without(field: str) -> str:
    return json.dumps({name: value for name, value in BLIMP.items() if name != field})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (without("sentence_good"), "p, line 2: there is no 'sentence_good'"),
        (without("sentence_bad"), "p, line 2: there is no 'sentence_bad'"),
        (json.dumps({**BLIMP, "sentence_bad": 3}), "p, line 2: 'sentence_bad' is 3, not a text"),
        (json.dumps({**BLIMP, "sentence_bad": ""}), "p, line 2: 'sentence_bad' is '', not a text"),
        (json.dumps({**BLIMP, "UID": 3}), "p, line 2: 'UID' is 3, not a text"),
        ("{", "p, line 2: not a JSON object"),
        ("[" * 100_000, "p, line 2: not a JSON object"),
        ("3", "p, line 2: not a JSON object"),
    ],
)
def test_a_faulty_json_line_is_named(line: str, message: str) -> None:
    with pytest.raises(TextError, match=f"^{re.escape(message)}$"):
        read_pairs([json.dumps(BLIMP), line], "p")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "alone",
            "p, line 3: 1 columns where 2 to 4 should be, separated by tabs: "
            "better, worse, group, distance",
        ),
        ("\tb", "p, line 3: 'better' is empty"),
        ("a\t", "p, line 3: 'worse' is empty"),
        ("a\tb\tg\tfar", "p, line 3: 'distance' is 'far', not a whole number"),
    ],
)
def test_a_faulty_row_is_named(line: str, message: str) -> None:
    with pytest.raises(TextError, match=f"^{re.escape(message)}$"):
        read_pairs(["a\tb", "", line], "p")


@pytest.mark.parametrize("lines", [[], ["", " "], ["better\tworse"]])
def test_a_file_without_pairs_is_refused(lines: list[str]) -> None:
    with pytest.raises(TextError, match=r"^p: there are no pairs in it$"):
        read_pairs(lines, "p")


# The pairs that charlm brings


def test_the_built_in_pairs_are_those_of_the_grammar() -> None:
    if not GRAMMAR.exists():
        pytest.skip("the corpora are not part of an installed charlm")
    kept = (resources.files("charlm") / "data" / "cats-pairs.tsv").read_text("utf-8")
    module = grammar()
    assert kept == module.table(module.minimal_pairs(360, 1)), (
        "write it anew: python corpora/cats/generate.py --pairs 360 -o charlm/data/cats-pairs.tsv"
    )


def test_the_built_in_pairs_ask_three_questions_at_many_distances() -> None:
    pairs = probing.cats_pairs()
    found = {name: [p for p in pairs if p.group == name] for name in ("agreement", "quotation")}
    for of in found.values():
        assert len(of) == 360
        assert len({pair.distance for pair in of}) > 50
    assert {pair.group for pair in pairs} == {"agreement", "quotation", "pear"}


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


def test_equal_probabilities_are_ties_and_not_right() -> None:
    model = Model(random_checkpoint())
    pairs = [Pair("c☃t", "c☂t"), Pair("cat", "cat"), Pair("cat", "The cat was full.")]
    start = Start.of(model.tokenizer, per_line=False)
    accuracy = Accuracy.of(measure(model.engine, model.tokenizer, pairs, start))
    assert (accuracy.pairs, accuracy.right, accuracy.ties) == (3, 1, 2)
    assert accuracy.unseen == 2  # texts, not pairs


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
        Measured(Pair("a", "b", "x" if k % 3 else "y", distance=k if k < 20 else None), k - 10, 0)
        for k in range(24)
    ]
    assert {name: len(of) for name, of in probing.groups(measured).items()} == {"y": 8, "x": 16}
    found = list(probing.by_distance(measured))
    assert sum(accuracy.pairs for _, _, accuracy in found) == 20
    assert sum(accuracy.right for _, _, accuracy in found) == 9
    assert sum(accuracy.ties for _, _, accuracy in found) == 1
    assert (found[0][0], found[-1][1]) == (0, 19)
