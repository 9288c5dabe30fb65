"""The network computes what its equations say; its weights are laid out as torch.nn's."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from charlm.config import CELLS, ModelConfig
from charlm.model import LanguageModel

every_cell = pytest.mark.parametrize("cell", CELLS)
both_ties = pytest.mark.parametrize("tie_weights", [False, True])


def make(cell: str = "lstm", layers: int = 2, tie_weights: bool = False) -> LanguageModel:
    torch.manual_seed(1)
    embedding = 12 if tie_weights else 7
    config = ModelConfig(
        20, cell, layers, hidden_size=12, embedding_size=embedding, tie_weights=tie_weights
    )
    return LanguageModel(config)


def tokens_of(steps: int, batch: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 20, (steps, batch)))


@every_cell
@given(cuts=st.sets(st.integers(1, 23), max_size=6), seed=st.integers(0, 99))
def test_a_whole_sequence_equals_its_chunks(cell: str, cuts: set[int], seed: int) -> None:
    model, tokens = make(cell), tokens_of(24, 3, seed)
    with torch.no_grad():
        whole, last = model(tokens, model.initial_state(3))
        state, parts = model.initial_state(3), []
        for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), 24], strict=True):
            logits, state = model(tokens[begin:end], state)
            parts.append(logits)
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-6, rtol=1e-5)
    for layer, expected in zip(state, last, strict=True):
        torch.testing.assert_close(layer, expected, atol=1e-6, rtol=1e-5)


@every_cell
def test_streams_of_a_batch_do_not_see_one_another(cell: str) -> None:
    model, tokens = make(cell), tokens_of(9, 4)
    together, _ = model(tokens, model.initial_state(4))
    alone, _ = model(tokens[:, 2:3], model.initial_state(1))
    torch.testing.assert_close(together[:, 2:3], alone, atol=1e-6, rtol=0)


@every_cell
@both_ties
def test_weights_have_the_names_and_shapes_that_the_configuration_says(
    cell: str, tie_weights: bool
) -> None:
    model = make(cell, 3, tie_weights)
    shapes = {name: tuple(weight.shape) for name, weight in model.named_weights().items()}
    assert shapes == model.config.weight_shapes()
    assert sum(weight.numel() for weight in model.parameters()) == model.config.parameters


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_weights_are_those_of_a_stacked_module_of_torch(cell: str) -> None:
    model, tokens = make(cell, 3), tokens_of(11, 2)
    module = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[cell](7, 12, num_layers=3)
    module.load_state_dict(
        {
            name.removeprefix("rnn."): weight
            for name, weight in model.named_weights().items()
            if name.startswith("rnn.")
        }
    )
    hidden, _ = module(model.embedding(tokens))
    logits, _ = model(tokens, model.initial_state(2))
    torch.testing.assert_close(model.output(hidden), logits, atol=1e-6, rtol=0)


@every_cell
@both_ties
def test_loaded_weights_give_the_same_logits(cell: str, tie_weights: bool) -> None:
    model, other = make(cell, 2, tie_weights), make(cell, 2, tie_weights)
    for parameter in other.parameters():
        nn.init.normal_(parameter)
    other.load_weights(
        {name: weight.detach().numpy() for name, weight in model.named_weights().items()}
    )
    tokens = tokens_of(8, 2)
    expected, _ = model(tokens, model.initial_state(2))
    assert torch.equal(other(tokens, other.initial_state(2))[0], expected)


@both_ties
def test_tied_weights_are_one_tensor(tie_weights: bool) -> None:
    model = make(tie_weights=tie_weights)
    assert (model.output.weight is model.embedding.weight) is tie_weights
    assert ("output.weight" in model.named_weights()) is not tie_weights


def test_the_forget_gate_starts_open() -> None:
    for name, weight in make("lstm").named_weights().items():
        if name.startswith("rnn.bias"):
            forget = weight[12:24]
            assert (forget == (1.0 if "bias_ih" in name else 0.0)).all()
            assert not torch.cat([weight[:12], weight[24:]]).any()


@every_cell
def test_recurrent_weights_start_orthogonal_gate_by_gate(cell: str) -> None:
    named = make(cell).named_weights()
    matrices = [weight for name, weight in named.items() if name.startswith("rnn.weight_hh")]
    assert matrices
    for matrix in matrices:
        for gate in matrix.detach().split(12):
            torch.testing.assert_close(gate @ gate.T, torch.eye(12), atol=1e-5, rtol=0)


# Dropout


@every_cell
def test_dropout_has_one_mask_for_all_steps(cell: str) -> None:
    model = make(cell, layers=1).requires_grad_(False)
    masks = [torch.ones(2, 12)]
    masks[0][:, 4] = 0.0
    model.output.weight.zero_()
    model.output.weight[0, 4] = 1.0
    model.output.weight[1] = 1.0
    logits, _ = model(tokens_of(6, 2), model.initial_state(2), masks)
    assert (logits[:, :, 0] == 0).all()
    assert (logits[:, :, 1] != 0).all()


def test_dropout_masks_keep_the_mean() -> None:
    model = make(layers=2)
    masks = model.dropout_masks(4_000, 0.4, torch.Generator().manual_seed(1))
    assert len(masks) == 2
    for mask in masks:
        assert mask.shape == (4_000, 12)
        assert mask.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
        assert float(mask.mean()) == pytest.approx(1.0, abs=0.02)
    assert not torch.equal(*masks)


def test_dropout_leaves_the_carried_state_whole() -> None:
    model, tokens = make(layers=1), tokens_of(5, 2)
    masks = [torch.zeros(2, 12)]
    _, dropped = model(tokens, model.initial_state(2), masks)
    _, whole = model(tokens, model.initial_state(2))
    assert all(torch.equal(a, b) for a, b in zip(dropped[0], whole[0], strict=True))


# Gradients


@every_cell
@both_ties
def test_gradients_equal_numeric_differences(cell: str, tie_weights: bool) -> None:
    model, tokens = make(cell, 2, tie_weights).double(), tokens_of(6, 3)
    masks = model.dropout_masks(3, 0.3, torch.Generator().manual_seed(2))
    masks = [mask.double() for mask in masks]

    def loss() -> torch.Tensor:
        logits, _ = model(tokens[:-1], model.initial_state(3), masks)
        return functional.cross_entropy(logits.flatten(0, 1), tokens[1:].flatten())

    loss().backward()  # type: ignore[no-untyped-call]
    draw = np.random.default_rng(3)
    for name, parameter in model.named_weights().items():
        assert parameter.grad is not None
        values, gradient = parameter.detach().view(-1), parameter.grad.view(-1)
        for k in draw.integers(0, len(values), 3):
            value, step = float(values[k]), 1e-5
            with torch.no_grad():
                values[k] = value + step
                above = float(loss())
                values[k] = value - step
                below = float(loss())
                values[k] = value
            numeric = (above - below) / (2 * step)
            assert float(gradient[k]) == pytest.approx(numeric, abs=1e-8, rel=1e-5), name


@every_cell
@both_ties
def test_what_is_expected_is_what_a_model_without_context_predicts(
    cell: str, tie_weights: bool
) -> None:
    model = make(cell, tie_weights=tie_weights)
    frequencies = np.random.default_rng(1).dirichlet(np.ones(20))
    model.expect(frequencies)
    logits = model.output(torch.zeros(1, 12))
    assert logits.softmax(-1)[0].tolist() == pytest.approx(frequencies, rel=1e-5)
