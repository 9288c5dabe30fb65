"""The seven cells: each equals its equation in float64, its gradient, its NumPy step, itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import TINY, corpus_of, fixed_machine, random_checkpoint
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from charlm import training
from charlm.bulk import TorchEngine
from charlm.cells import CELL_CLASSES
from charlm.checkpoint import load, save
from charlm.config import CELLS, ModelConfig
from charlm.inference import NumpyEngine
from charlm.model import LanguageModel
from charlm.run import begin, resume

Exact = npt.NDArray[np.float64]
TIME, BATCH, INPUT, HIDDEN = 6, 3, 4, 5
every_cell = pytest.mark.parametrize("cell", CELLS)
scanned = pytest.mark.parametrize(
    "cell", ["gru-simple", "gru-reset-before", "gru", "lstm-peephole"]
)


def σ(z: Exact) -> Exact:
    return 1 / (1 + np.exp(-z))


class Equations:
    """The course's equations for one step and one example, one matrix W for [a or c, x] a gate."""

    def __init__(self, layer: nn.Module) -> None:
        def array(name: str) -> Exact:
            return layer.get_parameter(name).detach().double().numpy()

        both = np.hstack([array("weight_hh_l0"), array("weight_ih_l0")])
        self.W = both.reshape(-1, HIDDEN, HIDDEN + INPUT)
        self.b = (array("bias_hh_l0") + array("bias_ih_l0")).reshape(-1, HIDDEN)
        self.b_x = array("bias_ih_l0").reshape(-1, HIDDEN)[-1]
        self.b_c = array("bias_hh_l0").reshape(-1, HIDDEN)[-1]
        if hasattr(layer, "weight_ch_l0"):
            self.p = [np.diag(row) for row in array("weight_ch_l0")]

    def rnn(self, a: Exact, x: Exact) -> Exact:
        return np.tanh(self.W[0] @ np.concatenate([a, x]) + self.b[0])

    def rnn_relu(self, a: Exact, x: Exact) -> Exact:
        return np.maximum(0, self.W[0] @ np.concatenate([a, x]) + self.b[0])

    def gru_simple(self, c: Exact, x: Exact) -> Exact:
        Γ_u = σ(self.W[0] @ np.concatenate([c, x]) + self.b[0])
        c̃ = np.tanh(self.W[1] @ np.concatenate([c, x]) + self.b[1])
        return Γ_u * c̃ + (1 - Γ_u) * c

    def gru_reset_before(self, c: Exact, x: Exact) -> Exact:
        Γ_r = σ(self.W[0] @ np.concatenate([c, x]) + self.b[0])
        Γ_u = σ(self.W[1] @ np.concatenate([c, x]) + self.b[1])
        c̃ = np.tanh(self.W[2] @ np.concatenate([Γ_r * c, x]) + self.b[2])
        return Γ_u * c̃ + (1 - Γ_u) * c

    def gru(self, c: Exact, x: Exact) -> Exact:
        Γ_r = σ(self.W[0] @ np.concatenate([c, x]) + self.b[0])
        Γ_u = 1 - σ(self.W[1] @ np.concatenate([c, x]) + self.b[1])
        of_c, of_x = self.W[2][:, :HIDDEN], self.W[2][:, HIDDEN:]
        c̃ = np.tanh(of_x @ x + self.b_x + Γ_r * (of_c @ c + self.b_c))
        return Γ_u * c̃ + (1 - Γ_u) * c

    def lstm(self, a: Exact, c: Exact, x: Exact) -> tuple[Exact, Exact]:
        Γ_u, Γ_f, z_c, Γ_o = self.W @ np.concatenate([a, x]) + self.b
        c = σ(Γ_u) * np.tanh(z_c) + σ(Γ_f) * c
        return σ(Γ_o) * np.tanh(c), c

    def lstm_peephole(self, a: Exact, c: Exact, x: Exact) -> tuple[Exact, Exact]:
        z_u, z_f, z_c, z_o = self.W @ np.concatenate([a, x]) + self.b
        Γ_u, Γ_f, Γ_o = σ(z_u + self.p[0] @ c), σ(z_f + self.p[1] @ c), σ(z_o + self.p[2] @ c)
        c = Γ_u * np.tanh(z_c) + Γ_f * c
        return Γ_o * np.tanh(c), c

    def run(self, cell: str, inputs: Exact, state: tuple[Exact, ...]) -> tuple[Exact, Exact]:
        """One example: (time, input) and the state → what every step shows, the last state."""
        step: Callable[..., Exact | tuple[Exact, ...]] = getattr(self, cell.replace("-", "_"))
        shown = []
        for x in inputs:
            after = step(*state, x)
            state = after if isinstance(after, tuple) else (after,)
            shown.append(state[0])
        return np.array(shown), np.array(state)


def layer_of(cell: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layer = CELL_CLASSES[cell](INPUT, HIDDEN)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.8)
    return layer


