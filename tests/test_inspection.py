"""Looking inside: what is shown of a model is what the model does, and chance is not meaning."""

import html
import itertools
import math
import re
import tracemalloc
from typing import Any

import numpy as np
import pytest
from conftest import random_checkpoint
from hypothesis import given
from hypothesis import strategies as st

from charlm.api import Model
from charlm.config import CELLS
from charlm.errors import OptionError, TextError
from charlm.inspection import activations, colours, features, matching
from charlm.inspection.activations import Block, Cell, blocks, trace
from charlm.inspection.features import FEATURES, matches, of_tokens
from charlm.inspection.finding import LEVELS, Correlation, Ranks, _moved, find, find_in
from charlm.inspection.gates import GATES_OF, gate_values, saturation
from charlm.inspection.matching import match, throughout
from charlm.inspection.passage import Passage
from charlm.inspection.surprise import ScoredText, colour_of, expectations, surprise_map
from charlm.inspection.words import by_word
from charlm.scoring import TokenScore
from charlm.tokenizers import EOS, KINDS, train_tokenizer

TEXT = "The cat was full.\nThe cats, which already ate the fish, were happy.\n"


def model_of(**options: Any) -> Model:
    return Model(random_checkpoint(**options))


def passage_of(model: Model, text: str = TEXT) -> Passage:
    return Passage.of(model.tokenizer, text, model.per_line)


# The text as the model reads it


@pytest.mark.parametrize("tokenizer", KINDS)
def test_pieces_are_the_text(tokenizer: str) -> None:
    model = model_of(tokenizer=tokenizer)
    text = "The cat was full.\nThe cats, were happy" if tokenizer == "words" else TEXT + "é€😀\t"
    passage = passage_of(model, text)
    assert passage.ids[0] == EOS
    assert passage.ids[1:].tolist() == model.tokenizer.encode(text).tolist()
    assert passage.text == text
    offsets = passage.offsets()
    for t, piece in enumerate(passage.pieces):
        assert text[offsets[t] : offsets[t + 1]] == piece


def test_per_line_every_line_is_a_sequence_and_empty_ones_are_none() -> None:
    model = model_of(per_line=True)
    passage = passage_of(model, "cat\n\n\nfish")
    assert passage.pieces == [*"cat\n", *"fish\n"]
    assert np.flatnonzero(passage.ids == EOS).tolist() == [0, 4, 9]


def test_white_space_has_no_words() -> None:
    whole, lines = (model_of(tokenizer="words", per_line=per_line) for per_line in (False, True))
    with pytest.raises(TextError, match="white space"):
        passage_of(whole, "  \t ")
    assert passage_of(lines, " \nThe\n").pieces == ["\n", "The", "\n"]


def test_what_is_read_as_unk_is_shown_as_it_is() -> None:
    passage = passage_of(model_of(), "c☃t")
    assert passage.text == "c☃t"


def test_lines_hold_all_tokens_once() -> None:
    passage = passage_of(model_of(), "ab\n\ncd")
    assert list(passage.lines()) == [(0, 3), (3, 4), (4, 6)]


def test_a_position_is_the_token_that_holds_it() -> None:
    passage = passage_of(model_of(tokenizer="bytes"), "a€b")
    assert len(passage) == 5  # the sign of the euro is three bytes; the last completes it
    assert [passage.token_at(position) for position in range(3)] == [0, 3, 4]
    for position in (-1, 3):
        with pytest.raises(OptionError, match=f"^--position {position}: .*characters 0 to 2$"):
            passage.token_at(position)


@pytest.mark.parametrize(("text", "per_line"), [("", False), ("\n\n", True)])
def test_an_empty_text_is_refused(text: str, per_line: bool) -> None:
    with pytest.raises(TextError, match=r"^the text is empty: there is nothing to look at$"):
        passage_of(model_of(per_line=per_line), text)


# What the cells do


def paired(one: Any, other: Any) -> Any:
    """The parts of two states, layer by layer."""
    return zip(itertools.chain(*one), itertools.chain(*other), strict=True)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("length", [1, 7, 1000])
