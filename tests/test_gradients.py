"""How far back gradients reach: against theory and numerical derivatives."""

import numpy as np
import pytest
import torch
from conftest import random_checkpoint
from torch.nn import functional

from charlm.config import CELLS, ModelConfig
from charlm.errors import OptionError, TextError
from charlm.gradients import REACH, WARM_UP, Flow, bearings, context, flow, network, windows
from charlm.inference import Ids
from charlm.model import LanguageModel
from charlm.tokenizers import EOS

STEPS, SIZE = 60, 32


def untrained(cell: str = "rnn", layers: int = 1) -> LanguageModel:
    torch.manual_seed(3)
    config = ModelConfig(
        vocabulary_size=11, cell=cell, layers=layers, hidden_size=SIZE, embedding_size=8
    )
    return LanguageModel(config)


def columns_of(positions: int = 8, time: int = STEPS + 1) -> Ids:
    return np.random.default_rng(0).integers(2, 11, (time, positions))


def with_recurrent_weights(weights: torch.Tensor, embedding: float) -> LanguageModel:
    """An untrained tanh RNN whose W_aa is given and whose embeddings are scaled."""
    model = untrained()
    with torch.no_grad():
        model.named_weights()["rnn.weight_hh_l0"].copy_(weights)
        model.embedding.weight.mul_(embedding)
    return model


def orthogonal() -> torch.Tensor:
    return torch.nn.init.orthogonal_(torch.empty(SIZE, SIZE))


def of_spectral_radius_one() -> torch.Tensor:
    weights = torch.randn(SIZE, SIZE)
    return weights / torch.linalg.eigvals(weights).abs().max()


radii = pytest.mark.parametrize("radius", [0.5, 1.0, 2.0])


@radii
def test_near_zero_an_orthogonal_rnn_multiplies_by_its_radius_at_each_step(radius: float) -> None:
    # ∂a⟨t⟩ / ∂a⟨t−1⟩ = diag(1 − a⟨t⟩²) W_aa, and at a = 0 every singular value of ρQ is ρ
    model = with_recurrent_weights(radius * orthogonal(), embedding=0.0)
    result = flow(model, columns_of(), STEPS)
    ratios = result.norms[0, 1:] / result.norms[0, :-1]
    np.testing.assert_allclose(ratios, radius, rtol=1e-4)  # the weights are float32
    np.testing.assert_allclose(result.factors(), radius, rtol=1e-4)


@radii
def test_near_zero_any_rnn_comes_to_multiply_by_its_spectral_radius(radius: float) -> None:
    # ‖W^k‖^(1/k) → ρ(W) (Gelfand), while W^k itself may first grow, up to σ_max^k
    weights = radius * of_spectral_radius_one()
    model = with_recurrent_weights(weights, embedding=0.0)
    norms = flow(model, columns_of(time=301), 300).mean[0]
    factor = (norms[299] / norms[149]) ** (1 / 150)
    assert factor == pytest.approx(radius, rel=0.02)
    largest = float(torch.linalg.svdvals(weights)[0])
    assert (norms[1:] <= norms[:-1] * largest * 1.0001).all()
    assert largest > 1.2 * radius


@radii
def test_activations_only_ever_shrink_the_factor(radius: float) -> None:
    # 1 − a² ≤ 1: with W_aa = ρQ no step multiplies by more than ρ, whatever the inputs
    model = with_recurrent_weights(radius * orthogonal(), embedding=20.0)
    norms = flow(model, columns_of(), STEPS).norms[0]
    assert (norms[1:] <= norms[:-1] * radius * 1.0001).all()
    assert norms[-1].max() < norms[0].max() * radius ** (STEPS - 1)


def test_a_radius_of_two_saturates_and_explodes_less_than_near_zero() -> None:
    model = with_recurrent_weights(2.0 * orthogonal(), embedding=1.0)
    assert 0.3 < flow(model, columns_of(), STEPS).factors()[0] < 1.9


@pytest.mark.parametrize("cell", CELLS)
def test_flow_is_the_gradient_with_respect_to_the_states(cell: str) -> None:
    model, columns, steps = untrained(cell, layers=2).double(), columns_of(3, 9), 6
    result = flow(model, columns, steps)
    assert result.norms.shape == (2, steps, 3)
    tokens = torch.from_numpy(columns)
    for k in (1, 4, 6):
        with torch.no_grad():
            _, state = model(tokens[: len(tokens) - 1 - k], model.initial_state(3))
        state = [tuple(part.clone().requires_grad_() for part in layer) for layer in state]
        logits, _ = model(tokens[len(tokens) - 1 - k : -1], state)
        functional.cross_entropy(logits[-1], tokens[-1], reduction="sum").backward()
        for number, layer in enumerate(state):
            gradients = torch.cat([part.grad for part in layer], 2)[0]
            np.testing.assert_allclose(
                result.norms[number, k - 1], gradients.norm(dim=1).numpy(), rtol=1e-9
            )