def inputs_of(cell: str) -> tuple[Tensor, tuple[Tensor, ...]]:
    parts = 2 if cell.startswith("lstm") else 1
    inputs = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    return inputs, tuple(torch.randn(1, BATCH, HIDDEN, dtype=torch.float64) for _ in range(parts))


def run_layer(layer: nn.Module, inputs: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """What every step shows (time, batch, hidden), and the last state (parts, batch, hidden)."""
    shown, last = layer(inputs, state if len(state) > 1 else state[0])
    return shown, torch.cat(last if isinstance(last, tuple) else (last,))


@every_cell
def test_equals_its_equation_in_float64(cell: str) -> None:
    layer = layer_of(cell).double()
    inputs, state = inputs_of(cell)
    shown, last = run_layer(layer, inputs, state)
    for k in range(BATCH):
        expected, expected_last = Equations(layer).run(
            cell, inputs[:, k].numpy(), tuple(part[0, k].numpy() for part in state)
        )
        np.testing.assert_allclose(shown[:, k].detach().numpy(), expected, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(
            last[:, k].detach().numpy(), expected_last, rtol=1e-12, atol=1e-13
        )


@every_cell
def test_gradients_equal_numerical_ones(cell: str) -> None:
    layer = layer_of(cell).double()
    inputs, state = inputs_of(cell)
    names = [name for name, _ in layer.named_parameters()]

    def outputs(*values: Tensor) -> tuple[Tensor, Tensor]:
        weights = dict(zip(names, values[1 + len(state) :], strict=True))
        before = values[1] if len(state) == 1 else (values[1], values[2])
        shown, last = torch.func.functional_call(layer, weights, (values[0], before))
        return shown, torch.cat(last if isinstance(last, tuple) else (last,))

    values = (inputs, *state, *layer.parameters())
    values = tuple(value.detach().clone().requires_grad_() for value in values)
    assert torch.autograd.gradcheck(outputs, values)


def gradients(layer: nn.Module, inputs: Tensor, state: tuple[Tensor, ...]) -> list[Tensor]:
    layer.zero_grad()
    shown, last = run_layer(layer, inputs, state)
    (shown.float().square().sum() + last.float().sum()).backward()
    return [
        parameter.grad.clone() for parameter in layer.parameters() if parameter.grad is not None
    ]


@pytest.mark.parametrize("cell", ["rnn", "rnn-relu", "gru", "lstm"])
def test_in_another_dtype_a_cell_is_itself_with_its_weights_cast(cell: str) -> None:
    """What a GPU does under autocast; in float64 nothing is lost by it."""
    layer, exact = layer_of(cell), layer_of(cell).double()
    inputs, state = inputs_of(cell)
    before = state if len(state) > 1 else state[0]
    shown, last = layer._in(torch.float64, inputs, before)  # type: ignore[operator]
    expected, expected_last = run_layer(exact, inputs, state)
    torch.testing.assert_close(shown, expected)
    torch.testing.assert_close(torch.cat(last if len(state) > 1 else (last,)), expected_last)
    for output in (shown, expected):
        output.square().sum().backward()
    for weight, other in zip(layer.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, other.grad, check_dtype=False)


def test_gru_equals_torchs_own() -> None:
    layer, own = layer_of("gru").double(), nn.GRU(INPUT, HIDDEN).double()
    own.load_state_dict(layer.state_dict())
    inputs, state = inputs_of("gru")
    for a, b in zip(run_layer(layer, inputs, state), run_layer(own, inputs, state), strict=True):
        torch.testing.assert_close(a, b)
    for a, b in zip(gradients(layer, inputs, state), gradients(own, inputs, state), strict=True):
        torch.testing.assert_close(a, b)


def test_closed_peepholes_leave_an_lstm() -> None:
    layer, own = layer_of("lstm-peephole").double(), nn.LSTM(INPUT, HIDDEN).double()
    nn.init.zeros_(layer.get_parameter("weight_ch_l0"))
    own.load_state_dict({k: v for k, v in layer.state_dict().items() if "ch" not in k})
    inputs, state = inputs_of("lstm")
    for a, b in zip(run_layer(layer, inputs, state), run_layer(own, inputs, state), strict=True):
        torch.testing.assert_close(a, b)


@scanned
def test_autocast_rounds_products_but_neither_states_nor_gradients(cell: str) -> None:
    layer = layer_of(cell)
    inputs, state = inputs_of(cell)
    single, before = inputs.float(), tuple(part.float() for part in state)
    exact = gradients(layer, single, before)
    with torch.autocast("cpu", torch.bfloat16):
        shown, last = run_layer(layer, single, before)
        rounded = gradients(layer, single, before)
    assert shown.dtype == last.dtype == torch.float32
    torch.testing.assert_close(shown, run_layer(layer, single, before)[0], rtol=0, atol=0.05)
    for a, b in zip(rounded, exact, strict=True):
        assert a.dtype == torch.float32
        assert (a - b).norm() < 0.05 * b.norm()


class Products(TorchDispatchMode):
    """Notes over how many rows each matrix product sums."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        if func is torch.ops.aten.mm.default:
            self.rows.append(args[0].shape[1])
        return func(*args, **(kwargs or {}))


@scanned
def test_weights_gradients_of_all_steps_are_one_product_a_matrix(cell: str) -> None:
    layer = layer_of(cell)
    inputs, state = inputs_of(cell)
    shown, _ = run_layer(layer, inputs.float(), tuple(part.float() for part in state))
    with Products() as products:
        shown.sum().backward()
    # W_ih, and W_hh: two where its gates and its candidate are multiplied by different vectors
    matrices = 3 if cell == "gru-reset-before" else 2
    assert products.rows.count(TIME * BATCH) == matrices
    assert products.rows.count(BATCH) == 0


@every_cell
@pytest.mark.parametrize(("layers", "tied"), [(1, False), (2, True)])
def test_numpy_equals_torch(cell: str, layers: int, tied: bool) -> None:
    checkpoint = random_checkpoint(cell, layers, tie_weights=tied)
    if cell == "rnn-relu":  # else it explodes
        for k in range(layers):
            checkpoint.weights[f"rnn.weight_hh_l{k}"][:] /= 4
    one = NumpyEngine(checkpoint.model, checkpoint.weights)
    two = TorchEngine.of(checkpoint.model, checkpoint.weights)
    draw = np.random.default_rng(1)
    tokens, targets = draw.integers(0, checkpoint.model.vocabulary_size, (2, 40, 3))
    nats_one, state_one = one.nats(tokens, targets, one.initial_state(3))
    nats_two, state_two = two.nats(tokens, targets, two.initial_state(3))
    np.testing.assert_allclose(nats_one, nats_two, atol=1e-5)
    for layer_one, layer_two in zip(state_one, state_two, strict=True):
        assert len(layer_one) == checkpoint.model.state_parts
        for part_one, part_two in zip(layer_one, layer_two, strict=True):
            np.testing.assert_allclose(part_one, part_two, atol=1e-5)


@every_cell
def test_a_whole_sequence_equals_its_chunks(cell: str) -> None:
    checkpoint = random_checkpoint(cell, 2)
    tokens = np.random.default_rng(2).integers(0, checkpoint.model.vocabulary_size, (30, 2))
    for engine in (
        NumpyEngine(checkpoint.model, checkpoint.weights),
        TorchEngine.of(checkpoint.model, checkpoint.weights),
    ):
        whole, _ = engine.logits(tokens, engine.initial_state(2))
        first, state = engine.logits(tokens[:13], engine.initial_state(2))
        second, _ = engine.logits(tokens[13:], state)
        np.testing.assert_allclose(np.concatenate([first, second]), whole, atol=1e-5)


@every_cell
def test_parameters_are_those_of_the_configuration(cell: str) -> None:
    config = ModelConfig(vocabulary_size=9, cell=cell, layers=2, hidden_size=6, embedding_size=4)
    model = LanguageModel(config)
    shapes = {name: tuple(weight.shape) for name, weight in model.named_weights().items()}
    assert shapes == config.weight_shapes()
    assert config.parameters == sum(weight.numel() for weight in model.parameters())


@every_cell
def test_a_cell_begins_well(cell: str) -> None:
    torch.manual_seed(0)
    model = LanguageModel(ModelConfig(vocabulary_size=9, cell=cell, hidden_size=6))
    weights = model.named_weights()
    identity = torch.eye(6)
    for gate in torch.split(weights["rnn.weight_hh_l0"], 6):
        torch.testing.assert_close(gate @ gate.T, identity, rtol=0, atol=1e-5)
    if cell == "rnn-relu":
        assert torch.equal(weights["rnn.weight_hh_l0"], identity)
    forget = weights["rnn.bias_ih_l0"][6:12]
    assert forget.eq(1 if cell.startswith("lstm") else 0).all()


@every_cell
def test_trains_is_saved_loaded_and_resumed(
    cell: str, cat_text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)  # a record after every step
    rate = 0.003 if cell == "rnn-relu" else 0.01  # the identity sums all it has seen: it jumps
    corpus, chosen = corpus_of(cat_text), {"cell": cell, "steps": 40, "learning_rate": rate}
    whole = begin(corpus, fixed_machine(), TINY | chosen)
    nats = [progress.train_nats for progress in whole.training.run()]
    assert nats[-1] < 0.9 * max(nats)

    half = begin(corpus, fixed_machine(), TINY | chosen)
    for progress in half.training.run():
        if progress.step == 7:
            half.training.stop()
    path = tmp_path / "half.safetensors"
    save(path, half.checkpoint())
    resumed = resume(load(path), corpus, fixed_machine(), {})
    assert next(iter([progress.step for progress in resumed.training.run()])) == 8
    save(path, resumed.checkpoint())
    for name, weight in whole.training.result().items():
        np.testing.assert_array_equal(load(path).weights[name], weight)