def test_recorded_states_are_those_of_the_engine(cell: str, length: int) -> None:
    model = model_of(cell=cell, layers=2)
    passage = passage_of(model)
    state = model.engine.initial_state(1)
    _, state = model.engine.logits(passage.ids[:1, None], state)
    steps = 0
    for block in blocks(model.engine, passage.ids, length):
        for t in range(len(block.ids)):
            for before, part in paired(block.before, state):
                np.testing.assert_array_equal(before[t], part[0])
            _, state = model.engine.logits(block.ids[t : t + 1, None], state)
            for after, part in paired(block.after, state):
                np.testing.assert_array_equal(after[t], part[0])
            steps += 1
    assert steps == len(passage)


def test_a_line_does_not_know_the_line_before_it() -> None:
    model = model_of(per_line=True, cell="gru")
    both = trace(model.engine, passage_of(model, "cat\nfish\n").ids, Cell(1, 3))
    alone = trace(model.engine, passage_of(model, "fish\n").ids, Cell(1, 3))
    np.testing.assert_array_equal(both[4:], alone)


def test_a_trace_keeps_no_more_than_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.zeros((256, 512), np.float32)
    many = [Block(0, np.zeros(256, np.intp), [], [(values,)])] * 40
    monkeypatch.setattr(activations, "blocks", lambda *_: iter(many))
    engine = model_of(cell="gru").engine
    tracemalloc.start()
    traced = trace(engine, np.zeros(1, np.intp), Cell(1, 1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(traced) == 40 * 256
    assert peak < 4 * values.nbytes  # of 40 times as much


def test_an_lstm_shows_its_memory_and_others_their_state() -> None:
    for cell, part in (("lstm", 1), ("lstm-peephole", 1), ("gru", 0), ("rnn", 0)):
        model = model_of(cell=cell, layers=2)
        (block,) = blocks(model.engine, passage_of(model).ids)
        shown = block.after[1][part]
        column = Cell(2, 4).column(model.engine.config)
        expected = np.tanh(shown[:, 3]) if part else shown[:, 3]
        np.testing.assert_array_equal(block.values()[:, column], expected)


def test_cells_are_counted_from_one() -> None:
    config = model_of(layers=2).engine.config
    cells = [Cell.at(column, config) for column in range(24)]
    assert [str(cell) for cell in (cells[0], cells[11], cells[12], cells[23])] == [
        "1:1",
        "1:12",
        "2:1",
        "2:12",
    ]
    assert [cell.column(config) for cell in cells] == list(range(24))
    assert [Cell.parse(str(cell), config) for cell in cells] == cells


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("17", "--cell-index '17': write LAYER:NUMBER, both from 1, as in 1:17"),
        ("1:x", "--cell-index '1:x': write LAYER:NUMBER, both from 1, as in 1:17"),
        (
            "1:" + "9" * 5000,
            f"--cell-index '1:{'9' * 37}: write LAYER:NUMBER, both from 1, as in 1:17",
        ),
        ("0:1", "--cell-index 0:1: the model has layers 1 to 2"),
        ("3:1", "--cell-index 3:1: the model has layers 1 to 2"),
        ("2:0", "--cell-index 2:0: layer 2 has cells 1 to 12"),
        ("2:13", "--cell-index 2:13: layer 2 has cells 1 to 12"),
    ],
)
def test_a_cell_that_does_not_exist_is_refused(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        Cell.parse(text, model_of(layers=2).engine.config)


# Surprise


@pytest.mark.parametrize("tokenizer", KINDS)
@pytest.mark.parametrize("per_line", [False, True])
def test_bits_add_up_to_the_score(tokenizer: str, per_line: bool) -> None:
    model = model_of(tokenizer=tokenizer, per_line=per_line)
    seen = expectations(model.engine, passage_of(model))
    texts = TEXT.splitlines() if per_line else [TEXT]
    scored = -sum(score.log_probability for score in model.scores(texts))
    assert seen.bits.sum() * math.log(2) == pytest.approx(scored, rel=1e-5)


def test_what_was_expected_is_what_next_gives(cat_model: Model) -> None:
    text = "The cats, which"
    seen = expectations(cat_model.engine, passage_of(cat_model, text), count=5)
    for t in (0, 4, len(text) - 1):
        expected = cat_model.next_tokens(text[:t], count=5)
        assert seen.likeliest[t].tolist() == [token.token for token in expected]
        assert seen.probabilities[t] == pytest.approx([math.exp(-x.nats) for x in expected])
    ranks = [token.rank for token in cat_model.token_scores(text)]
    assert seen.ranks.tolist() == ranks


def test_the_greatest_surprise_is_the_foreign_letter(cat_model: Model) -> None:
    text = "The cat was fudl.\n"
    seen = expectations(cat_model.engine, passage_of(cat_model, text))
    assert text.index("d") in seen.greatest(2)
    bits = seen.bits[seen.greatest(10)]
    assert (np.diff(bits) <= 0).all()


def test_long_texts_are_read_in_windows_alike() -> None:
    model = model_of()
    text = TEXT * 12
    seen = expectations(model.engine, passage_of(model, text))
    assert seen.bits.sum() * math.log(2) == pytest.approx(-model.score(text).log_probability)


# In a notebook


def test_a_score_shows_itself_as_a_map(cat_model: Model) -> None:
    score = cat_model.score("The cat was full.")
    shown = score._repr_html_()
    titles = re.findall(r'title="([\d.]+) bits, rank (\d+)">(.)</span>', shown)
    assert "".join(piece for _, _, piece in titles) == "The cat was full."
    total = sum(float(bits) for bits, _, _ in titles)
    assert total == pytest.approx(-score.log_probability / math.log(2), abs=0.1)
    assert f"in all {-score.log_probability / math.log(2):.1f} bits" in shown


def test_the_map_escapes_what_it_shows(cat_model: Model) -> None:
    score = cat_model.score("The cat")
    tokens = [TokenScore(2, "</style><script>&\"'\n", 1.0, 1)]
    hostile = ScoredText(**{**vars(score), "token_scores": lambda: tokens})
    shown = surprise_map(hostile)
    assert "<script>" not in shown
    assert html.escape("</style><script>&\"'") + "␊" in shown


def test_the_map_shows_what_a_page_would_hide_or_obey(cat_model: Model) -> None:
    score = cat_model.score("The cat")
    tokens = [TokenScore(2, "\u202ea\x1b[2J\0\udcff", 1.0, 1)]
    shown = surprise_map(ScoredText(**{**vars(score), "token_scores": lambda: tokens}))
    assert html.escape("<U+202E>a␛[2J␀<U+DCFF>") in shown
    assert not {"\u202e", "\x1b", "\0", "\udcff"} & set(shown)


def test_a_score_is_the_same_with_and_without_its_map(cat_model: Model) -> None:
    assert cat_model.score("The cat").to_json() == cat_model.scores(["The cat"])[0].to_json()


# Colours


SEQUENTIAL = (colours.sequential, colours.sequential_on_light)
DIVERGING = (colours.diverging, colours.diverging_on_dark)


@pytest.mark.parametrize("scale", [*SEQUENTIAL, *DIVERGING])
def test_equal_steps_look_equal(scale: Any) -> None:
    for low, high in ((0.0, 1.0), (-1.0, 0.0)) if scale in DIVERGING else ((0.0, 1.0),):
        ramp = [colours.to_oklab(scale(low + (high - low) * k / 21)) for k in range(22)]
        steps = [colours.difference(one, other) for one, other in itertools.pairwise(ramp)]
        assert max(steps) < 1.35 * min(steps)  # 8 bits a colour round


@pytest.mark.parametrize("scale", SEQUENTIAL)
def test_the_scale_changes_in_lightness_alike_for_every_eye(scale: Any) -> None:
    """Viénot, Brettel and Mollon 1999: what is left of a colour without one kind of cone."""
    blindness = {
        "red": ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0)),
        "green": ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0)),
    }
    for matrix in blindness.values():
        seen = []
        for k in range(22):
            light = [(part / 255) ** 2.2 for part in scale(k / 21)]
            mixed = [sum(a * b for a, b in zip(row, light, strict=True)) for row in matrix]
            coded = tuple(round(255 * min(max(part, 0), 1) ** (1 / 2.2)) for part in mixed)
            seen.append(colours.to_oklab(coded))  # type: ignore[arg-type]
        steps = [colours.difference(one, other) for one, other in itertools.pairwise(seen)]
        assert min(steps) > 0.5 * max(steps)
        rises = [other[0] > one[0] for one, other in itertools.pairwise(seen)]
        assert rises == [scale is colours.sequential] * 21


