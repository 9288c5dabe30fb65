"""A score is the sum of its characters' scores, however the texts are batched and the file cut."""

import math

import numpy as np
import pytest
from conftest import random_checkpoint
from hypothesis import given
from hypothesis import strategies as st

from charlm import scoring, sequences
from charlm.api import Model
from charlm.bulk import TorchEngine
from charlm.config import CELLS
from charlm.corpus import Tokens, tokenize
from charlm.figures import scientific
from charlm.inference import Array, Ids, NumpyEngine, State
from charlm.scoring import WARM_UP, evaluate, next_tokens, score, score_tokens
from charlm.sequences import BATCH_TOKENS, WINDOW
from charlm.tokenizers import EOS, KINDS, UNK

every_cell = pytest.mark.parametrize("cell", CELLS)
TEXTS = st.text("Theca ts.é\n", max_size=30)
MANY = st.lists(TEXTS, min_size=1, max_size=8)


def random_model(cell: str = "lstm", **options: object) -> Model:
    return Model(random_checkpoint(cell, 2, **options))  # type: ignore[arg-type]


def long_text(tokens: int, seed: int = 0) -> str:
    return "".join(np.random.default_rng(seed).choice(list("The cats.\n"), tokens))


# The chain rule


@every_cell
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("eos", [False, True])
def test_a_score_is_the_sum_of_its_tokens_scores(cell: str, kind: str, eos: bool) -> None:
    model = random_model(cell, tokenizer=kind)
    text = "The cats, which were full, sat."
    whole = model.score(text, eos=eos)
    tokens = model.token_scores(text, eos=eos)
    assert len(tokens) == whole.tokens
    assert whole.log_probability == pytest.approx(-sum(t.nats for t in tokens), abs=1e-4)
    assert whole.eos_counted is eos
    assert (tokens[-1].token == EOS) is eos


@given(text=TEXTS, given_=TEXTS)
def test_given_splits_a_score(text: str, given_: str) -> None:
    model = random_model("gru")
    apart = model.score(given_).log_probability + model.score(text, given=given_).log_probability
    assert apart == pytest.approx(model.score(given_ + text).log_probability, abs=1e-4)


@given(text=TEXTS, given_=TEXTS, eos=st.booleans())
def test_each_token_scores_as_the_likeliest_next_tokens_say(
    text: str, given_: str, eos: bool
) -> None:
    model = random_model("lstm")
    every = model.tokenizer.size
    before = given_
    tokens = model.token_scores(text, given=given_, eos=eos)
    for token, character in zip(tokens, [*text, ""], strict=False):
        likely = {t.token: t for t in model.next_tokens(before, count=every)}
        assert sum(math.exp(-t.nats) for t in likely.values()) == pytest.approx(1, abs=1e-9)
        assert token.nats == pytest.approx(likely[token.token].nats, abs=1e-5)
        assert token.rank == likely[token.token].rank
        before += character


def test_next_tokens_follow_what_is_given_as_scored_ones_do() -> None:
    model = Model(random_checkpoint(tokenizer="words"))
    likely = {t.token: t.nats for t in model.next_tokens("cat", count=99, given="The")}
    token = model.token_scores("was", given="The cat", eos=False)[0]
    assert likely[token.token] == pytest.approx(token.nats, abs=1e-5)


def test_ranks_count_from_the_likeliest(cat_model: Model) -> None:
    likely = cat_model.next_tokens("The cat", count=9)
    assert [token.rank for token in likely] == list(range(1, 10))
    assert [token.nats for token in likely] == sorted(token.nats for token in likely)
    assert likely[0].piece in ("s", " ", ",")


# Batches


@every_cell
@given(texts=MANY, eos=st.booleans(), data=st.data())
def test_batched_and_reordered_scores_equal_single_ones(
    cell: str, texts: list[str], eos: bool, data: st.DataObject
) -> None:
    model = random_model(cell)
    order = data.draw(st.permutations(range(len(texts))))
    together = model.scores([texts[k] for k in order], eos=eos)
    for k, found in zip(order, together, strict=True):
        alone = model.score(texts[k], eos=eos)
        assert found.log_probability == pytest.approx(alone.log_probability, abs=1e-5, rel=1e-6)
        assert (found.tokens, found.characters) == (alone.tokens, alone.characters)


