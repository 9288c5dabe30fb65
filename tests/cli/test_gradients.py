"""`charlm gradients`: vanishing and exploding gradients, and clipping."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import random_checkpoint

from charlm.cli import terminal
from charlm.cli.chart import bars, log_chart


def test_untrained_cells_share_one_picture(charlm: Any, cat_file: Path) -> None:
    out = charlm("gradients", cat_file, "--hidden-size", 16, "--steps", 30, "--positions", 4).out
    lines = out.splitlines()
    assert any("┤" in line and "a" in line for line in lines)
    assert "└──────" in out
    assert [line.split()[1] for line in lines if "untrained" in line] == ["rnn,", "gru,", "lstm,"]
    assert "k = 30" in out
    assert "\x1b" not in out


def test_checkpoints_and_cells_stand_layer_by_layer(
    charlm: Any, cat_file: Path, cat_path: Path
) -> None:
    arguments = ("gradients", cat_file, cat_path, "--cell", "gru-simple", "--layers", 2)
    small = ("--steps", 8, "--positions", 3, "--hidden-size", 8, "--json")
    records = [json.loads(line) for line in charlm(*arguments, *small).out.splitlines()]
    assert [(record["cell"], record["layer"]) for record in records] == [
        ("lstm", 1),
        ("gru-simple", 1),
        ("gru-simple", 2),
    ]
    for record in records:
        assert record["steps_back"] == [*range(1, 9)]
        assert len(record["gradient_norm"]) == 8
        assert min(record["gradient_norm"]) > 0
        assert record["positions"] == 3
    assert records[0]["model"] == str(cat_path)
    assert charlm(*arguments, *small).out == charlm(*arguments, *small).out


def test_a_per_line_model_stays_within_lines(
    charlm: Any, names_file: Path, name_path: Path
) -> None:
    record = json.loads(charlm("gradients", names_file, name_path, "--steps", 4, "--json").out)
    assert record["cell"] == "gru"
    said = charlm("gradients", names_file, name_path, "--steps", 50, code=1).err
    assert "no line of the text has 50 tokens, the longest has " in said


def test_the_places_of_each_model_are_told(charlm: Any, name_path: Path, tmp_path: Path) -> None:
    text = tmp_path / "names.txt"
    text.write_text("Elisabeth\n" + "Ada\n" * 20, encoding="utf-8")  # one line of eight or more
    both = ("gradients", text, name_path, "--cell", "rnn", "--steps", 8, "--hidden-size", 8)
    lines = charlm(*both, "--positions", 3, "--json").out.splitlines()
    few, many = (json.loads(line)["positions"] for line in lines)
    assert few < many
    shown = charlm(*both, "--positions", 3).out
    assert f"mean norms over {few}, {many} (model by model) places" in shown
    assert "mean norms over 1 place;" in charlm(*both, "--positions", 1).out


def test_a_log_tells_of_clipping(charlm: Any, cat_file: Path, tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    small = ("--hidden-size", 8, "--batch-size", 4, "--bptt", 8, "--clip", 0.2, "--quiet")
    output = ("-o", tmp_path / "a.safetensors", "--log", log)
    charlm("train", cat_file, "--steps", 60, *small, *output)
    out = charlm("gradients", "--log", log).out
    assert "60 steps" in out
    assert "% of them clipped" in out
    assert "█" in out
    record = json.loads(charlm("gradients", "--log", log, "--json").out)
    last = [json.loads(line) for line in log.read_text().splitlines()]
    assert record["steps"] == 60
    assert 0 < record["share_clipped"] <= 1
    assert record["gradient_norm_quantiles"]["p100"] == max(r["gradient_norm"] for r in last)


def test_all_cells_can_be_drawn_on_one_pair_of_axes(
    charlm: Any, cat_file: Path, cat_path: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="pip install '.[plot]'")
    arguments = (cat_path, "--cell", "rnn", "--hidden-size", 8, "--steps", 9, "--positions", 2)
    ran = charlm("gradients", cat_file, *arguments, "-o", tmp_path / "flow.svg")
    assert ran.err == f"saved {tmp_path / 'flow.svg'}\n"
    assert "rnn, untrained" in ran.out
    assert "<svg" in (tmp_path / "flow.svg").read_text(encoding="utf-8")
    said = charlm("gradients", cat_file, *arguments, "-o", tmp_path / "flow.svg", code=2).err
    assert "exists; give --force to overwrite it" in said


def test_norms_that_are_no_numbers_are_null_in_json(
    charlm: Any, tmp_path: Path, cat_file: Path
) -> None:
    from charlm.checkpoint import save

    checkpoint = random_checkpoint("rnn-relu")
    checkpoint.weights["rnn.weight_hh_l0"][:] = 1e20
    save(tmp_path / "a.safetensors", checkpoint)
    arguments = (tmp_path / "a.safetensors", "--steps", 40, "--on-unknown", "unk", "--json")
    (line,) = charlm("gradients", cat_file, *arguments).out.splitlines()
    assert None in json.loads(line)["gradient_norm"]


def test_a_log_may_come_from_standard_input(charlm: Any) -> None:
    record = '{"steps": 7, "gradient_norm": 0.5, "clipped": 0.0}\n'
    assert "7 steps, 0.0% of them clipped" in charlm("gradients", "--log", "-", input=record).out


CURVES = ("--layers", 16, "--steps", 2, *["--cell", "rnn"] * 5, "--hidden-size", 4)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--log", "TEXT", "--steps", 7), 2, "--steps belongs to gradients in a TEXT; give one"),
        (("--log", "TEXT", "--cell", "rnn"), 2, "--cell belongs to gradients in a TEXT"),
        (("TEXT", "CATS", "--seed", 9), 2, "--seed belongs to untrained cells; give a"),
        (("CATS", "TEXT"), 2, "cats.safetensors is a checkpoint; the text comes first, then"),
        (("--log", "TEXT", "-o", "a.png"), 2, "-o draws gradients in a TEXT; charlm plot"),
        (("TEXT", "-o", "a.pdf"), 2, "a.pdf: a picture is .png or .svg; give -o such a name"),
        ((), 2, "give a TEXT to measure on, or --log FILE"),
        (("",), 1, "TEXT is empty: give a text, a file or - (standard input)"),
        (("nowhere.txt",), 1, "no file is called nowhere.txt; this is read as the text itself"),
        (("The cat.",), 1, "the text has 8 tokens, fewer than 100; give a longer text or a lower"),
        (("--log", "nowhere.jsonl"), 1, "nowhere.jsonl"),
        (("TEXT", "--steps", 1), 2, "--steps"),
        (("TEXT", "--cell", "lstn"), 2, "--cell"),
        (("TEXT", *CURVES), 2, "80 curves are too many for one picture; give fewer, or --json"),
        (("--log", "TEXT"), 1, "line 1 is no record of a training log"),
    ],
)
def test_mistakes_are_one_line(
    charlm: Any,
    cat_file: Path,
    cat_path: Path,
    arguments: tuple[Any, ...],
    code: int,
    said: str,
) -> None:
    files = {"TEXT": cat_file, "CATS": cat_path}
    arguments = tuple(files.get(argument, argument) for argument in arguments)
    ran = charlm("gradients", *arguments, code=code)
    assert said in ran.err
    assert ran.out == ""


@pytest.mark.parametrize(("steps", "shown"), [(2, [1, 2]), (9, [1, 9]), (30, [1, 3, 30])])
def test_each_distance_is_shown_once(
    charlm: Any, cat_file: Path, steps: int, shown: list[int]
) -> None:
    small = ("--cell", "rnn", "--hidden-size", 4, "--positions", 2, "--steps", steps)
    out = charlm("gradients", cat_file, *small).out
    assert [int(k) for k in re.findall(r"k = (\d+)", out)] == shown


def test_checkpoints_go_by_short_names(charlm: Any, cat_file: Path, cat_path: Path) -> None:
    small = ("--steps", 5, "--positions", 2)
    assert re.search(r"^a  cats +1 ", charlm("gradients", cat_file, cat_path, *small).out, re.M)
    twice = charlm("gradients", cat_file, cat_path, cat_path, *small).out
    assert f"a  {cat_path} " in twice


def test_what_a_model_never_saw_is_refused(charlm: Any, cat_path: Path, tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("The cat ☃ was here and full.\n")
    assert "never saw '☃'" in charlm("gradients", text, cat_path, "--steps", 9, code=1).err
    charlm("gradients", text, cat_path, "--steps", 9, "--on-unknown", "unk")


@pytest.mark.parametrize("cell", ["rnn-relu", "lstm-peephole"])
def test_every_cell_of_a_checkpoint_is_measured(
    charlm: Any, cell: str, tmp_path: Path, cat_file: Path
) -> None:
    from charlm.checkpoint import save

    save(tmp_path / "a.safetensors", random_checkpoint(cell, 2))
    arguments = (tmp_path / "a.safetensors", "--steps", 5, "--on-unknown", "unk", "--json")
    assert len(charlm("gradients", cat_file, *arguments).out.splitlines()) == 2


def test_a_chart_places_every_curve_by_its_power_of_ten() -> None:
    lines = log_chart({"a": [1.0, 1e-2, 1e-4], "b": [1.0] * 3}, width=3, height=5)
    assert [line.strip() for line in lines] == [
        "10^0 ┤abb",
        "10^-1 ┤",
        "10^-2 ┤ a",
        "10^-3 ┤",
        "10^-4 ┤  a",
        "└───",
        "1 3",
    ]


def test_no_curve_of_a_chart_hides_another() -> None:
    curves = {letter: [10.0**-k for k in range(9)] for letter in "abc"}
    drawn = [line.partition("┤")[2].strip() for line in log_chart(curves, height=9)[:9]]
    assert "".join(drawn) == "abcabcabc"


@pytest.mark.parametrize("values", [[0.0, 0.0], [float("nan")], [float("inf"), 1.0], [1e-320]])
def test_a_chart_leaves_out_what_has_no_logarithm(values: list[float]) -> None:
    assert len(log_chart({"a": values}, height=4)) == 6


def test_bars_are_as_long_as_their_shares() -> None:
    lines = bars(["a", "bb"], list(np.array([0.125, 1.0])), width=8)
    assert lines == [" a █         12.5 %", "bb ████████  100.0 %"]


@pytest.mark.parametrize("columns", [30, 60])
def test_charts_are_no_wider_than_the_terminal(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    stdout = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr(terminal, "sys", SimpleNamespace(stdout=stdout))
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = log_chart({"a": [10.0**-k for k in range(100)]})
    assert max(map(len, lines)) == columns
    assert lines[-1].endswith("100")
    assert any("a" in line[columns - 2 :] for line in lines)
    lines = bars(["low", "much higher"], [0.0, 1.0], width=90)
    assert [len(line) for line in lines] == [columns - 2, columns]  # 0.0 % is shorter


def test_a_text_a_file_and_standard_input_are_alike(
    charlm: Any, cat_path: Path, tmp_path: Path
) -> None:
    text, asked = "The cat was full.\n", (cat_path, "--steps", 9)
    (tmp_path / "text.txt").write_text(text)
    said = charlm("gradients", text, *asked).out
    assert charlm("gradients", tmp_path / "text.txt", *asked).out == said
    assert charlm("gradients", "-", *asked, input=text).out == said


@pytest.mark.parametrize("weight", [1e-12, 1e20])
def test_norms_that_vanish_or_explode_are_drawn(
    charlm: Any, tmp_path: Path, cat_file: Path, weight: float
) -> None:
    pytest.importorskip("matplotlib", reason="pip install '.[plot]'")
    from charlm.checkpoint import save

    checkpoint = random_checkpoint("rnn-relu")
    checkpoint.weights["rnn.weight_hh_l0"][:] = weight
    save(tmp_path / "a.safetensors", checkpoint)
    arguments = (tmp_path / "a.safetensors", "--steps", 40, "--on-unknown", "unk")
    ran = charlm("gradients", cat_file, *arguments, "-o", tmp_path / "flow.svg")
    assert ran.err.endswith(f"saved {tmp_path / 'flow.svg'}\n")


@pytest.mark.parametrize("option", ["TEXT", "CHECKPOINT", "--log"])
def test_what_is_read_is_never_drawn_over(
    charlm: Any, cat_file: Path, cat_path: Path, tmp_path: Path, option: str
) -> None:
    pytest.importorskip("matplotlib", reason="pip install '.[plot]'")
    kept = tmp_path / "b.svg"
    log = b'{"steps": 7, "gradient_norm": 0.5, "clipped": 0.0}\n'
    kept.write_bytes(cat_path.read_bytes() if option == "CHECKPOINT" else 100 * log)
    given = {
        "TEXT": (kept, "--cell", "rnn"),
        "CHECKPOINT": (cat_file, kept),
        "--log": (cat_file, "--log", kept),
    }
    ran = charlm("gradients", *given[option], "-o", kept, "--force", code=2)
    what = "checkpoint" if option == "CHECKPOINT" else "text"
    assert ran.err == f"charlm: -o {kept} is the {what} {kept}; give another -o\n"
    assert not kept.read_bytes().startswith(b"<?xml")
