"""The plan keeps what the user chose, grows with the budget, and fits every text."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from conftest import fixed_machine
from hypothesis import given
from hypothesis import strategies as st

from charlm import planning
from charlm.config import CELLS
from charlm.corpus import Tokens
from charlm.errors import OptionError
from charlm.planning import (
    REMEMBERED,
    REMEMBERED_STEPS,
    TOKENS_PER_STEP,
    Machine,
    plan,
    tokens_per_second,
)
from charlm.tokenizers import EOS

CHOICES = {
    "cell": st.sampled_from(CELLS),
    "layers": st.integers(1, 4),
    "hidden_size": st.integers(1, 3_000),
    "embedding_size": st.integers(1, 3_000),
    "batch_size": st.integers(1, 2**20),
    "bptt": st.integers(1, 2**20),
    "learning_rate": st.floats(1e-6, 1),
    "weight_decay": st.floats(0, 1),
    "dropout": st.floats(0, 0.99),
    "clip": st.floats(1e-3, 10),
    "patience": st.integers(1, 99),
    "seed": st.integers(0, 99),
}
BUDGETS = st.one_of(
    st.fixed_dictionaries({}),
    st.fixed_dictionaries({"minutes": st.floats(1e-4, 1e6)}),
    st.fixed_dictionaries({"epochs": st.floats(1e-3, 1e4)}),
    st.fixed_dictionaries({"steps": st.integers(1, 10**9)}),
)


def text(events: int, line: int | None = None) -> Tokens:
    """A text of so many predictions, or of lines of so many characters."""
    ids = np.ones(events + 1, np.uint8)
    ids[0] = EOS
    if line is not None:
        ids[:: line + 1] = ids[-1] = EOS
    return Tokens(ids, events, events, per_line=line is not None)


@given(
    events=st.sampled_from([1, 2, 40, 3_000, 1_000_000]),
    line=st.sampled_from([None, 1, 20, 2_000]),
    vocabulary_size=st.sampled_from([3, 65, 2_001, 300_000]),
    rate=st.floats(1e6, 1e15),
    budget=BUDGETS,
    choices=st.fixed_dictionaries({}, optional=CHOICES),
)
def test_choices_are_kept_and_every_text_has_a_plan(
    events: int,
    line: int | None,
    vocabulary_size: int,
    rate: float,
    budget: dict[str, Any],
    choices: dict[str, Any],
) -> None:
    machine = Machine("cpu", "bfloat16", 3, rate)
    tokens = text(events, line)
    model, config = plan(tokens, vocabulary_size, machine, {**budget, **choices, "layers": None})
    model_again, _ = plan(tokens, vocabulary_size, machine, {**budget, **choices})
    made = {**config.to_json(), **model_again.to_json()}
    assert {name: made[name] for name in choices} == choices
    assert {name: made[name] for name in budget} == budget
    assert (made["precision"], made["threads"]) == ("bfloat16", 3)
    assert model.vocabulary_size == vocabulary_size
    assert model.per_line is (line is not None)
    assert tokens_per_second(model, machine) > 0


@pytest.mark.parametrize("tie_weights", [False, True])
@pytest.mark.parametrize("vocabulary_size", [30, 20_000])
@pytest.mark.parametrize("sizes", [{}, {"hidden_size": 50}, {"embedding_size": 70}])
def test_tying_is_the_users_choice(
    tie_weights: bool, vocabulary_size: int, sizes: dict[str, int]
) -> None:
    chosen = {"tie_weights": tie_weights, **sizes}
    model, _ = plan(text(100_000), vocabulary_size, fixed_machine(), chosen)
    assert model.tie_weights is tie_weights
    assert {name: getattr(model, name) for name in sizes} == sizes


def test_choices_that_contradict_one_another_are_named() -> None:
    chosen = {"tie_weights": True, "hidden_size": 50, "embedding_size": 70}
    with pytest.raises(OptionError, match="--tie-weights"):
        plan(text(1_000), 30, fixed_machine(), chosen)


@pytest.mark.parametrize("budget", ["minutes", "epochs", "steps"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("line", [None, 30])
def test_models_grow_with_the_budget(budget: str, cell: str, line: int | None) -> None:
    made = []
    for amount in (1, 4, 16, 64, 256):
        chosen = {budget: amount * (100 if budget == "steps" else 1), "cell": cell}
        model, _ = plan(text(2_000_000, line), 65, fixed_machine(), chosen)
        made.append(model.parameters)
    assert made == sorted(made)
    assert made[0] < made[-1]


def test_a_faster_machine_trains_a_larger_model() -> None:
    slow, fast = (
        plan(text(2_000_000), 65, Machine("cpu", "float32", 1, rate), {})[0].parameters
        for rate in (1e10, 1e13)
    )
    assert slow < fast


def test_a_short_text_has_a_small_model_and_much_dropout() -> None:
    (small, regular), (large, plain) = (
        plan(text(events), 65, fixed_machine(), {"minutes": 10.0}) for events in (3_000, 30_000_000)
    )
    assert small.parameters < large.parameters
    assert regular.dropout > plain.dropout
    assert regular.weight_decay > plain.weight_decay


def test_windows_are_small_where_few_tokens_are_seen() -> None:
    few = ({"epochs": 1.9}, {"steps": 3_000}, {"minutes": 1.0})
    many = ({"epochs": 2.1}, {"steps": 4_000}, {"minutes": 9.0})
    for chosen in few:
        _, config = plan(text(2_000_000), 65, fixed_machine(), chosen)
        assert config.batch_size * config.bptt == TOKENS_PER_STEP
    for chosen in many:
        _, config = plan(text(2_000_000), 65, fixed_machine(), chosen)
        assert config.batch_size * config.bptt > TOKENS_PER_STEP


def remembered(events: int, line: int | None, **chosen: Any) -> tuple[float, float]:
    """Over how many steps and passes the plan's weights are averages."""
    _, config = plan(text(events, line), 65, fixed_machine(), chosen)
    steps = 1 / (config.learning_rate * config.weight_decay)
    length = config.bptt if line is None else line + 1
    return steps, steps * config.batch_size * length / events