@pytest.mark.parametrize("radius", [1e-8, 1e8])
def test_norms_are_known_as_far_as_float64_reaches(radius: float) -> None:
    model = with_recurrent_weights(radius * orthogonal(), embedding=0.0)
    result = flow(model, columns_of(), 45)
    norms = result.norms[0, :36]  # to 1e±288 or so
    np.testing.assert_allclose(norms[1:] / norms[:-1], radius, rtol=1e-4)
    assert result.factors()[0] == pytest.approx(radius, rel=0.1)


def test_flow_leaves_the_model_as_it_was() -> None:
    model = untrained()
    flow(model, columns_of(), 5)
    assert model.output.bias.dtype == torch.float32
    assert all(parameter.grad is None for parameter in model.parameters())


def test_factors_are_those_of_a_fitted_line_and_skip_zeros() -> None:
    norms = np.array([[4.0, 2.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 4.0, np.inf, np.nan]])
    norms = norms[:, :, None]
    factors = Flow("x", "rnn", norms).factors()
    assert factors[0] == pytest.approx(0.5)
    assert np.isnan(factors[1])
    assert factors[2] == pytest.approx(4.0)


def test_windows_of_a_text_are_spread_over_it() -> None:
    ids = np.arange(1000) % 9 + 2
    ids[0] = EOS
    columns = windows(ids, 50, 4, per_line=False)
    assert columns.shape == (WARM_UP + 51, 4)
    np.testing.assert_array_equal(columns[:, 0], ids[: WARM_UP + 51])
    np.testing.assert_array_equal(columns[:, -1], ids[-WARM_UP - 51 :])
    assert windows(ids[:51], 50, 4, per_line=False).shape == (51, 1)


def test_windows_of_lines_are_their_beginnings() -> None:
    ids = np.array([0, 5, 6, 0, 2, 3, 4, 0, 7, 8, 9, 9, 0])
    columns = windows(ids, 3, 9, per_line=True)
    assert columns.T.tolist() == [[0, 5, 6, 0], [0, 2, 3, 4], [0, 7, 8, 9]]


@pytest.mark.parametrize(
    ("per_line", "said"), [(True, "no line .* longest has"), (False, "fewer than 9;")]
)
def test_a_text_that_is_too_short_is_refused(per_line: bool, said: str) -> None:
    with pytest.raises(TextError, match=f"{said}.*--steps"):
        windows(np.array([0, 5, 6, 0, 2, 3, 4, 0]), 9, 4, per_line=per_line)


@pytest.mark.parametrize("cell", CELLS)
def test_context_is_the_change_of_ln_p_as_an_embedding_grows(cell: str) -> None:
    checkpoint = random_checkpoint(cell, 2)
    model = network(checkpoint).double()
    ids = np.concatenate([[EOS], np.random.default_rng(4).integers(2, 12, 8)])
    position = 6
    strengths = context(model, ids, position)
    assert strengths.shape == (position,)
    np.testing.assert_allclose(
        context(network(checkpoint), ids, position), strengths, rtol=1e-3, atol=1e-4
    )
    tokens = torch.from_numpy(ids)[:, None]
    for place in range(position):
        sides = []
        for scale in (1 - 1e-5, 1 + 1e-5):
            vectors = model.embedding(tokens[:position]).detach()
            vectors[place] *= scale
            logits, _ = model.from_vectors(vectors, model.initial_state(1))
            sides.append(torch.log_softmax(logits[-1, 0], 0)[ids[position]].item())
        assert strengths[place] == pytest.approx(
            abs(sides[1] - sides[0]) / 2e-5, rel=1e-4, abs=1e-8
        )


def test_context_of_a_line_stays_within_it() -> None:
    model = network(random_checkpoint("gru", per_line=True))
    alone = context(model, np.array([0, 4, 5, 6]), 3)
    after_another = context(model, np.array([0, 7, 8, 0, 4, 5, 6]), 6)
    assert after_another[:3].tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(after_another[3:], alone)


def test_context_goes_back_only_so_far() -> None:
    model = network(random_checkpoint("rnn"))
    ids = np.concatenate([[EOS], np.random.default_rng(4).integers(2, 12, REACH + 20)])
    strengths = context(model, ids, REACH + 9)
    assert not strengths[:9].any()
    assert strengths[-1] > 0


@pytest.mark.parametrize("position", [0, -1, 4, 99])
def test_a_position_outside_the_text_is_refused(position: int) -> None:
    with pytest.raises(OptionError, match=f"position {position} is outside.*1 to 3"):
        context(untrained(), np.array([0, 4, 5, 6]), position)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_bearings_of_columns_are_those_of_each_alone(cell: str) -> None:
    model = untrained(cell)
    tokens, last = torch.from_numpy(columns_of(3, 7)), torch.tensor([6, 2, 4])
    targets = torch.tensor([2, 5, 9])
    together = bearings(model, tokens, model.initial_state(3), last, targets)
    assert together.shape == (7, 3)
    for k, end in enumerate(last.tolist()):
        column = torch.cat([tokens[: end + 1, k], targets[k : k + 1]]).numpy()
        np.testing.assert_allclose(together[: end + 1, k], context(model, column, end + 1), 1e-4)
        assert not together[end + 1 :, k].any()
