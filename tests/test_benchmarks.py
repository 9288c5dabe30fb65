"""Every benchmark runs, with tiny sizes; what it measures is not judged here.

The grid of defaults, the results' files and what happens when a benchmark breaks off are held to
what they promise.
"""

import dataclasses
import json
import math
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import cat_sentences

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import __main__ as program  # noqa: E402
from benchmarks import (  # noqa: E402
    child,
    commands,
    defaults,
    gpu,
    growth,
    memory_growth,
    quality,
    reading,
    results,
    sampling_growth,
    texts,
    time_growth,
)
from benchmarks.harness import (  # noqa: E402
    NO_BFLOAT16,
    NOT_MEASURED,
    SHAKESPEARE,
    Row,
    Spread,
    alternate,
    markdown,
    not_measured,
)
from charlm.devices import has_bfloat16  # noqa: E402

needs_corpora = pytest.mark.skipif(
    not SHAKESPEARE.exists(), reason="needs ../shared/corpora beside the project"
)


@pytest.fixture
def cats(tmp_path: Path) -> Path:
    path = tmp_path / "cats.txt"
    path.write_text("".join(f"{sentence}\n" for sentence in cat_sentences(300)))
    return path


def sound(rows: Iterable[Row]) -> list[Row]:
    """The rows, each with a figure; a tiny task less a program's start may be below zero."""
    found = list(rows)
    assert found
    for row in found:
        if row.measured.endswith(NO_BFLOAT16):
            assert not has_bfloat16("cpu")
            continue
        assert not row.measured.startswith(NOT_MEASURED), row
        assert row.ratio is None or math.isfinite(row.ratio)
        assert len(row.cells()) == 7
    return found


def test_alternate_takes_turns_and_leaves_the_first_round_out() -> None:
    order: list[str] = []

    def step(name: str) -> float:
        order.append(name)
        return float(len(order))

    first, second = alternate(2, lambda: step("a"), lambda: step("b"))
    assert order == ["a", "b"] * 3
    assert (first, second) == (Spread(3, 4, 5), Spread(4, 5, 6))


def test_a_row_without_a_measurement_says_so() -> None:
    row = not_measured("speed", "m/s", "3", "there is no GPU here")
    assert row.cells()[-3:] == ["not measured: there is no GPU here", "–", "–"]


def test_all_short_benchmarks_together_stay_within_half_an_hour() -> None:
    assert sum(program.SHORT.values()) <= 28


@pytest.mark.parametrize(
    ("name", "function"),
    [(name, "run") for name in program.SHORT] + [(name, "run_long") for name in program.LONG],
)
def test_every_benchmark_that_is_listed_exists(name: str, function: str) -> None:
    import importlib

    assert callable(getattr(importlib.import_module(f"benchmarks.{name}"), function))


def test_training_benchmark() -> None:
    from benchmarks import training

    share, *against = sound(training.run(hidden=16, runs=1, least=0.0))
    assert "share of the product rate" in share.what
    assert [row.what.split(",")[0] for row in against] == [
        "training 1 × 16 LSTM",
        "training 2 × 16 LSTM",
        "training 1 × 16 GRU",
    ]


def test_operations_are_those_of_the_products() -> None:
    from benchmarks.trainer import network, operations

    assert operations(network("lstm", 1, 16)) == 2 * (4 * 16 * (64 + 16) + 67 * 16)
    assert operations(network("gru", 2, 16)) == 2 * (3 * 16 * (64 + 16 + 16 + 16) + 67 * 16)
    point = {"hidden": 32, "layers": 3, "batch": 5, "bptt": 7}
    assert memory_growth._work(point) == 3 * operations(network("lstm", 3, 32)) * 5 * 7


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_both_ways_of_a_product_are_measured(precision: str) -> None:
    from benchmarks.products import best, ways

    rates = ways(32, 16, 48, precision, times=1)
    assert 1 <= len(rates) <= 2
    spreads = [Spread.of([rate()]) for rate in rates]
    assert best(spreads).median == max(spread.median for spread in spreads) > 0


def test_the_packed_product_is_the_same_product() -> None:
    import torch

    from benchmarks.products import _packed

    left, weight = torch.randn(8, 16), torch.randn(24, 16)
    packed = _packed(left, weight)
    if packed is None:
        pytest.skip("this torch has no oneDNN")
    with torch.inference_mode():
        torch.testing.assert_close(packed(), left @ weight.T)


def test_sampling_benchmark() -> None:
    from benchmarks import sampling
    from benchmarks.trainer import network

    assert len(sound(sampling.run(network("lstm", 2, 16), count=3, runs=1))) == 3