@pytest.mark.parametrize("line", [None, 25])
@pytest.mark.parametrize("events", [4_000_000, 8_000_000])
def test_weights_are_averages_over_as_many_passes_whatever_the_text(
    events: int, line: int | None
) -> None:
    for chosen in ({}, {"learning_rate": 0.005}, {"batch_size": 64}):
        _, passes = remembered(events, line, **{"minutes": 3.0, **chosen})
        assert passes == pytest.approx(REMEMBERED, rel=0.1)


@pytest.mark.parametrize("line", [None, 25])
def test_what_is_not_learned_by_heart_is_averaged_over_more_steps(line: int | None) -> None:
    seldom, often, always = (remembered(300_000, line, epochs=epochs) for epochs in (0.2, 20, 500))
    assert seldom[0] == pytest.approx(REMEMBERED_STEPS, rel=0.1)
    assert seldom[1] > often[1] >= always[1]
    assert always[1] == pytest.approx(REMEMBERED, rel=0.1)


# The machine


@pytest.mark.parametrize(("bfloat16", "expected"), [(3.0, "bfloat16"), (0.2, "float32")])
def test_precision_is_what_a_probe_finds_faster(
    bfloat16: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = {"torch.float32": 1e9, "torch.bfloat16": bfloat16 * 1e9}
    monkeypatch.setattr(planning, "_product_rate", lambda _, dtype: rates[str(dtype)])
    monkeypatch.setattr(planning, "has_bfloat16", lambda _: True)
    found = Machine.probe(device="cpu", threads=1)
    assert (found.device, found.precision) == ("cpu", expected)
    assert found.rate == rates[f"torch.{expected}"]
    for precision in ("float32", "bfloat16"):
        chosen = Machine.probe("cpu", precision, threads=1)
        assert chosen.precision == precision
        assert chosen.rate == rates[f"torch.{precision}"]


def test_the_probe_measures_something() -> None:
    found = Machine.probe(device="cpu", threads=1)
    assert found.rate > 0
    assert found.threads == 1


@pytest.mark.parametrize(("second", "timings"), [(1e-6, 8), (1.0, 2)])
def test_a_product_that_would_take_seconds_is_timed_in_a_few_rows(
    second: float, timings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0, second)
    monkeypatch.setattr(planning.time, "perf_counter", lambda: next(clock))
    assert planning._product_rate(torch.device("cpu"), torch.float32) > 0
    assert next(clock) == pytest.approx(2 * timings * second)


def test_systems_that_do_not_say_which_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    assert planning._cores() >= 1
