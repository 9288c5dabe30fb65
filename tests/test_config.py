"""Configurations refuse what cannot be used, and survive JSON."""

import dataclasses
import json
import math
from typing import Any

import pytest

from charlm.config import CELLS, ModelConfig, TrainConfig, field_types
from charlm.errors import OptionError

MODEL = {"vocabulary_size": 30}
TRAIN = {"steps": 5}


def refusal(cls: Any, **values: Any) -> str:
    with pytest.raises(OptionError) as caught:
        cls(**values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("cls", [ModelConfig, TrainConfig])
def test_every_field_has_a_help_text_and_a_type(cls: Any) -> None:
    for field in dataclasses.fields(cls):
        assert field.metadata["help"].endswith(".")
        assert field_types(field)[0] in (int, float, str, bool)


@pytest.mark.parametrize(("cls", "values"), [(ModelConfig, MODEL), (TrainConfig, TRAIN)])
def test_a_configuration_survives_json(cls: Any, values: dict[str, Any]) -> None:
    config = cls(**values)
    assert cls.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(("cls", "values"), [(ModelConfig, MODEL), (TrainConfig, TRAIN)])
def test_fields_missing_or_unknown_are_refused_by_name(cls: Any, values: dict[str, Any]) -> None:
    fields = cls(**values).to_json()
    with pytest.raises(OptionError, match="surprise"):
        cls.from_json({**fields, "surprise": 1})
    for name in fields:
        rest = {key: value for key, value in fields.items() if key != name}
        with pytest.raises(OptionError, match=name):
            cls.from_json(rest)


@pytest.mark.parametrize(("cls", "values"), [(ModelConfig, MODEL), (TrainConfig, TRAIN)])
def test_values_at_and_beyond_each_limit(cls: Any, values: dict[str, Any]) -> None:
    for field in dataclasses.fields(cls):
        for limit, bound in field.metadata["limits"].items():
            down = limit in ("minimum", "above")
            kind = field_types(field)[0]
            beyond = bound + (-1 if down else 1) * (1 if kind is int else 1e-3)
            inside = limit in ("minimum", "maximum")
            budget = {"steps": None} if field.name in ("minutes", "epochs") else {}
            message = refusal(cls, **{**values, **budget, field.name: kind(beyond)})
            assert "--" + field.name.replace("_", "-") in message
            if inside:
                cls(**{**values, **budget, field.name: kind(bound)})
            else:
                refusal(cls, **{**values, **budget, field.name: kind(bound)})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1", None, True])
def test_a_learning_rate_is_a_finite_number(value: Any) -> None:
    assert "--learning-rate" in refusal(TrainConfig, **TRAIN, learning_rate=value)


def test_an_int_serves_as_a_float_but_not_the_reverse() -> None:
    assert TrainConfig(steps=1, learning_rate=1).learning_rate == 1
    assert "--layers" in refusal(ModelConfig, **MODEL, layers=1.0)


def test_choices_are_named() -> None:
    assert all(cell in refusal(ModelConfig, **MODEL, cell="tree") for cell in CELLS)


@pytest.mark.parametrize("budget", [{}, {"steps": 1, "minutes": 1.0}, {"steps": 1, "epochs": 1.0}])
def test_exactly_one_budget(budget: dict[str, Any]) -> None:
    assert "exactly one budget" in refusal(TrainConfig, **budget)


def test_tied_weights_need_equal_sizes() -> None:
    message = refusal(ModelConfig, **MODEL, tie_weights=True, hidden_size=8, embedding_size=9)
    assert "8" in message
    assert "9" in message


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("tie_weights", [False, True])
def test_tying_saves_one_matrix(cell: str, tie_weights: bool) -> None:
    sizes = {"hidden_size": 6, "embedding_size": 6, "cell": cell}
    config = ModelConfig(10, tie_weights=tie_weights, **sizes)
    assert ("output.weight" in config.weight_shapes()) is not tie_weights
    assert ModelConfig(10, **sizes).parameters - config.parameters == 60 * tie_weights