def contrast(one: colours.Colour, other: colours.Colour) -> float:
    """The contrast ratio of WCAG 2: from 1 to 21."""
    low, high = sorted((colours._luminance(one), colours._luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_can_be_read_on_every_colour() -> None:
    for k in range(-20, 21):
        for scale in (*SEQUENTIAL, *DIVERGING):
            colour = scale(k / 20)
            assert contrast(colour, colours.ink(colour)) >= 4.5  # WCAG 2, AA


def test_the_fixed_colours_of_a_terminal_are_found() -> None:
    for number in (17, 21, 100, 208, 230, 240, 254):
        assert colours.of_256(colours.fixed_colour(number)) == number


def test_what_lies_outside_the_scale_is_cut() -> None:
    assert colour_of(99.0) == colour_of(math.inf) == colours.sequential(1.0)
    assert colours.diverging(-7.0) == colours.diverging(-1.0)


# Features

LABELLED = {
    "line-position": ("ab\nc\n", [1, 2, 0, 1, 0]),
    "quotes": ('a "b" c', [0, 0, 1, 1, 0, 0, 0]),
    "brackets": ("f(x[1])]y", [0, 1, 1, 1, 1, 1, 0, 0, 0]),
    "bracket-depth": ("f(x[1])]y", [0, 1, 1, 2, 2, 1, 0, 0, 0]),
    "capital": ("Aé É", [1, 0, 0, 1]),
    "space": ("a b\tc\n", [0, 1, 0, 1, 0, 1]),
    "vowel": ("Aèbyi", [1, 1, 0, 0, 1]),
    "digit": ("a1 2b", [0, 1, 0, 1, 0]),
    "word-start": ("ab c1-d", [1, 0, 0, 1, 0, 0, 1]),
}


@pytest.mark.parametrize("name", FEATURES)
def test_features_are_what_their_names_say(name: str) -> None:
    text, expected = LABELLED[name]
    labels = FEATURES[name].labels(text)
    assert labels.astype(int).tolist() == expected


def test_an_empty_line_closes_the_quotation() -> None:
    assert features.quotes("“a\nb\n\nc").tolist() == [True] * 5 + [False] * 2


def test_a_feature_of_a_regular_expression() -> None:
    labels = matches(r"wh\w+|^b").labels("a which\nbb")
    assert np.flatnonzero(labels).tolist() == [2, 3, 4, 5, 6, 8]


def test_a_broken_expression_is_refused() -> None:
    with pytest.raises(OptionError, match=r"^--find-regex '\(a': not a regular expression, "):
        matches("(a")


@pytest.mark.parametrize("pattern", ["a{99999999999999999999}", "(" * 9000, f"a{{{'9' * 5000}}}"])
def test_an_expression_that_is_too_great_is_refused(pattern: str) -> None:
    with pytest.raises(OptionError, match=r"^--find-regex '.{1,40}: its numbers or nesting are"):
        matches(pattern)


def test_a_token_has_the_feature_of_its_last_character() -> None:
    passage = passage_of(model_of(tokenizer="words"), "The cat was full.\n")
    labels = of_tokens(FEATURES["line-position"], passage)
    assert labels.tolist() == [3, 7, 11, 16, 17, 0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("capital", [1, 0, 0, 0, 0, 0]),
        ("vowel", [1, 1, 1, 1, 0, 0]),
        ("word-start", [1, 1, 1, 1, 0, 0]),
        ("space", [0, 1, 1, 1, 0, 1]),
    ],
)
def test_a_token_has_what_one_of_its_characters_has(name: str, expected: list[int]) -> None:
    passage = passage_of(model_of(tokenizer="words"), "The cat was full.\n")
    assert passage.pieces == ["The", " cat", " was", " full", ".", "\n"]
    assert of_tokens(FEATURES[name], passage).tolist() == expected


def test_bytes_before_a_whole_character_have_what_is_before_them() -> None:
    passage = passage_of(model_of(tokenizer="bytes"), "aÉb")
    assert of_tokens(FEATURES["vowel"], passage).tolist() == [True, True, True, False]
    assert of_tokens(FEATURES["capital"], passage).tolist() == [False, False, True, False]


def test_per_line_every_line_starts_afresh() -> None:
    passage = passage_of(model_of(per_line=True), '"(a\nb')
    assert of_tokens(FEATURES["quotes"], passage).tolist() == [True] * 4 + [False] * 2
    assert (
        of_tokens(FEATURES["brackets"], passage).tolist() == [False, True, True, True] + [False] * 2
    )


# Finding

VALUES = st.lists(st.tuples(st.integers(-500, 500), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


@given(VALUES)
def test_auroc_is_the_chance_that_a_higher_value_has_the_feature(rows: Any) -> None:
    values = np.array([[value / 500] for value, _ in rows], np.float32)
    labels = np.array([[label] for _, label in rows])
    ranks = Ranks(cells=1, sets=1)
    ranks.add(values[:1], labels[:1])
    ranks.add(values[1:], labels[1:])
    pairs = [
        (high > low) + (high == low) / 2
        for high, low in itertools.product(values[labels], values[~labels])
    ]
    assert ranks.strengths()[0, 0] + 0.5 == pytest.approx(sum(pairs) / len(pairs))


@pytest.mark.parametrize("cell", ["lstm", "lstm-peephole"])
def test_saturated_cells_are_told_apart(cell: str) -> None:
    """Of c from 9 on tanh(c) is 1.0 to a float32: the order is that of c."""
    config = model_of(cell=cell).engine.config
    draw = np.random.default_rng(5)
    labels = draw.random(4000) < 0.3
    memories = draw.normal(14, 3, (4000, config.hidden_size)) + 4.0 * labels[:, None]
    memories = memories.astype(np.float32)
    block = Block(0, np.zeros(4000, np.intp), [], [(np.tanh(memories), memories)])
    found = find_in([block], config, labels)
    for one in found.cells:
        half = memories[2000:, one.cell.column(config)]
        ranks = half.argsort().argsort()[labels[2000:]]
        yes = len(ranks)
        exact = (ranks.sum() - yes * (yes - 1) / 2) / (yes * (2000 - yes))
        assert exact > 0.75
        assert one.held_out == pytest.approx(exact, abs=0.001)


def exact_auroc(values: Any, labels: Any) -> float:
    yes, no = values[labels], np.sort(values[~labels])
    below = np.searchsorted(no, yes, "left").sum() + np.searchsorted(no, yes, "right").sum()
    return float(below / 2 / len(yes) / len(no))


@pytest.mark.parametrize(("steps", "error"), [(LEVELS, 1e-12), (20 * LEVELS, 1e-3)])
def test_values_that_lie_close_together_are_told_apart(steps: int, error: float) -> None:
    """As those of lines, which all start from one state; in blocks of any length."""
    draw = np.random.default_rng(3)
    labels = draw.random(steps) < 0.1
    near = np.where(draw.random(steps) < 0.5, 0.1, draw.normal(0.1, 1e-4, steps) + 1e-4 * labels)
    values = near[:, None].astype(np.float32)
    ranks, at = Ranks(cells=1, sets=1), 0
    for length in itertools.cycle((700, 3, 1024)):
        ranks.add(values[at : at + length], labels[at : at + length, None])
        at += length
        if at >= steps:
            break
    exact = exact_auroc(values[:, 0], labels)
    assert exact > 0.55
    assert ranks.strengths()[0, 0] + 0.5 == pytest.approx(exact, abs=error)


def test_correlation_is_pearsons() -> None:
    draw = np.random.default_rng(3)
    values = draw.normal(0, 1, (500, 4)).astype(np.float32)
    values[:, 3] = 0.25  # a cell that never moves
    labels = values[:, :2] * 3 + draw.normal(0, 1, (500, 2))
    sums = Correlation(cells=4, sets=2)
    for part in np.split(np.arange(500), [1, 200]):
        sums.add(values[part], labels[part])
    expected = np.corrcoef(labels.T, values[:, :3].T)[:2, 2:]
    np.testing.assert_allclose(sums.strengths()[:, :3], expected, atol=1e-7)
    assert not sums.strengths()[:, 3].any()


def test_a_cell_that_knows_is_found_and_labels_that_were_moved_find_little(
    cat_model: Model, cat_text: str
) -> None:
    passage = passage_of(cat_model, cat_text[:4000])
    labels = of_tokens(FEATURES["space"], passage)
    found = find(cat_model.engine, passage, labels)
    assert found.measure == "AUROC"
    assert len(found.cells) == 32
    assert found.cells[0].held_out > 0.75
    chosen = [one.chosen for one in found.cells]
    assert chosen == sorted(chosen, reverse=True)
    assert len(found.moved) == 5
    assert all(0.5 <= one.chosen < 0.7 for one in found.moved)
    assert all(0.35 < one.held_out < 0.65 for one in found.moved)
    assert found.chance.held_out == max(one.held_out for one in found.moved)
    assert found.beyond_chance


def test_meaningless_labels_are_seldom_found_beyond_chance(cat_model: Model) -> None:
    passage = passage_of(cat_model, TEXT * 30)
    draw = np.random.default_rng(1)
    found = [find(cat_model.engine, passage, draw.random(len(passage)) < 0.2) for _ in range(12)]
    assert sum(one.beyond_chance for one in found) <= 4  # one in six, by the moves' number


def test_what_comes_in_runs_is_no_sooner_found_beyond_chance() -> None:
    """Slow cells and slow labels that have nothing to do with one another: one in six, not more."""
    config = model_of(cell="gru").engine.config
    draw = np.random.default_rng(2)
    found = 0
    for _ in range(90):
        values = np.repeat(draw.uniform(-1, 1, (40, config.hidden_size)), 25, axis=0)
        labels = np.repeat(draw.random(50) < 0.5, 20)
        block = Block(0, np.zeros(1000, np.intp), [], [(values.astype(np.float32),)])
        found += find_in([block], config, labels).beyond_chance
    assert 5 <= found <= 25  # 15 expected; 36 with labels in random order


def test_moved_labels_are_those_of_each_half_in_their_order() -> None:
    labels = np.arange(9)
    for seed in range(20):
        moved = _moved(np.random.default_rng(seed), labels, 4)
        assert (np.diff(moved[:4]) % 4 == 1).all()
        assert (np.diff(moved[4:]) % 5 == 1).all()
        assert sorted(moved[:4]) == [0, 1, 2, 3]


def test_the_position_in_the_line_is_measured_by_correlation(cat_model: Model) -> None:
    passage = passage_of(cat_model, TEXT * 30)
    found = find(cat_model.engine, passage, of_tokens(FEATURES["line-position"], passage))
    assert found.measure == "correlation"
    best = found.cells[0]
    values = trace(cat_model.engine, passage.ids, best.cell)
    half = len(passage) // 2
    labels = of_tokens(FEATURES["line-position"], passage)
    exact = np.corrcoef(values[half:], labels[half:])[0, 1]
    assert best.held_out == pytest.approx(exact if best.rising else -exact, abs=1e-6)


def test_cells_without_bound_can_be_found_too() -> None:
    model = model_of(cell="rnn-relu")
    passage = passage_of(model, TEXT * 10)
    found = find(model.engine, passage, of_tokens(FEATURES["space"], passage))
    assert found.cells[0].held_out > 0.6


def test_the_correlation_of_a_cell_without_bound_is_of_its_values() -> None:
    model = model_of(cell="rnn-relu")
    passage = passage_of(model, TEXT * 10)
    labels = of_tokens(FEATURES["line-position"], passage)
    best = find(model.engine, passage, labels).cells[0]
    values, half = trace(model.engine, passage.ids, best.cell), len(passage) // 2
    assert values.max() > 1
    exact = np.corrcoef(values[half:], labels[half:])[0, 1]
    assert best.held_out == pytest.approx(exact if best.rising else -exact, abs=1e-6)


def test_a_feature_that_is_not_in_the_text_is_refused() -> None:
    model = model_of()
    passage = passage_of(model, "cat 1 " + "fish " * 8)
    with pytest.raises(TextError) as caught:
        find(model.engine, passage, of_tokens(FEATURES["digit"], passage))
    assert str(caught.value) == (
        "the second half of the text cannot tell the feature: it is everywhere the same there; "
        "give a longer text"
    )


# Gates


def next_state(model: Model, layer: int, block: Any, gates: dict[str, Any]) -> list[Any]:
    """The state after each step, from the state before it and the gates, by the equations."""
    weights = {
        name: model.checkpoint.weights[f"rnn.{name}_l{layer}"].astype(np.float64)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    embedded = model.checkpoint.weights["embedding.weight"][block.ids]
    size = model.engine.config.hidden_size
    x = block.after[layer - 1][0] if layer else embedded
    rows = (
        slice(2 * size, 3 * size) if "reset" in gates or "output" in gates else slice(-size, None)
    )
    from_x = x @ weights["weight_ih"][rows].T + weights["bias_ih"][rows]
    before = block.before[layer][0]

    def from_state(state: Any) -> Any:
        return state @ weights["weight_hh"][rows].T + weights["bias_hh"][rows]

    update = gates["update"]
    if "output" in gates:
        candidate = np.tanh(from_x + from_state(before))
        c = update * candidate + gates["forget"] * block.before[layer][1]
        return [gates["output"] * np.tanh(c), c]
    reset = gates.get("reset", 1.0)
    cell = model.engine.config.cell
    inside = from_state(reset * before) if cell == "gru-reset-before" else from_state(before)
    candidate = np.tanh(from_x + (reset * inside if cell == "gru" else inside))
    return [update * candidate + (1 - update) * before]


@pytest.mark.parametrize("cell", GATES_OF)
def test_the_gates_shown_are_those_that_made_the_states(cell: str) -> None:
    model = model_of(cell=cell, layers=2)
    (block,) = blocks(model.engine, passage_of(model).ids)
    found: list[dict[str, Any]] = [{}, {}]
    names = list(GATES_OF[cell])
    for layer, number, values in gate_values(model.engine.config, model.checkpoint.weights, block):
        found[layer][names[number]] = values
    for layer, gates in enumerate(found):
        state = next_state(model, layer, block, gates)
        for expected, part in zip(state, block.after[layer], strict=True):
            np.testing.assert_allclose(part, expected, atol=2e-6)


def test_saturation_is_a_share_of_time() -> None:
    model = model_of(cell="lstm", layers=2)
    passage = passage_of(model)
    found = saturation(model.engine, model.checkpoint.weights, passage.ids)
    assert [(one.layer, one.gate) for one in found] == [
        (layer, gate) for layer in (1, 2) for gate in ("update", "forget", "output")
    ]
    (block,) = blocks(model.engine, passage.ids)
    _, _, values = next(iter(gate_values(model.engine.config, model.checkpoint.weights, block)))
    np.testing.assert_allclose(found[0].left, (values < 0.1).mean(axis=0))
    np.testing.assert_allclose(found[0].right, (values > 0.9).mean(axis=0))


@pytest.mark.parametrize("cell", sorted(set(CELLS) - set(GATES_OF)))
def test_a_cell_without_gates_is_refused(cell: str) -> None:
    model = model_of(cell=cell)
    with pytest.raises(OptionError) as caught:
        saturation(model.engine, model.checkpoint.weights, passage_of(model).ids)
    assert str(caught.value) == (
        f"--view gates: a model of {cell} cells has no gates; "
        "those of gru, gru-reset-before, gru-simple, lstm, lstm-peephole have"
    )


# Matching


@given(st.lists(st.integers(0, 255), min_size=1, max_size=30), st.integers(1, 30))
def test_on_throughout_is_on_at_every_step(rows: list[int], length: int) -> None:
    length = min(length, len(rows))
    bits = np.array(rows, np.uint8)[:, None]
    expected = [
        int(np.bitwise_and.reduce(bits[at : at + length, 0]))
        for at in range(len(rows) - length + 1)
    ]
    assert throughout(bits, length)[:, 0].tolist() == expected


def test_places_are_ranked_by_cells_shared_and_then_by_others(cat_model: Model) -> None:
    passage = passage_of(cat_model, TEXT * 12)
    begin = TEXT.index("which")
    end, threshold = begin + 5, 0.3
    found = match(cat_model.engine, passage.ids, begin, end, threshold)
    (block,) = blocks(cat_model.engine, passage.ids)
    on = block.values() >= threshold
    wanted = on[begin:end].all(axis=0)
    columns = [cell.column(cat_model.engine.config) for cell in found.cells]
    assert columns == np.flatnonzero(wanted).tolist()
    for place in found.places:
        there = on[place.begin : place.end].all(axis=0)
        assert (place.shared, place.others) == ((there & wanted).sum(), (there & ~wanted).sum())
    order = [(-place.shared, place.others, place.begin) for place in found.places]
    assert order == sorted(order)
    assert len(found.places) == 50
    spans = sorted([(begin, end), *((place.begin, place.end) for place in found.places)])
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))
    assert "whic" in "".join(passage.pieces[found.places[0].begin : found.places[0].end])


def test_a_place_shares_a_cell_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    shared, others = np.array([3, 0, 2, 0, 1]), np.zeros(5, np.int64)
    places = matching._best(shared, others, 0, 1)
    assert [(place.begin, place.shared) for place in places] == [(2, 2), (4, 1)]
    monkeypatch.setattr(matching, "PLACES", 1)
    assert matching._best(shared, others, 0, 1) == places[:1]


def test_ones_are_counted_in_parts() -> None:
    bits = np.random.default_rng(0).integers(0, 256, (2**16 + 5, 2)).astype(np.uint8)
    mask = np.array([0b10110001, 0b11111111], np.uint8)
    expected = np.unpackbits(bits & mask, axis=1).sum(axis=1)
    assert (matching._count(bits, mask) == expected).all()


def test_a_threshold_that_no_cell_reaches_is_refused() -> None:
    model = model_of()
    with pytest.raises(OptionError) as caught:
        match(model.engine, passage_of(model).ids, 0, 9, 1.5)
    assert str(caught.value) == (
        "--threshold 1.5: no cell is so high throughout the span; "
        "give a lower one or a shorter span"
    )


# Words


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["The cats, which zzz  sat.\nThe cat ", " Äé€😀 The", "", "  "])
def test_words_share_out_what_tokens_cost(kind: str, text: str) -> None:
    model = Model(random_checkpoint(tokenizer=kind))
    tokens = model.token_scores(text, eos=True)
    words = by_word(model.tokenizer, text, tokens)
    assert sum(word.nats for word in words) == pytest.approx(sum(token.nats for token in tokens))
    assert sum(word.tokens for word in words) == len(tokens)
    assert [word.word for word in words if word.word] == [*text.split(), "<EOS>"]


def test_a_word_costs_what_the_chain_rule_gives_it() -> None:
    model = Model(random_checkpoint())
    text = "The cats  sat."
    words = by_word(model.tokenizer, text, model.token_scores(text))
    for word, before, whole in zip(
        words, ["", "The", "The cats"], ["The", "The cats", text], strict=True
    ):
        given = model.score(before).log_probability
        assert -word.nats == pytest.approx(model.score(whole).log_probability - given, abs=1e-4)


def test_words_that_share_a_token_are_one() -> None:
    nbsp = "\u00a0"
    line = f"cost 10{nbsp}000 and 25{nbsp}000 or 1{nbsp}000{nbsp}000.\n"
    tokenizer = train_tokenizer("bpe", [line * 200], 1, 300)
    text = line.strip()
    tokens = [
        TokenScore(int(token), tokenizer.piece(int(token)), 1.0, 1)
        for token in tokenizer.encode(text)
    ]
    assert any(nbsp in token.piece for token in tokens), "else this test shows nothing"
    words = by_word(tokenizer, text, tokens)
    assert "".join(text.split()) == "".join("".join(word.word.split()) for word in words)
    assert sum(word.nats for word in words) == len(tokens)