def test_scoring_benchmark() -> None:
    from benchmarks import scoring

    rows = sound(scoring.run(hidden=16, events=2_000, lines=2_000, runs=1))
    assert [row.unit for row in rows] == ["tokens/s"] * 4


def test_latency_benchmark() -> None:
    from benchmarks import latency

    assert len(sound(latency.run(runs=1))) == 4


def test_reading_benchmark() -> None:
    rows = sound(reading.run(size=300_000, runs=1))
    assert [row.unit for row in rows] == ["MB/s", "MB", "MB/s", "MB", "s", "MB"]


def test_made_texts_have_the_size_asked_for_and_do_not_repeat_exactly(tmp_path: Path) -> None:
    whole = len(texts.ELSEWHERE if not SHAKESPEARE.exists() else SHAKESPEARE.read_text())
    text = texts.make_text(tmp_path / "long.txt", 3 * whole + 5).read_bytes()
    assert len(text) == 3 * whole + 5
    assert text[:whole] != text[whole : 2 * whole]
    assert sorted(set(text[:whole])) == sorted(set(text[whole : 2 * whole]))


@needs_corpora
def test_quality_benchmark_names_the_goals_of_long_runs() -> None:
    rows = list(quality.run(minutes=0.05, shortest=0.05, seeds=1))
    assert len(sound(rows[:5])) == 5
    assert "until 1.8857 nats" in rows[4].what
    assert [row.goal for row in rows[5:]] == ["1.4 within 600 s", "1.28"]


def curve(costs: list[float], work: list[float]) -> growth.Curve:
    spreads = [Spread.of([cost]) for cost in costs]
    return growth.Curve("time", "s", "size", [1, 2, 4], spreads, work, "operations")


def test_growth_is_judged_step_by_step_against_the_arithmetic() -> None:
    good = growth.row(curve([1, 2, 8], [10, 40, 160]))
    assert (good.ratio, good.met) == (0.5, True)
    bad = growth.row(curve([1, 1, 8], [10, 40, 160]))
    assert (bad.ratio, bad.met) == (0.5, False)
    assert "the worst step × 2.00, 2 to 4" in bad.measured


