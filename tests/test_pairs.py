"""Minimal pairs are read as published; the built-in ones are those of the grammar."""

import json
import re
import sys
from importlib import resources
from pathlib import Path
from types import ModuleType

import pytest

from charlm.errors import TextError
from charlm.pairs import Pair, cats_pairs, read_pairs

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


def test_carriage_returns_at_line_ends_are_left_out() -> None:
    rows = ["better\tworse", "a\tb", "c\td\tone\t7"]
    assert read_pairs([row + "\r" for row in rows], "x.tsv") == read_pairs(rows, "x.tsv")
    lines = [json.dumps(BLIMP)]
    assert read_pairs([line + "\r" for line in lines], "x") == read_pairs(lines, "x")


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
        ("a\tb\tg\tfar", "p, line 3: 'distance' is 'far', not a whole number below 10^18"),
        (
            "a\tb\tg\t" + "9" * 5000,
            f"p, line 3: 'distance' is '{'9' * 39}, not a whole number below 10^18",
        ),
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
    pairs = cats_pairs()
    found = {name: [p for p in pairs if p.group == name] for name in ("agreement", "quotation")}
    for of in found.values():
        assert len(of) == 360
        assert len({pair.distance for pair in of}) > 50
    assert {pair.group for pair in pairs} == {"agreement", "quotation", "pear"}


def test_columns_in_another_order_are_refused() -> None:
    with pytest.raises(
        TextError, match=r"x\.tsv: its columns should be better, worse, group, dist"
    ):
        read_pairs(["better\tworse\tdistance", "a\tb\t7"], "x.tsv")