def test_equal_texts_get_the_same_figures_to_the_last_bit() -> None:
    model = random_model(per_line=True)
    many = ["The cat", "sat.", *["The cats"] * 11, "The"] * 3
    assert len(set(model.scores(many))) == 4


def test_what_is_equal_in_tokens_is_equal_wherever_it_is_read() -> None:
    """Ω and Ψ are both <UNK>; as many tokens as these are read in two batches."""
    model, text = random_model(), long_text(BATCH_TOKENS // 3)
    one, _, other = model.scores([f"Ω{text}", f"ab{text}", f"Ψ{text}"])
    assert one.log_probability == other.log_probability


def test_what_is_given_is_read_once() -> None:
    read = 0

    class Counting(NumpyEngine):
        def _hidden(self, tokens: Ids, state: State) -> tuple[Array, State]:
            nonlocal read
            read += tokens.size
            return super()._hidden(tokens, state)

    made = random_checkpoint()
    engine = Counting(made.model, made.weights)
    texts = [f"{letter} cat" for letter in "Tche.at"]
    scores = score(engine, made.tokenizer, texts, given="The cats. " * 60, eos=False)
    assert read == 600 + 5 * len(set(texts))
    alone = Model(made).score(texts[3], given="The cats. " * 60)
    assert scores[3].log_probability == pytest.approx(alone.log_probability, abs=1e-4)


def test_no_figure_is_minus_zero() -> None:
    model = Model(random_checkpoint(tokenizer="words"))
    for text in ("", "   "):
        figures = model.score(text).to_json()
        assert all(math.copysign(1, value) == 1 for value in figures.values())


def test_batches_are_cut_where_they_are_full(monkeypatch: pytest.MonkeyPatch) -> None:
    model, texts = random_model(), [long_text(k % 50, seed=k) for k in range(60)]
    texts.append(long_text(3 * WINDOW + 5))
    expected = [found.log_probability for found in model.scores(texts)]
    monkeypatch.setattr(sequences, "BATCH_TOKENS", 100)
    found = [found.log_probability for found in model.scores(texts)]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)


