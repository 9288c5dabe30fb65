"""Dynamic evaluation predicts before it learns, learns, and leaves the checkpoint as it is."""

import numpy as np
import pytest
from conftest import random_checkpoint

from charlm.adapting import WINDOW, AdaptingEngine
from charlm.api import Model
from charlm.config import CELLS
from charlm.errors import OptionError
from charlm.inference import Array, NumpyEngine
from charlm.scoring import sequence_nats

every_cell = pytest.mark.parametrize("cell", CELLS)


def ids_of(length: int, size: int) -> list[Array]:
    """One sequence that says the same over and over."""
    return [np.tile(np.random.default_rng(1).integers(2, size, 9), length // 9 + 1)[:length]]


@every_cell
def test_the_first_window_is_predicted_by_the_model_as_it_was(cell: str) -> None:
    checkpoint = random_checkpoint(cell, 2)
    ids = ids_of(3 * WINDOW, checkpoint.tokenizer.size)
    (static,) = sequence_nats(NumpyEngine(checkpoint.model, checkpoint.weights), ids)
    engine = AdaptingEngine.of(checkpoint.model, checkpoint.weights)
    (adapted,) = sequence_nats(engine, ids)
    np.testing.assert_allclose(adapted[:WINDOW], static[:WINDOW], atol=1e-5)
    assert adapted[2 * WINDOW :].mean() < static[2 * WINDOW :].mean() - 0.1


def test_what_comes_later_does_not_change_what_was_predicted() -> None:
    checkpoint = random_checkpoint()
    (ids,) = ids_of(4 * WINDOW + 1, checkpoint.tokenizer.size)
    other = ids.copy()
    other[3 * WINDOW + 1 :] = 2
    one, two = (
        sequence_nats(AdaptingEngine.of(checkpoint.model, checkpoint.weights), [sequence])[0]
        for sequence in (ids, other)
    )
    np.testing.assert_array_equal(one[: 3 * WINDOW], two[: 3 * WINDOW])


def test_the_model_stays_as_it_is() -> None:
    model = Model(random_checkpoint())
    text = "The cats were full. " * 40
    before = model.evaluate(text)
    assert model.evaluate(text, adapt=True).nats_per_token < before.nats_per_token
    assert model.evaluate(text) == before
    assert model.evaluate(text, adapt=True) == model.evaluate(text, adapt=True)


def test_a_gradient_that_is_not_finite_teaches_nothing() -> None:
    checkpoint = random_checkpoint()
    weights = {name: weight.copy() for name, weight in checkpoint.weights.items()}
    weights["output.weight"][:] = 1e38
    engine = AdaptingEngine.of(checkpoint.model, weights)
    sequence_nats(engine, ids_of(3 * WINDOW, checkpoint.tokenizer.size))
    for weight in engine._model.parameters():
        assert weight.isfinite().all()


@pytest.mark.parametrize(("per_line", "streams"), [(True, 1), (False, 4)])
def test_only_one_long_text_is_adapted_to(per_line: bool, streams: int) -> None:
    model = Model(random_checkpoint(per_line=per_line))
    with pytest.raises(OptionError, match="--adapt reads one text"):
        model.evaluate("The cat\n", adapt=True, streams=streams)
