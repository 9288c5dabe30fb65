"""Clipping as a training's log tells of it: hand-made logs, and what is none."""

import json

import pytest

from charlm.clipping import clipping_of
from charlm.errors import TextError


def log_of(*records: tuple[int, float, float]) -> list[str]:
    names = ("steps", "gradient_norm", "clipped")
    return [json.dumps(dict(zip(names, record, strict=True))) for record in records]


def test_a_log_counts_its_records_by_their_steps() -> None:
    clipping = clipping_of(log_of((10, 3.0, 0.5), (30, 1.0, 0.1), (10, 2.0, 0.0)), "log")
    assert clipping.steps.tolist() == [10, 30, 10]
    assert clipping.clipped == pytest.approx((5 + 3) / 50)
    assert clipping.quantiles([0.1, 0.5, 0.6, 0.7, 1.0]) == [1.0, 1.0, 1.0, 2.0, 3.0]


def test_a_validation_after_which_no_step_was_made_counts_for_nothing() -> None:
    clipping = clipping_of(log_of((10, 3.0, 0.5), (0, 3.0, 0.5), (5, 1.0, 0.2)), "log")
    assert clipping.clipped == pytest.approx(6 / 15)
    assert clipping.quantiles([0.3, 0.4, 1.0]) == [1.0, 3.0, 3.0]


@pytest.mark.parametrize("line", ["[]", "1", "step 3"])
def test_what_is_no_log_is_refused_by_its_line(line: str) -> None:
    with pytest.raises(TextError, match=r"run\.jsonl: line 2 is no record"):
        clipping_of([*log_of((1, 1.0, 0.0)), line], "run.jsonl")


def test_what_is_nested_too_deep_is_refused_by_its_line() -> None:
    with pytest.raises(TextError, match=r"run\.jsonl: line 1 is no record"):
        clipping_of(["[" * 100_000], "run.jsonl")


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ('{"steps": 1}', "gradient_norm"),
        ('{"step": 1, "gradient_norm": 1, "clipped": 0}', "steps"),
        ('{"steps": null}', "steps"),
        ('{"steps": 1, "gradient_norm": null, "clipped": 0}', "gradient_norm"),
    ],
)
def test_a_record_without_its_figures_is_refused_by_its_line(line: str, missing: str) -> None:
    with pytest.raises(TextError, match=rf"run\.jsonl: line 2: there is no '{missing}'"):
        clipping_of([*log_of((1, 1.0, 0.0)), line], "run.jsonl")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
def test_what_is_not_finite_is_refused_by_its_line(value: float) -> None:
    with pytest.raises(TextError, match=r"line 2: 'gradient_norm' is (nan|inf|10+), not"):
        clipping_of(log_of((1, 1.0, 0.0), (2, value, 0.0)), "run.jsonl")


def test_empty_lines_of_a_log_are_left_out() -> None:
    assert clipping_of(["", *log_of((10, 3.0, 0.5)), " \n"], "log").steps.tolist() == [10]


def test_an_empty_log_is_refused() -> None:
    with pytest.raises(TextError, match="there are no records"):
        clipping_of([], "log")