@every_cell
def test_a_score_is_the_same_in_windows_of_any_length(
    cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, text = random_model(cell), long_text(300)
    expected = model.score(text).log_probability
    for window in (1, 7, 299, 300, 301):
        for module in (scoring, sequences):
            monkeypatch.setattr(module, "WINDOW", window)
        assert model.score(text).log_probability == pytest.approx(expected, rel=1e-6)
        assert -sum(t.nats for t in model.token_scores(text)) == pytest.approx(expected, rel=1e-6)


# Nothing, and what was never seen


@pytest.mark.parametrize("eos", [False, True])
def test_the_empty_text(eos: bool) -> None:
    model = random_model()
    found = model.score("", eos=eos)
    assert found.tokens == found.characters == found.bytes == int(eos)
    assert (found.probability == 1.0) is not eos
    if not eos:
        assert str(found.log_probability) == "0.0"
        assert found.perplexity == 1.0
        assert found.bits_per_character == found.bits_per_byte == found.nats_per_token == 0.0
        assert model.token_scores("", eos=False) == []
    assert model.scores([]) == []
    mixed = model.scores(["The", "", "cats"], eos=eos)
    assert mixed[1].log_probability == pytest.approx(found.log_probability, abs=1e-6)


def test_unseen_tokens_are_counted_apart() -> None:
    model = random_model()
    found = model.score("The Xat Yat", eos=True)
    tokens = model.token_scores("The Xat Yat", eos=True)
    unseen = [token.nats for token in tokens if token.token == UNK]
    assert found.unseen_tokens == len(unseen) == 2
    assert found.unseen_log_probability == pytest.approx(-sum(unseen), abs=1e-5)
    assert found.log_probability < found.unseen_log_probability
    assert str(model.score("The cat").unseen_log_probability) == "0.0"


def test_a_file_with_unseen_tokens_counts_them_apart(cat_model: Model) -> None:
    text = "The cat was Żß.\n" * 3
    found, single = cat_model.evaluate(text), cat_model.score(text)
    assert found.unseen_tokens == single.unseen_tokens > 0
    assert found.unseen_log_probability == pytest.approx(single.unseen_log_probability, abs=1e-4)


# Measures


@given(
    nats=st.floats(0, 500),
    characters=st.integers(1, 90),
    extra=st.integers(0, 90),
    tokens=st.integers(1, 90),
)
def test_measures_are_one_figure_in_many_units(
    nats: float, characters: int, extra: int, tokens: int
) -> None:
    found = scoring.Score(-nats, tokens, characters, characters + extra, 0, 0.0, False)
    bits = nats / math.log(2)
    assert found.bits_per_character * found.characters == pytest.approx(bits)
    assert found.bits_per_byte * found.bytes == pytest.approx(bits)
    assert found.nats_per_token * tokens == pytest.approx(nats)
    assert math.log(found.perplexity) == pytest.approx(nats / tokens)
    assert found.log10_probability == pytest.approx(math.log10(math.e) * -nats)
    assert math.log(found.probability) == pytest.approx(-nats)
    names = {"log_probability", "log10_probability", "tokens", "characters", "bytes"}
    names |= {"unseen_tokens", "bits_per_character", "bits_per_byte", "nats_per_token"}
    assert names | {"perplexity", "eos_counted"} <= found.to_json().keys()


def test_characters_and_bytes_are_the_texts(cat_model: Model) -> None:
    found = cat_model.score("é€😀", eos=True)
    assert (found.characters, found.bytes, found.tokens) == (4, 10, 4)


def test_probabilities_too_small_for_a_float_have_a_logarithm() -> None:
    found = random_model().score(long_text(2_000))
    assert found.probability == 0.0
    assert found.log10_probability < -400
    assert math.isfinite(found.perplexity)


# Files


def tokens_of(model: Model, text: str) -> Tokens:
    return tokenize([[text]], model.tokenizer, model.per_line)


@every_cell
def test_a_file_is_scored_as_the_sequence_that_it_is(cell: str) -> None:
    model, text = random_model(cell), long_text(2 * WINDOW + 50)
    found, single = model.evaluate(text), model.score(text)
    assert found.log_probability == pytest.approx(single.log_probability, rel=1e-6)
    assert found.tokens == found.characters == len(text)


@given(cuts=st.sets(st.integers(1, 599), max_size=5))
def test_a_file_is_the_sum_of_its_parts_with_the_state_carried(cuts: set[int]) -> None:
    model, text = random_model("gru"), long_text(600)
    ids = tokens_of(model, text).ids
    state, total = model.engine.initial_state(1), 0.0
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), 600], strict=True):
        part = ids[begin : end + 1, None].astype(np.intp)
        nats, state = model.engine.nats(part[:-1], part[1:], state)
        total -= float(nats.astype(np.float64).sum())
    assert model.evaluate(text).log_probability == pytest.approx(total, rel=1e-6)


def test_lines_of_a_file_are_sequences_of_their_own() -> None:
    model = random_model(per_line=True)
    lines = [long_text(k % 30 + 1, seed=k).replace("\n", "") + "T" for k in range(50)]
    found = model.evaluate("\n".join(lines))
    singles = model.scores(lines, eos=True)
    assert found.log_probability == pytest.approx(sum(s.log_probability for s in singles), rel=1e-6)
    assert found.tokens == sum(s.tokens for s in singles)
    assert found.characters == sum(s.characters for s in singles) == sum(map(len, lines)) + 50
    assert found.bytes == found.characters
    assert found.eos_counted
    assert model.evaluate("\n".join(lines[::-1])).log_probability == pytest.approx(
        found.log_probability, rel=1e-6
    )


def test_files_of_one_corpus_are_sequences_of_their_own(cat_model: Model) -> None:
    files = [long_text(900, seed) for seed in range(3)]
    tokens = tokenize([[text] for text in files], cat_model.tokenizer, per_line=False)
    whole = [cat_model.score(text) for text in files]  # their ends are not counted
    found = evaluate(cat_model.engine, tokens)
    assert found.tokens == sum(score.tokens for score in whole)
    assert found.log_probability == pytest.approx(sum(s.log_probability for s in whole), rel=1e-6)


def test_a_very_long_line_is_read_in_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(per_line=True)
    text = "".join(f"{long_text(n, seed=n)}T" + "\n" for n in (5, 900, 30, 700))
    expected = model.evaluate(text)
    monkeypatch.setattr(scoring, "LONG", 100)
    found = model.evaluate(text)
    assert found.log_probability == pytest.approx(expected.log_probability, rel=1e-6)
    assert found.tokens == expected.tokens


