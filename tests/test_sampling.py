"""The next token is drawn as its probabilities say; a text depends on its seed alone."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import random_checkpoint
from hypothesis import given
from hypothesis import strategies as st

from charlm import drawing
from charlm.api import Model
from charlm.bulk import TorchEngine
from charlm.checkpoint import Checkpoint
from charlm.config import CELLS
from charlm.errors import OptionError, OverflowingError
from charlm.inference import Array, Engine, Ids, NumpyEngine
from charlm.sampling import Sampler, generate, read_prompt, until
from charlm.sequences import WINDOW
from charlm.tokenizers import EOS, UNK

Floats = npt.NDArray[np.float64]
LOGITS = st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=12)
SHARES = st.floats(0.01, 1)


def in_torch(sampler: Sampler, logits: Array, uniforms: Floats) -> Ids:
    """What many streams are drawn with."""
    tokens: Ids = drawing.drawn(sampler, torch.from_numpy(logits.copy()), uniforms).numpy()
    return tokens


Choose = Callable[[Sampler, Array, Floats], Ids]
each_way = pytest.mark.parametrize("choose", [Sampler.__call__, in_torch], ids=["numpy", "torch"])


def frequencies(choose: Choose, logits: list[float], **options: float) -> Floats:
    """How often each token is drawn, at 20,000 evenly spaced uniform numbers."""
    uniforms = (np.arange(20_000) + 0.5) / 20_000
    rows = np.broadcast_to(np.array(logits, np.float32), (20_000, len(logits)))
    tokens = choose(Sampler(**options), rows, uniforms)  # type: ignore[arg-type]
    return np.bincount(tokens, minlength=len(logits)) / 20_000


def softmax(logits: list[float], temperature: float = 1.0) -> list[float]:
    top = max(logits)
    weights = [math.exp((logit - top) / temperature) for logit in logits]
    return [weight / sum(weights) for weight in weights]


def renormalised(weights: list[float]) -> Floats:
    return np.array(weights) / sum(weights)


def naive_top_k(probabilities: list[float], k: int) -> set[int]:
    ranked = sorted(range(len(probabilities)), key=lambda token: -probabilities[token])
    return set(ranked[:k])


def naive_top_p(probabilities: list[float], share: float) -> set[int]:
    kept: set[int] = set()
    for token in sorted(range(len(probabilities)), key=lambda token: -probabilities[token]):
        if sum(probabilities[other] for other in kept) >= share * (1 - 1e-12):
            break
        kept.add(token)
    return kept


def naive_min_p(probabilities: list[float], share: float) -> set[int]:
    most = max(probabilities)
    return {token for token, p in enumerate(probabilities) if p >= share * most}


@each_way
@given(logits=LOGITS, temperature=st.floats(0.05, 5))
def test_tokens_are_drawn_as_often_as_they_are_likely(
    choose: Choose, logits: list[float], temperature: float
) -> None:
    drawn = frequencies(choose, logits, temperature=temperature)
    np.testing.assert_allclose(drawn, softmax(logits, temperature), atol=1e-4)


@each_way
@given(
    logits=st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=12, unique=True),
    data=st.data(),
)
def test_top_k_keeps_the_k_likeliest(
    choose: Choose, logits: list[float], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(logits) + 2))
    probabilities = softmax(logits)
    kept = naive_top_k(probabilities, k)
    wanted = renormalised([p * (token in kept) for token, p in enumerate(probabilities)])
    np.testing.assert_allclose(frequencies(choose, logits, top_k=k), wanted, atol=1e-4)


@each_way
@given(logits=st.lists(st.integers(-8, 8), min_size=2, max_size=12, unique=True), share=SHARES)
def test_top_p_keeps_the_fewest_that_reach_it(
    choose: Choose, logits: list[float], share: float
) -> None:
    probabilities = softmax(logits)
    kept = naive_top_p(probabilities, share)
    wanted = renormalised([p * (token in kept) for token, p in enumerate(probabilities)])
    np.testing.assert_allclose(frequencies(choose, logits, top_p=share), wanted, atol=1e-4)


@each_way
@given(logits=st.lists(st.integers(-8, 8), min_size=2, max_size=12), share=SHARES)
def test_min_p_keeps_what_is_likely_enough(
    choose: Choose, logits: list[float], share: float
) -> None:
    probabilities = softmax(logits)
    kept = naive_min_p(probabilities, share)
    wanted = renormalised([p * (token in kept) for token, p in enumerate(probabilities)])
    np.testing.assert_allclose(frequencies(choose, logits, min_p=share), wanted, atol=1e-4)


@each_way
def test_several_limits_are_applied_in_order(choose: Choose) -> None:
    logits = [math.log(p) for p in (0.4, 0.3, 0.2, 0.06, 0.04)]
    drawn = frequencies(choose, logits, top_k=4, top_p=0.9, min_p=0.6)
    np.testing.assert_allclose(drawn, renormalised([0.4, 0.3, 0, 0, 0]), atol=1e-4)


@each_way
@given(logits=LOGITS, seed=st.integers(0, 9))
def test_temperature_zero_is_the_arg_max(choose: Choose, logits: list[float], seed: int) -> None:
    row, uniform = np.array([logits], np.float32), np.random.default_rng(seed).random(1)
    assert choose(Sampler(temperature=0), row, uniform) == [np.argmax(row)]
    cold = int(choose(Sampler(temperature=1e-300), row, uniform)[0])
    assert row[0, cold] == row.max()


@each_way
@given(logits=LOGITS, temperature=st.sampled_from([0.0, 1e-9, 1.0, 50.0]), data=st.data())
def test_what_is_forbidden_is_never_drawn(
    choose: Choose, logits: list[float], temperature: float, data: st.DataObject
) -> None:
    forbidden = data.draw(st.integers(0, len(logits) - 1))
    uniforms = np.array([0.0, 0.3, 0.999_999, np.nextafter(1.0, 0.0)])
    rows = np.array([logits] * 4, np.float32)
    before = rows.copy()
    tokens = choose(Sampler(temperature, top_p=0.9, forbidden=[forbidden]), rows, uniforms)
    assert forbidden not in tokens
    np.testing.assert_array_equal(rows, before)


@each_way
def test_the_edges_of_the_unit_interval_draw_tokens_that_can_be_drawn(choose: Choose) -> None:
    rows = np.array([[-np.inf, 0.0, -900.0, 0.0, -np.inf]] * 2, np.float32)
    edges = np.array([0.0, np.nextafter(1.0, 0.0)])
    assert choose(Sampler(), rows, edges).tolist() == [1, 3]


@given(
    temperature=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    top_k=st.none() | st.integers(1, 40),
    top_p=st.none() | SHARES,
    min_p=st.none() | SHARES,
    forbidden=st.sets(st.integers(0, 29), max_size=5),
    seed=st.integers(0, 99),
)
def test_many_streams_draw_the_tokens_that_few_would(
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    min_p: float | None,
    forbidden: set[int],
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    logits, uniforms = random.normal(0, 3, (50, 30)).astype(np.float32), random.random(50)
    sampler = Sampler(temperature, top_k, top_p, min_p, forbidden)
    assert in_torch(sampler, logits, uniforms).tolist() == sampler(logits, uniforms).tolist()


def test_drawn_frequencies_pass_a_chi_square_test(cat_model: Model) -> None:
    """20,000 draws after "The cat"; 99.9 % of fair samples stay under the bound."""
    likely = cat_model.next_tokens("The cat", count=100)
    seeds = [[7, number] for number in range(20_000)]
    (tokens,) = cat_model.stream("The cat", length=1, seeds=seeds, allow_unk=True)
    observed = np.bincount(tokens, minlength=cat_model.tokenizer.size)
    expected = np.zeros(cat_model.tokenizer.size)
    for token in likely:
        expected[token.token] = 20_000 * math.exp(-token.nats)
    assert expected.sum() == pytest.approx(20_000, rel=1e-6)
    often = expected >= 5
    observed = np.append(observed[often], observed[~often].sum())
    expected = np.append(expected[often], expected[~often].sum())
    square = float(((observed - expected) ** 2 / np.maximum(expected, 1)).sum())
    freedom = int(often.sum())
    bound = freedom * (1 - 2 / (9 * freedom) + 3.09 * math.sqrt(2 / (9 * freedom))) ** 3
    assert square < bound  # Wilson and Hilferty 1931


# Options


@pytest.mark.parametrize("temperature", [-0.1, math.nan, math.inf])
def test_temperatures_that_cannot_be_used(temperature: float) -> None:
    with pytest.raises(OptionError, match="--temperature"):
        Sampler(temperature)


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1, math.nan])
def test_shares_that_cannot_be_used(share: float) -> None:
    with pytest.raises(OptionError, match="--top-p"):
        Sampler(top_p=share)
    with pytest.raises(OptionError, match="--min-p"):
        Sampler(min_p=share)


@pytest.mark.parametrize("k", [0, -3])
def test_counts_that_cannot_be_used(k: int) -> None:
    with pytest.raises(OptionError, match="--top-k"):
        Sampler(top_k=k)


# Texts


def written(
    checkpoint: Checkpoint,
    seeds: list[list[int]],
    temperature: float = 1.0,
    length: int = 40,
    engine: Engine | None = None,
) -> list[list[int]]:
    """The texts of some seeds, each without what follows its <EOS>."""
    engine = engine or NumpyEngine(checkpoint.model, checkpoint.weights)
    prompt = checkpoint.tokenizer.encode("The cat")
    steps = list(generate(engine, Sampler(temperature), prompt, seeds, length))
    texts = np.stack(steps, axis=1).tolist()
    return [list(itertools.takewhile(lambda token: token != EOS, text)) for text in texts]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_a_seed_writes_the_same_text_alone_and_in_a_batch(cell: str, temperature: float) -> None:
    for model_seed in range(3):
        checkpoint = random_checkpoint(cell, 2, seed=model_seed)
        seeds = [[3, number] for number in range(12)]
        together = written(checkpoint, seeds, temperature)
        assert together == [
            text for seed in seeds for text in written(checkpoint, [seed], temperature)
        ]
        assert written(checkpoint, seeds[::-1], temperature) == together[::-1]


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_gpu_writes_the_same_texts(temperature: float) -> None:
    checkpoint = random_checkpoint("lstm", 2, seed=4)
    engine = TorchEngine.of(checkpoint.model, checkpoint.weights)
    engine._draws = True  # as on a GPU, where there is none
    seeds = [[3, number] for number in range(12)]
    texts = written(checkpoint, seeds, temperature, engine=engine)
    assert texts == written(checkpoint, seeds, temperature)


def test_another_seed_writes_another_text(cat_model: Model) -> None:
    texts = {cat_model.sample("The", length=60, seed=seed) for seed in range(8)}
    assert len(texts) > 4
    assert cat_model.sample("The", seed=3) == cat_model.sample("The", seed=3)
    assert cat_model.sample("The") != cat_model.sample("The")


def test_a_streamed_text_is_the_whole_text(cat_model: Model) -> None:
    decoder = cat_model.tokenizer.decoder()
    tokens = cat_model.stream("The cat", length=80, seeds=[[5, 0]])
    streamed = "".join(decoder.feed(int(token[0])) for token in tokens) + decoder.finish()
    assert streamed == cat_model.sample("The cat", length=80, seed=5)
    assert len(streamed) == 80


def test_a_shorter_text_is_the_beginning_of_a_longer_one(cat_model: Model) -> None:
    longer = cat_model.sample("The", length=50, seed=2)
    assert longer.startswith(cat_model.sample("The", length=20, seed=2))


def test_a_prompt_continues_as_the_text_that_it_is(cat_model: Model) -> None:
    text = cat_model.sample(length=40, temperature=0, seed=1)
    assert cat_model.sample(text[:15], length=25, temperature=0) == text[15:]


def test_greedy_text_takes_the_likeliest_token_at_every_step(cat_model: Model) -> None:
    text = "The cats"
    for character in cat_model.sample(text, length=30, temperature=0):
        likeliest = cat_model.next_tokens(text, count=2)
        assert character == next(t.piece for t in likeliest if t.token != UNK)
        text += character


@pytest.mark.parametrize("allowed", [False, True])
def test_unknown_is_never_written_unless_asked_for(allowed: bool) -> None:
    checkpoint = random_checkpoint(seed=1)
    bias = checkpoint.weights["output.bias"].copy()
    bias[UNK] = 30.0  # the model wants nothing else
    model = Model(
        type(checkpoint)(
            checkpoint.model,
            checkpoint.tokenizer,
            {**checkpoint.weights, "output.bias": bias},
            checkpoint.training,
            checkpoint.corpus,
        )
    )
    for temperature in (0.0, 1.0, 9.0):
        text = model.sample(length=50, temperature=temperature, seed=1, allow_unk=allowed)
        assert ("<UNK>" in text) is allowed


def test_names_end_and_the_batch_ends_with_the_last(name_model: Model) -> None:
    seeds = [[1, number] for number in range(40)]
    steps = np.stack(list(name_model.stream(length=60, seeds=seeds)))
    lengths = [int(np.argmax(column == EOS)) for column in steps.T if (column == EOS).any()]
    assert len(lengths) == 40
    assert len(steps) == max(lengths) + 1
    for column, length in zip(steps.T, lengths, strict=True):
        assert (column[length:] == EOS).all()
        assert name_model.tokenizer.newline not in column


@pytest.mark.parametrize("length", [0, 1, 2])
def test_a_text_has_the_length_asked_for(cat_model: Model, length: int) -> None:
    assert len(cat_model.sample("The", length=length, seed=1)) == length


@pytest.mark.parametrize("length", [0, 1, WINDOW - 2, WINDOW - 1, WINDOW, 2 * WINDOW + 3])
def test_a_long_prompt_is_read_in_windows(length: int) -> None:
    checkpoint = random_checkpoint("gru", 2)
    engine = NumpyEngine(checkpoint.model, checkpoint.weights)
    prompt = np.random.default_rng(length).integers(2, checkpoint.tokenizer.size, length)
    logits, state = read_prompt(engine, prompt, batch=3)
    whole = np.array([EOS, *prompt])[:, None]
    expected, last = engine.logits(whole, engine.initial_state(1))
    assert logits.shape == (3, checkpoint.tokenizer.size)
    np.testing.assert_allclose(logits, np.repeat(expected[-1], 3, axis=0), rtol=1e-5, atol=1e-5)
    for layer, wanted in zip(state, last, strict=True):
        for part, whole_part in zip(layer, wanted, strict=True):
            np.testing.assert_allclose(part, np.repeat(whole_part, 3, axis=0), atol=1e-5)


@given(pieces=st.lists(st.text("ab", max_size=4), max_size=8), stop=st.text("ab", max_size=4))
def test_a_text_ends_before_what_stops_it(pieces: list[str], stop: str) -> None:
    whole = "".join(pieces)
    expected = whole.partition(stop)[0] if stop else whole
    assert "".join(until(iter(pieces), stop)) == expected


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_nothing_is_drawn_where_nothing_can_be(temperature: float) -> None:
    sampler, uniforms = Sampler(temperature), np.full(2, 0.5)
    logits = np.array([[0, 1, 2], [0, np.nan, np.inf]], np.float32)
    with pytest.raises(OverflowingError):
        sampler(logits, uniforms)
    tokens = in_torch(sampler, logits, uniforms)
    assert tokens[0] >= 0 > tokens[1] == drawing.NONE