def test_growth_is_written_as_table_points_and_picture(tmp_path: Path) -> None:
    sound(growth.report([curve([1, 2, 8], [10, 40, 160])], "growth", tmp_path))
    stem = next(tmp_path.glob("*.json")).with_suffix("")
    assert "| 4 | 8 | 160 | 4 | 4 | 1.00 |" in stem.with_suffix(".md").read_text()
    assert json.loads(stem.with_suffix(".json").read_text())["curves"][0]["axis"] == "size"
    picture = stem.with_suffix(".png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 100_000


@pytest.mark.parametrize(("low", "high"), [(3, 60), (0.26, 0.31), (1e-3, 1e6), (5, 5), (0.9, 2.1)])
def test_an_axis_has_at_least_two_marks_within_its_values(low: float, high: float) -> None:
    ticks = growth.round_values(low, high)
    assert 2 <= len(ticks) <= 10
    assert all(low <= tick <= high for tick in ticks)


def test_time_growth_benchmark(tmp_path: Path) -> None:
    axes = {"hidden": (8, 16), "layers": (1, 2), "batch": (1, 2), "bptt": (2, 4)}
    assert len(sound(time_growth.run(axes, runs=1, least=0.0, folder=tmp_path))) == 4


def test_memory_growth_benchmark(tmp_path: Path) -> None:
    rows = sound(memory_growth.run({"batch": (8, 16)}, (20_000, 40_000), 1, tmp_path))
    assert [row.what.split(" against ")[1].split(",")[0] for row in rows] == [
        "batch",
        "corpus size (MB)",
    ]


def test_the_memory_of_a_child_is_measured() -> None:
    program = """if True:
        import sys
        from benchmarks.commands import cost
        for program in ("pass", "x = b'1' * 300_000_000"):
            print(cost([sys.executable, "-c", program]).megabytes)
    """  # in a small process: a child's peak is never less than its parent's size
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    small, large = map(float, done.stdout.split())
    assert large > small + 200


def test_a_child_that_fails_is_no_measurement() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        commands.cost([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(subprocess.CalledProcessError):
        commands.cost([sys.executable, "-c", "pass"], lambda: False)


def test_sampling_growth_benchmark(tmp_path: Path) -> None:
    from benchmarks.trainer import network

    (row,) = sound(sampling_growth.run(network("lstm", 1, 16), (1, 3), 1, tmp_path))
    assert "against sequences, 1 to 3" in row.what


def test_what_a_gpu_would_run_runs_on_the_cpu(cats: Path) -> None:
    sizes = ((1, 16), (2, 24))
    tiny = {"batch": 4, "bptt": 8, "peak": 64, "runs": 1, "least": 0.0}
    precision = "bfloat16" if has_bfloat16("cpu") else "float32"
    rows = sound(gpu.speeds("cpu", sizes, **tiny, precision=precision))
    assert [row.what.split(" LSTM")[0] for row in rows] == ["training 1 × 16", "training 2 × 24"]
    row = gpu.time_to_goal("cpu", (0.05,), cats, goal=9.0)
    assert row.ratio is not None
    assert math.isfinite(row.ratio)


def test_the_least_budget_that_reaches_the_goal_is_shown(
    cats: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def train(text: Path, output: Path, *options: str) -> list[dict[str, float]]:
        del text, output
        tried.append(options[-1])
        nats = 2.0 if len(tried) < 2 else 1.0
        return [{"valid_nats": nats + 1, "seconds": 7.0}, {"valid_nats": nats, "seconds": 12.0}]

    monkeypatch.setattr(gpu, "train", train)
    row = gpu.time_to_goal("cpu", (0.2, 0.4, 0.6), cats, goal=1.5)
    assert (tried, row.met, row.measured[:4]) == (["0.2", "0.4"], True, "12.0")
    row = gpu.time_to_goal("cpu", (0.2, 0.4), cats, goal=0.5)
    assert (row.met, row.ratio, row.measured[:3]) == (False, None, "inf")


def test_seconds_to_a_goal_are_counted_from_the_beginning_of_training(cat_path: str) -> None:
    log = [{"valid_nats": nats, "seconds": at} for nats, at in ((None, 90), (3, 95), (2, 99))]
    first = quality._seconds_to(3.5, log, Path(cat_path))
    assert 0 < first < 95
    assert quality._seconds_to(2.5, log, Path(cat_path)) == pytest.approx(first + 4)
    assert quality._seconds_to(1.5, log, Path(cat_path)) == math.inf


def test_without_a_gpu_its_rows_are_there_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    shown = list(gpu.run())
    assert all("on one NVIDIA" in row.measured and ", on" not in row.what for row in shown)
    monkeypatch.setattr(gpu, "recorded", lambda _: None)
    rows = list(gpu.run())
    assert [row.what for row in rows] == [row.what for row in shown]
    assert len(rows) == 4
    assert {row.measured for row in rows} == {"not measured: there is no GPU here"}


ROW = Row("speed", "m/s", "3", "1", "2", 2.0, False)


def test_results_are_dated_and_hold_the_machine(tmp_path: Path) -> None:
    table = results.write([ROW], "short", tmp_path)
    assert table.name.endswith("-short.md")
    assert markdown([ROW]) in table.read_text()
    record = json.loads(table.with_suffix(".json").read_text())
    assert record["rows"] == [dataclasses.asdict(ROW)]
    assert {"processor", "cores", "torch", "gpu"} <= set(record["machine"])


def test_the_newest_long_run_is_remembered_with_its_date(tmp_path: Path) -> None:
    assert results.recorded("speed", tmp_path) is None
    for day, row in (("2020-01-01", ROW), ("2020-01-02", dataclasses.replace(ROW, measured="5"))):
        path = tmp_path / f"{day}-long.json"
        path.write_text(json.dumps({"rows": [dataclasses.asdict(row)]}))
    (tmp_path / "2020-01-03-time-growth-long.json").write_text(json.dumps({"curves": []}))
    found = results.recorded("speed", tmp_path)
    assert found is not None
    assert found.measured == "5, on 2020-01-02"


def test_what_a_gpu_recorded_is_remembered_with_its_name(tmp_path: Path) -> None:
    for day, name in (("2020-01-01", "T1000"), ("2020-01-02", "none")):
        record = {"machine": {"gpu": name}, "rows": [dataclasses.asdict(ROW)]}
        (tmp_path / f"{day}-gpu.json").write_text(json.dumps(record))
    found = results.recorded("speed", tmp_path)
    assert found is not None
    assert found.measured == "2, on one T1000 on 2020-01-01"


def test_a_benchmark_that_breaks_off_leaves_its_rows_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run() -> Iterator[Row]:
        yield ROW
        raise ValueError("no such thing")

    monkeypatch.setattr("benchmarks.latency.run", run)
    first, last = child._rows("latency", "run")
    assert first == ROW
    assert (last.what, last.measured) == ("latency: broke off", "ValueError: no such thing")


def test_a_benchmark_that_takes_too_long_is_ended() -> None:
    (row,) = child.rows_of("latency", "run", 0.001)
    assert (row.what, row.measured) == ("latency: broke off", "took more than 0.001 min")


def test_rows_come_through_from_the_child() -> None:
    rows = list(child.rows_of("gpu", "no_such_function", 1))
    assert [row.what for row in rows] == ["gpu: broke off"]
    assert "no_such_function" in rows[0].measured


def test_what_one_benchmark_found_is_kept_when_another_breaks_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from click.testing import CliRunner

    def rows_of(module: str, function: str, minutes: float) -> Iterator[Row]:
        assert minutes == program.SHORT[module]
        yield ROW if module == "training" else child._broken(module, function)

    monkeypatch.setattr(program, "rows_of", rows_of)
    monkeypatch.setattr(program, "write", lambda rows, name: results.write(rows, name, tmp_path))
    done = CliRunner().invoke(program.main, ["latency", "training"])
    assert done.exit_code == 1
    table = next(tmp_path.glob("*-latency-training.md")).read_text()
    assert "latency: broke off" in table
    assert "| speed |" in table


@pytest.fixture
def grid(tmp_path: Path, cats: Path, monkeypatch: pytest.MonkeyPatch) -> defaults.Grid:
    monkeypatch.setattr(defaults, "TEXTS", {"cats": (cats, ())})
    return defaults.Grid(tmp_path / "grid.json")


def pretend(monkeypatch: pytest.MonkeyPatch, nats: dict[str, float]) -> list[list[str]]:
    """Runs that take no time: their nats by their first option; gives the list of those made."""
    made: list[list[str]] = []

    def planned(*told: Any) -> defaults.Cell:
        chosen = {"hidden_size": 96, "learning_rate": 0.01, "dropout": 0.1, "batch_size": 24}
        return {"options": told[-1], "bptt": 48, "layers": 1, "steps": 9, **chosen}

    def train(_: str, cell: defaults.Cell) -> float:
        made.append(cell["options"])
        return nats.get(" ".join(cell["options"]), 2.0)

    monkeypatch.setattr(defaults, "_planned", planned)
    monkeypatch.setattr(defaults, "_count_steps", lambda *_: None)
    monkeypatch.setattr(defaults, "_train", train)
    return made


def test_the_grid_is_completed_in_several_sittings(
    grid: defaults.Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pretend(monkeypatch, {"": 1.99, "--hidden-size 144": 1.98})
    (row,) = defaults.complete(grid, ["cats"], [1.0], ["larger", "slower"])
    assert sorted(made) == [[], ["--hidden-size", "144"], ["--learning-rate", "0.005"]]
    assert "4 runs missing" in row.reference
    assert row.met is None
    again = defaults.Grid(grid.path)  # as another sitting finds it
    (row,) = defaults.complete(again, ["cats"], [1.0])
    assert len(made) == 1 + len(defaults.ALTERNATIVES)
    assert (row.reference, row.met) == ("1.9800 larger", True)
    assert "+0.51%" in row.measured
    assert "1.9800 larger" in grid.path.with_suffix(".md").read_text()


def test_runs_beside_another_plan_do_not_count(
    grid: defaults.Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pretend(monkeypatch, {})
    list(defaults.complete(grid, ["cats"], [1.0]))
    before = len(made)
    grid.cells["cats, 1, planned"]["hidden_size"] = 192
    (row,) = defaults.complete(grid, ["cats"], [1.0], [])
    assert "2 runs missing" in row.reference
    assert len(made) == before


def test_each_kind_of_machine_has_a_grid_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    abacus = {"processor": "Abacus (without beads)", "cores": "1"}
    monkeypatch.setattr(defaults, "machine", lambda: abacus)
    assert (
        defaults.Grid().path == results.RESULTS / "defaults-grid-abacus-without-beads-1-cores.json"
    )


def test_a_grid_of_another_machine_is_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "grid.json"
    path.write_text(json.dumps({"machine": {"processor": "abacus", "cores": "1"}, "cells": {}}))
    with pytest.raises(Exception, match="from another machine"):
        defaults.Grid(path)


def test_runs_of_the_grid_are_trainings_of_as_many_steps_as_the_budget_holds(
    grid: defaults.Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(defaults, "LEAST", 0.01)
    monkeypatch.setattr(defaults, "RUNS", 1)
    (row,) = defaults.complete(grid, ["cats"], [0.005], ["larger", "faster"])
    planned, larger, faster = (
        grid.cells[f"cats, 0.005, {name}"] for name in ("planned", "larger", "faster")
    )
    assert f"1 × {planned['hidden_size']}" in row.measured
    assert larger["hidden_size"] > planned["hidden_size"] == faster["hidden_size"]
    assert faster["learning_rate"] == 2 * planned["learning_rate"]
    assert faster["steps"] == planned["steps"]
    assert all(cell["nats"] > 0 for cell in (planned, larger, faster))