@pytest.mark.parametrize("streams", [2, 3, 7, 1_000])
def test_streams_estimate_the_exact_figure(cat_model: Model, cat_text: str, streams: int) -> None:
    exact, estimate = cat_model.evaluate(cat_text), cat_model.evaluate(cat_text, streams=streams)
    assert estimate.tokens == exact.tokens
    assert estimate.nats_per_token == pytest.approx(exact.nats_per_token, rel=0.01)


@given(events=st.integers(1, 1_200), streams=st.integers(1, 9))
def test_streams_score_every_event_once(events: int, streams: int) -> None:
    """A model without a memory: the figure does not depend on the streams at all."""
    checkpoint = random_checkpoint()
    weights = {**checkpoint.weights, "output.weight": checkpoint.weights["output.weight"] * 0}
    engine = NumpyEngine(checkpoint.model, weights)
    ids = np.random.default_rng(events).integers(0, checkpoint.tokenizer.size, events + 1)
    ids[0] = EOS
    tokens = Tokens(ids, events, events, per_line=False)
    exact, estimate = evaluate(engine, tokens), evaluate(engine, tokens, streams)
    assert estimate.log_probability == pytest.approx(exact.log_probability, rel=1e-6)
    assert estimate.unseen_tokens == int((ids[1:] == UNK).sum())


@pytest.mark.parametrize("streams", [1, 3])
def test_tokens_that_do_not_begin_with_eos_are_scored_all_the_same(streams: int) -> None:
    model = random_model()
    ids = np.full(900, 3)
    found = evaluate(model.engine, Tokens(ids, 899, 899, per_line=False), streams)
    assert found.log_probability < -1


def test_streams_shorter_than_their_warm_up_are_not_made() -> None:
    model, text = random_model(), long_text(2 * WARM_UP - 1)
    assert model.evaluate(text, streams=32) == model.evaluate(text)


@every_cell
@pytest.mark.parametrize("per_line", [False, True])
def test_a_file_scores_the_same_in_torch(cell: str, per_line: bool) -> None:
    model = random_model(cell, per_line=per_line)
    tokens = tokens_of(model, long_text(400).replace("\n\n", "\n") + "\n")
    other = TorchEngine.of(model.checkpoint.model, model.checkpoint.weights)
    expected = evaluate(model.engine, tokens)
    found = evaluate(other, tokens)
    assert found.nats_per_token == pytest.approx(expected.nats_per_token, abs=1e-5)


def test_a_file_without_events_scores_nothing() -> None:
    model = random_model()
    for ids in (np.zeros(0, np.uint8), np.zeros(1, np.uint8)):
        for per_line in (False, True):
            found = evaluate(model.engine, Tokens(ids, 0, 0, per_line), streams=4)
            assert (found.tokens, found.log_probability, found.perplexity) == (0, 0.0, 1.0)


def test_the_functions_serve_any_engine_and_tokenizer() -> None:
    """What the command line calls is what the library has: no path, no checkpoint."""
    checkpoint = random_checkpoint("rnn")
    for engine in (
        NumpyEngine(checkpoint.model, checkpoint.weights),
        TorchEngine.of(checkpoint.model, checkpoint.weights),
    ):
        (whole,) = score(engine, checkpoint.tokenizer, ["The cat"], eos=True)
        tokens = score_tokens(engine, checkpoint.tokenizer, "The cat", eos=True)
        assert whole.log_probability == pytest.approx(-sum(t.nats for t in tokens), abs=1e-4)
        assert len(next_tokens(engine, checkpoint.tokenizer, "The", count=4)) == 4


def test_a_power_of_ten_is_written_however_small() -> None:
    assert [scientific(x) for x in (-1.5, 0.0, -2e6)] == [
        "3.1623e-2",
        "1.0000e+0",
        "1.0000e-2000000",
    ]


@pytest.mark.parametrize("logits", [1, 100, 10**6])
def test_logits_may_come_a_few_at_a_time(logits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model()
    ids = np.random.default_rng(1).integers(2, model.tokenizer.size, (9, 4))
    engine = TorchEngine.of(model.checkpoint.model, model.checkpoint.weights)
    expected, _ = model.engine.nats(ids[:-1], ids[1:], model.engine.initial_state(4))
    monkeypatch.setattr("charlm.bulk.LOGITS", logits)
    found, _ = engine.nats(ids[:-1], ids[1:], engine.initial_state(4))
    assert found == pytest.approx(expected, abs=1e-4)
