"""NumPy's engine, torch's engine and the equations say the same, however a sequence is cut."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import random_checkpoint
from hypothesis import given
from hypothesis import strategies as st

from charlm import inference
from charlm.bulk import TorchEngine
from charlm.checkpoint import Checkpoint
from charlm.config import CELLS
from charlm.inference import Engine, NumpyEngine
from charlm.model import LanguageModel
from charlm.steps import product
from charlm.tokenizers import KINDS

every_cell = pytest.mark.parametrize("cell", CELLS)
Vector = npt.NDArray[np.float64]


def engines(checkpoint: Checkpoint) -> tuple[NumpyEngine, TorchEngine]:
    return (
        NumpyEngine(checkpoint.model, checkpoint.weights),
        TorchEngine.of(checkpoint.model, checkpoint.weights),
    )


def ids_of(checkpoint: Checkpoint, steps: int, batch: int, seed: int = 0) -> npt.NDArray[np.intp]:
    draw = np.random.default_rng(seed)
    return draw.integers(0, checkpoint.model.vocabulary_size, (steps, batch))


# The equations, in float64, one token of one stream at a time; rows of weights as in torch.nn


def sigma(x: Vector) -> Vector:
    return 1 / (1 + np.exp(-x))


def lstm(z_x: Vector, z_h: Vector, state: list[Vector]) -> list[Vector]:
    _, c = state
    update, forget, candidate, output = np.split(z_x + z_h, 4)
    c = sigma(update) * np.tanh(candidate) + sigma(forget) * c
    return [sigma(output) * np.tanh(c), c]


def gru(z_x: Vector, z_h: Vector, state: list[Vector]) -> list[Vector]:
    (h,) = state
    (r_x, z_x, n_x), (r_h, z_h, n_h) = np.split(z_x, 3), np.split(z_h, 3)
    keep, candidate = sigma(z_x + z_h), np.tanh(n_x + sigma(r_x + r_h) * n_h)
    return [(1 - keep) * candidate + keep * h]


def rnn(z_x: Vector, z_h: Vector, state: list[Vector]) -> list[Vector]:
    del state
    return [np.tanh(z_x + z_h)]


EQUATIONS = {"lstm": lstm, "gru": gru, "rnn": rnn}


def reference_nats(checkpoint: Checkpoint, ids: list[int]) -> list[float]:
    """−ln P of ids[1:], straight from the equations."""
    config, weights = checkpoint.model, checkpoint.weights
    exact: dict[str, Any] = {name: value.astype(np.float64) for name, value in weights.items()}
    parts = 2 if config.cell == "lstm" else 1
    states = [[np.zeros(config.hidden_size)] * parts for _ in range(config.layers)]
    output = exact["embedding.weight" if config.tie_weights else "output.weight"]
    nats = []
    for token, target in itertools.pairwise(ids):
        x = exact["embedding.weight"][token]
        for k in range(config.layers):
            z_x = exact[f"rnn.weight_ih_l{k}"] @ x + exact[f"rnn.bias_ih_l{k}"]
            z_h = exact[f"rnn.weight_hh_l{k}"] @ states[k][0] + exact[f"rnn.bias_hh_l{k}"]
            states[k] = EQUATIONS[config.cell](z_x, z_h, states[k])
            x = states[k][0]
        logits = output @ x + exact["output.bias"]
        nats.append(float(np.log(np.exp(logits - logits.max()).sum()) + logits.max()))
        nats[-1] -= float(logits[target])
    return nats


@pytest.mark.parametrize("cell", EQUATIONS)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("tie_weights", [False, True])
def test_both_engines_follow_the_equations(cell: str, layers: int, tie_weights: bool) -> None:
    checkpoint = random_checkpoint(cell, layers, tie_weights=tie_weights, seed=4)
    ids = ids_of(checkpoint, 40, 1)
    expected = reference_nats(checkpoint, ids[:, 0].tolist())
    for engine in engines(checkpoint):
        nats, _ = engine.nats(ids[:-1], ids[1:], engine.initial_state(1))
        np.testing.assert_allclose(nats[:, 0], expected, rtol=0, atol=1e-5)


@every_cell
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("tie_weights", [False, True])
def test_numpy_equals_torch(cell: str, layers: int, tie_weights: bool) -> None:
    checkpoint = random_checkpoint(cell, layers, tie_weights=tie_weights, seed=layers)
    ids = ids_of(checkpoint, 50, 5)
    one, other = engines(checkpoint)
    nats, state = one.nats(ids[:-1], ids[1:], one.initial_state(5))
    torch_nats, torch_state = other.nats(ids[:-1], ids[1:], other.initial_state(5))
    np.testing.assert_allclose(nats, torch_nats, rtol=1e-6, atol=1e-5)
    for layer, torch_layer in zip(state, torch_state, strict=True):
        np.testing.assert_allclose(layer, torch_layer, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_numpy_equals_torch_for_every_tokenizer(kind: str) -> None:
    checkpoint = random_checkpoint(tokenizer=kind)
    ids = ids_of(checkpoint, 30, 2)
    (logits, _), (torch_logits, _) = (
        engine.logits(ids, engine.initial_state(2)) for engine in engines(checkpoint)
    )
    np.testing.assert_allclose(logits, torch_logits, rtol=1e-6, atol=1e-5)


@every_cell
@pytest.mark.parametrize("length", [1, 20])
def test_the_state_after_tokens_is_the_same_without_predictions(cell: str, length: int) -> None:
    checkpoint = random_checkpoint(cell, 2)
    ids = ids_of(checkpoint, length, 3)
    for engine in engines(checkpoint):
        _, state = engine.logits(ids, engine.initial_state(3))
        for layer, other in zip(state, engine.after(ids, engine.initial_state(3)), strict=True):
            for part, same in zip(layer, other, strict=True):
                np.testing.assert_array_equal(part, same)


@every_cell
def test_the_engine_in_torch_is_the_model_that_was_trained(cell: str) -> None:
    checkpoint = random_checkpoint(cell, 2)
    model = LanguageModel(checkpoint.model, checkpoint.weights)
    ids = ids_of(checkpoint, 20, 3)
    (one, _), (other, _) = (
        engine.logits(ids, engine.initial_state(3))
        for engine in (TorchEngine(model), engines(checkpoint)[1])
    )
    np.testing.assert_array_equal(one, other)


@every_cell
@given(cuts=st.sets(st.integers(1, 23), max_size=6), seed=st.integers(0, 99))
def test_a_whole_sequence_equals_its_chunks(cell: str, cuts: set[int], seed: int) -> None:
    checkpoint = random_checkpoint(cell, 2)
    ids = ids_of(checkpoint, 25, 2, seed)
    engine = NumpyEngine(checkpoint.model, checkpoint.weights)
    whole, last = engine.nats(ids[:-1], ids[1:], engine.initial_state(2))
    state, parts = engine.initial_state(2), []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), 24], strict=True):
        nats, state = engine.nats(ids[begin:end], ids[begin + 1 : end + 1], state)
        parts.append(nats)
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-6, atol=1e-5)
    for layer, expected in zip(state, last, strict=True):
        np.testing.assert_allclose(layer, expected, rtol=1e-5, atol=1e-5)


@every_cell
@given(order=st.permutations(range(6)), taken=st.integers(1, 6))
def test_streams_do_not_depend_on_their_neighbours(cell: str, order: list[int], taken: int) -> None:
    checkpoint = random_checkpoint(cell, 2)
    ids = ids_of(checkpoint, 12, 6)
    engine = NumpyEngine(checkpoint.model, checkpoint.weights)
    together, _ = engine.nats(ids[:-1], ids[1:], engine.initial_state(6))
    some = ids[:, order[:taken]]
    apart, _ = engine.nats(some[:-1], some[1:], engine.initial_state(taken))
    np.testing.assert_allclose(apart, together[:, order[:taken]], rtol=1e-6, atol=1e-5)


@every_cell
@pytest.mark.parametrize("which", [0, 1])
def test_probabilities_sum_to_one_at_every_step(cell: str, which: int) -> None:
    checkpoint = random_checkpoint(cell, 2, seed=9)
    engine = engines(checkpoint)[which]
    size, ids = checkpoint.model.vocabulary_size, ids_of(checkpoint, 15, 1)
    every = np.broadcast_to(np.arange(size), (15, size))  # each next token, in a stream of its own
    nats, _ = engine.nats(np.repeat(ids, size, axis=1), every, engine.initial_state(size))
    np.testing.assert_allclose(np.exp(-nats.astype(np.float64)).sum(axis=1), 1.0, atol=1e-5)


@every_cell
@pytest.mark.parametrize("which", [0, 1])
def test_states_are_results_and_never_changed(cell: str, which: int) -> None:
    checkpoint = random_checkpoint(cell, 2)
    engine: Engine = engines(checkpoint)[which]
    ids = ids_of(checkpoint, 9, 2)
    _, state = engine.logits(ids, engine.initial_state(2))
    before = [tuple(part + 0 for part in layer) for layer in state]
    first, _ = engine.logits(ids, state)
    second, _ = engine.logits(ids, state)
    np.testing.assert_array_equal(first, second)
    for layer, kept in zip(state, before, strict=True):
        np.testing.assert_array_equal(layer, kept)


@every_cell
def test_large_weights_neither_overflow_nor_warn(cell: str) -> None:
    checkpoint = random_checkpoint(cell)
    weights = {name: value * np.float32(30) for name, value in checkpoint.weights.items()}
    engine = NumpyEngine(checkpoint.model, weights)
    ids = ids_of(checkpoint, 6, 2)
    nats, _ = engine.nats(ids[:-1], ids[1:], engine.initial_state(2))
    assert np.isfinite(nats).all()
    assert (nats >= 0).all()


@every_cell
def test_a_vocabulary_too_large_to_look_up_changes_nothing(
    cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = random_checkpoint(cell, 2)
    looked_up = NumpyEngine(checkpoint.model, checkpoint.weights)
    monkeypatch.setattr(inference, "LOOKED_UP", 3)
    projected = NumpyEngine(checkpoint.model, checkpoint.weights)
    assert projected._table is None
    for steps, batch in ((1, 1), (1, 3), (9, 1), (5, 4)):
        ids = ids_of(checkpoint, steps, batch)
        expected, state = looked_up.logits(ids, looked_up.initial_state(batch))
        found, other = projected.logits(ids, projected.initial_state(batch))
        assert found == pytest.approx(expected, abs=2e-6)
        for one, two in zip(itertools.chain(*state), itertools.chain(*other), strict=True):
            assert two == pytest.approx(one, abs=2e-6)


def test_a_large_vocabulary_is_scored_in_parts() -> None:
    """Logits of all steps at once would not fit: the parts give the same as the whole."""
    checkpoint = random_checkpoint()
    rows = 30_000
    weights = dict(checkpoint.weights)
    draw = np.random.default_rng(0)
    for name in ("embedding.weight", "output.weight", "output.bias"):
        shape = (rows, *weights[name].shape[1:])
        weights[name] = draw.normal(0, 1, shape).astype(np.float32)
    config = type(checkpoint.model)(**{**checkpoint.model.to_json(), "vocabulary_size": rows})
    engine = NumpyEngine(config, weights)
    ids = draw.integers(0, rows, (40, 2))
    nats, _ = engine.nats(ids[:-1], ids[1:], engine.initial_state(2))
    logits, _ = engine.logits(ids[:-1], engine.initial_state(2))
    exact = logits.astype(np.float64)
    wanted = np.log(np.exp(exact).sum(-1)) - np.take_along_axis(exact, ids[1:, :, None], -1)[..., 0]
    np.testing.assert_allclose(nats, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 2, 4, 5, 64, 65])
def test_products_of_few_and_of_many_rows_are_equal(rows: int) -> None:
    random = np.random.default_rng(rows)
    left = random.standard_normal((rows, 12), np.float32)
    weight = random.standard_normal((20, 12), np.float32)
    np.testing.assert_allclose(product(left, weight), left @ weight.T, atol=1e-5)
