"""`charlm inspect`: every view as columns, JSON and colours, and every refusal in one line."""

import json
import os
import pty
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyte
import pytest
from conftest import random_checkpoint

from charlm.api import Model
from charlm.checkpoint import save
from charlm.cli import inspect as inspect_command
from charlm.cli import paint, terminal, views
from charlm.inspection.activations import Cell, trace
from charlm.inspection.colours import sequential
from charlm.inspection.features import FEATURES
from charlm.inspection.passage import Passage

TEXT = "The cats, which already ate the fish, were happy.\nThe cat was full.\n"


def inspected(charlm: Any, *args: object, text: str = TEXT) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(charlm("inspect", args[0], text, *args[1:], "--json").out)
    return record


def rows_of(part: str) -> list[list[str]]:
    return [line.split("\t") for line in part.strip("\n").splitlines()]


def on_terminal(*args: object, **environment: str) -> str:
    """What `charlm inspect` writes to a terminal of 80 columns."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "charlm", "inspect", *map(str, args)],
        stdout=follower,
        stderr=subprocess.PIPE,
        env={
            **{k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLORTERM")},
            "TERM": "xterm-256color",
            "COLUMNS": "80",
            **environment,
        },
    )
    os.close(follower)
    written = b""
    try:
        while block := os.read(leader, 65536):
            written += block
    except OSError:  # the other end is closed
        pass
    os.close(leader)
    assert process.communicate()[1] == b""
    assert process.returncode == 0
    return written.decode()


# Columns and JSON


def test_the_files_of_a_folder_are_read_by_line_or_as_one_text(
    charlm: Any, cat_path: Path, name_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "names").mkdir()
    (tmp_path / "names" / "a").write_text("Anna\nTom")
    (tmp_path / "names" / "b").write_text("Tim\n")
    rows = rows_of(charlm("inspect", name_path, tmp_path / "names").out)
    assert "".join(row[2] for row in rows[1:]) == "Anna<EOS>Tom<EOS>Tim<EOS>"
    ran = charlm("inspect", cat_path, tmp_path / "names", "--on-unknown", "unk")
    assert ran.err.startswith("2 files (a, b) are read as one text\n")
    assert "".join(row[2] for row in rows_of(ran.out)[1:]) == "Anna␊TomTim␊"
    err = charlm("inspect", name_path, tmp_path / "names").err
    assert "read as one text" not in err


def test_what_the_model_never_saw_is_marked(charlm: Any, cat_path: Path) -> None:
    ran = charlm("inspect", cat_path, "The Ωat", "--on-unknown", "unk", "--json")
    assert ran.err == "1 of 7 tokens unseen, read as <UNK>\n"
    tokens = json.loads(ran.out)["tokens"]
    assert [token["piece"] for token in tokens if token["unseen"]] == ["Ω"]
    assert charlm("inspect", cat_path, "The cat", "--json").err == ""


def test_surprise_as_columns(charlm: Any, cat_path: Path, cat_model: Model) -> None:
    ran = charlm("inspect", cat_path, TEXT)
    shown = on_terminal(cat_path, TEXT, NO_COLOR="1").replace("\r", "").expandtabs(1)
    tokens, lines, total, greatest = shown.split("\n\n", 3)
    assert ran.out.expandtabs(1) == tokens + "\n", "one table into a pipe"
    assert ran.err == total + "\n"
    tokens, lines = ran.out, lines.replace(" ", "\t")
    header, *rows = rows_of(tokens)
    assert header == ["line", "column", "token", "bits", "rank", "expected", "P"]
    assert rows[0][:3] == ["1", "1", "T"]
    assert rows[-1][:3] == ["2", "18", "␊"]
    scores = cat_model.token_scores(TEXT)
    assert [row[3] for row in rows] == [f"{s.nats / np.log(2):.4f}" for s in scores]
    assert [row[4] for row in rows] == [str(score.rank) for score in scores]
    header, *sums = rows_of(lines)
    assert header == ["line", "bits", "tokens"]
    assert [row[2] for row in sums] == ["50", "18"]
    bits = -cat_model.score(TEXT).log_probability / np.log(2)
    assert sum(float(row[1]) for row in sums) == pytest.approx(bits, abs=1e-3)
    assert total == f"{bits:,.1f} bits, {bits / 68:.4f} a character (68 characters)"
    assert len(greatest.strip().splitlines()) == 12


def test_surprise_as_json(charlm: Any, cat_path: Path, cat_model: Model) -> None:
    record = inspected(charlm, cat_path)
    assert record["view"] == "surprise"
    assert record["characters"] == 68
    assert "".join(token["piece"] for token in record["tokens"]) == TEXT
    assert sum(token["bits"] for token in record["tokens"]) == pytest.approx(record["bits"])
    assert sum(record["line_bits"]) == pytest.approx(record["bits"])
    bits = [record["tokens"][t]["bits"] for t in record["greatest"]]
    assert bits == sorted(bits, reverse=True)
    assert len(bits) == 10
    likeliest = cat_model.next_tokens("The ca", 1)[0].piece
    assert record["tokens"][6]["expected"] == likeliest


@pytest.mark.parametrize("per_line", [False, True])
def test_words_have_the_bits_a_character_that_eval_gives(
    charlm: Any, tmp_path: Path, per_line: bool
) -> None:
    path, text = tmp_path / "words.safetensors", tmp_path / "text.txt"
    save(path, random_checkpoint(tokenizer="words", per_line=per_line))
    text.write_text("The zebra   ate the xylophone.\nThe  cat is   unhappily gone.\n")
    unk = ("--on-unknown", "unk")
    measured = json.loads(charlm("eval", path, text, "--json").out)
    record = inspected(charlm, path, *unk, text=text.read_text())
    assert record["characters"] == measured["characters"] == 61
    each = f"{measured['bits_per_character']:.4f} a character (61 characters)"
    assert each in charlm("inspect", path, text, *unk).err


def test_per_line_the_end_is_called_as_it_is_expected(charlm: Any, name_path: Path) -> None:
    text = "Anna\nOtto"
    record = inspected(charlm, name_path, text=text)
    pieces = [*"Anna", "<EOS>", *"Otto", "<EOS>"]
    assert [token["piece"] for token in record["tokens"]] == pieces
    assert len(record["line_bits"]) == 2
    right = [token for token in record["tokens"] if token["rank"] == 1]
    assert "<EOS>" in {token["piece"] for token in right}
    assert all(token["piece"] == token["expected"] for token in right)
    named = charlm("score", name_path, "Anna", "--per-token", "--json").out
    assert [one["piece"] for one in json.loads(named)["tokens"]] == pieces[:5]
    for view in (["--view", "surprise"], ["--cell-index", "1:1"]):
        rows = rows_of(charlm("inspect", name_path, text, *view).out)
        assert [row[:3] for row in rows[5:7]] == [["1", "5", "<EOS>"], ["2", "1", "O"]]
    asked = ("--view", "predictions")
    after = [step["after"] for step in inspected(charlm, name_path, *asked, text=text)["steps"]]
    assert after == ["<EOS>", *pieces[:-1]]
    rows = rows_of(charlm("inspect", name_path, text, *asked).out)
    assert [row[0] for row in rows[1:]] == after
    record = inspected(charlm, name_path, "--view", "context", text=text)
    assert record["predicted"] == "<EOS>"
    assert [token["piece"] for token in record["tokens"]] == ["<EOS>", *pieces[:-1]]


def test_the_greatest_surprises_of_lines_may_be_their_ends(name_path: Path) -> None:
    out = on_terminal(name_path, "A\nO", NO_COLOR="1")
    assert re.search(r"1:2 .*A⟦<EOS>⟧O", out)


def test_predictions(charlm: Any, cat_path: Path, cat_model: Model) -> None:
    record = inspected(charlm, cat_path, "--view", "predictions", text="The cat")
    assert [step["after"] for step in record["steps"]] == ["<EOS>", *"The cat"]
    for t, step in enumerate(record["steps"]):
        expected = cat_model.next_tokens("The cat"[:t], 5)
        assert [one["piece"] for one in step["next"]] == [one.piece for one in expected]
        came = [one["piece"] for one in step["next"] if one["came"]]
        assert came in ([], ["The cat"[t : t + 1]])
    rows = rows_of(charlm("inspect", cat_path, "The cat", "--view", "predictions").out)
    names = "after next1 P1 next2 P2 next3 P3 next4 P4 next5 P5"
    assert "\t".join(rows[0]) == names.replace(" ", "\t")
    assert rows[5][0] == "␣"
    assert rows[8][0] == "t"


def test_one_cell(charlm: Any, cat_path: Path, cat_model: Model) -> None:
    passage = Passage.of(cat_model.tokenizer, TEXT, False)
    expected = trace(cat_model.engine, passage.ids, Cell(1, 5))
    record = inspected(charlm, cat_path, "--cell-index", "1:5")
    assert (record["view"], record["layer"], record["cell"]) == ("cells", 1, 5)
    values = [token["value"] for token in record["tokens"]]
    assert values == pytest.approx(expected.tolist())
    rows = rows_of(charlm("inspect", cat_path, TEXT, "--cell-index", "1:5").out)
    assert rows[0] == ["line", "column", "token", "value"]
    assert [row[3] for row in rows[1:]] == [f"{value:.4f}" for value in expected]


def test_finding_a_cell(charlm: Any, cat_path: Path) -> None:
    record = inspected(charlm, cat_path, "--find", "space", text=TEXT * 9)
    assert (record["feature"], record["measure"]) == ("space", "AUROC")
    assert len(record["cells"]) == 32
    assert len(record["moved"]) == 5
    best = record["cells"][0]
    assert best.keys() == {"layer", "cell", "rising", "chosen", "held_out"}
    shown = charlm("inspect", cat_path, TEXT * 9, "--find", "space").out
    assert shown.startswith(
        "space: AUROC of each cell alone,\n"
        "chosen on the first 306 tokens, scored on the other 306\n"
    )
    assert f"1:{best['cell']} " in shown
    assert f"{best['chosen']:.3f}     {best['held_out']:.3f}\n" in shown
    assert "labels moved along the text (best of 5)" in shown
    assert f"look at it: --cell-index 1:{best['cell']}; 0.5 is chance, 1 is perfect" in shown


def test_cells_that_do_no_better_than_chance_are_not_recommended(
    charlm: Any, cat_path: Path
) -> None:
    """Which letter comes next in random text no cell can tell."""
    text = "".join(random.Random(1).choices("acehstw", k=400))
    not_told = 0
    for letter in "acehst":
        asked = ("inspect", cat_path, text, "--find-regex", f".(?={letter})")
        record = json.loads(charlm(*asked, "--json").out)
        chance = max(one["held_out"] for one in record["moved"])
        told = record["cells"][0]["held_out"] > chance
        shown = charlm(*asked).out
        assert ("look at it: " in shown) == told
        assert ("no cell alone tells it: the best does no better than" in shown) == (not told)
        not_told += not told
    assert not_told >= 2


def test_finding_by_a_regular_expression(charlm: Any, cat_path: Path) -> None:
    record = inspected(charlm, cat_path, "--find-regex", "which|already", text=TEXT * 9)
    assert record["feature"] == "which|already"
    assert record["cells"][0]["held_out"] > 0.6


def test_the_names_of_features_are_offered() -> None:
    assert tuple(FEATURES) == inspect_command.NAMES


def test_gates(charlm: Any, cat_path: Path) -> None:
    record = inspected(charlm, cat_path, "--view", "gates")
    assert [(one["layer"], one["gate"]) for one in record["gates"]] == [
        (1, "update"),
        (1, "forget"),
        (1, "output"),
    ]
    assert all(len(one["left"]) == len(one["right"]) == 32 for one in record["gates"])
    cells, gates = map(
        rows_of, charlm("inspect", cat_path, TEXT, "--view", "gates").out.split("\n\n")
    )
    assert cells[0] == ["layer", "gate", "cell", "below 0.1", "above 0.9"]
    assert len(cells) == 1 + 3 * 32
    left = record["gates"][1]["left"]
    assert cells[1 + 32 + 6][:4] == ["1", "forget", "7", f"{left[6]:.4f}"]
    assert gates[0][:4] == ["layer", "gate", "below 0.1", "above 0.9"]
    assert gates[2][:3] == ["1", "forget", f"{sum(left) / 32:.1%}"]
    assert gates[2][4:] == [
        str(sum(share > 0.9 for share in record["gates"][1][side])) for side in ("left", "right")
    ]


def test_matching(charlm: Any, cat_path: Path) -> None:
    record = inspected(charlm, cat_path, "--span", "10:15", text=TEXT * 9)
    assert record["span"] == {"begin": 10, "end": 15, "text": "which"}
    assert record["threshold"] == 0.3
    assert len(record["places"]) == 50
    first = record["places"][0]
    assert (TEXT * 9)[first["begin"] : first["end"]] == first["text"]
    assert first["shared"] <= len(record["cells"])
    shown = charlm("inspect", cat_path, TEXT * 9, "--span", "10:15").out
    assert shown.startswith("The cats, ⟦which⟧ already ate the\nat least 0.3 throughout: ")


def test_context(charlm: Any, cat_path: Path) -> None:
    pytest.importorskip("torch")
    record = inspected(charlm, cat_path, "--view", "context", "--position", "40", text=TEXT)
    assert record["predicted"] == TEXT[40]
    assert [token["piece"] for token in record["tokens"]] == ["<EOS>", *TEXT[:40]]
    strengths = [token["gradient_times_input"] for token in record["tokens"]]
    assert max(strengths[-8:]) > max(strengths[:8]) >= 0
    rows = rows_of(charlm("inspect", cat_path, TEXT, "--view", "context").out)
    assert len(rows) == 1 + len(TEXT)  # a header, <EOS>, and all but the last character
    assert [row[:3] for row in rows[1:3]] == [["1", "0", "<EOS>"], ["1", "1", "T"]]
    first = inspected(charlm, cat_path, "--position", "0")
    assert [token["piece"] for token in first["tokens"]] == ["<EOS>"]
    assert first["tokens"][0]["gradient_times_input"] > 0


# Where the text is


def test_a_text_a_file_and_standard_input_are_alike(
    charlm: Any, cat_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    said = charlm("inspect", cat_path, TEXT).out
    assert charlm("inspect", cat_path, path).out == said
    assert charlm("inspect", cat_path, "-", input=TEXT).out == said


@pytest.mark.parametrize("tokenizer", ["bytes", "words", "bpe"])
@pytest.mark.parametrize("view", [["--view", "surprise"], ["--view", "predictions"]])
def test_other_tokenizers_are_shown_too(
    charlm: Any, tmp_path: Path, tokenizer: str, view: list[str]
) -> None:
    path = tmp_path / "model.safetensors"
    save(path, random_checkpoint(tokenizer=tokenizer))
    assert charlm("inspect", path, "The cat was full.", *view).out


# Colours


def test_a_terminal_gets_the_text_on_colours(cat_path: Path) -> None:
    written = on_terminal(cat_path, TEXT, COLORTERM="truecolor")
    screen = pyte.Screen(80, 40)
    pyte.Stream(screen).feed(written)
    text = "".join(line.rstrip() for line in screen.display)
    assert "│ The cats, which already ate the fish, were happy.␊" in text
    assert "in all │" in text
    assert "the greatest surprises" in text
    row = next(y for y in range(40) if "│ The cats" in screen.display[y])
    column = screen.display[row].index("│") + 2
    backgrounds = {screen.buffer[row][column + k].bg for k in range(40)}
    assert len(backgrounds) > 3
    scale = {"{:02x}{:02x}{:02x}".format(*sequential(k / 63)) for k in range(64)}
    assert backgrounds <= scale
    assert all(len(line) <= 80 for line in screen.display)


def test_context_is_of_whole_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from charlm import gradients
    from charlm.cli import cell_views

    strengths = np.array([3.0, 1.0, 2.0, 3.0, 4.0, 1.0])  # of <EOS>, a, and the bytes of €
    monkeypatch.setattr(gradients, "context", lambda *_: strengths)
    monkeypatch.setattr(paint, "colours", lambda: paint.DIRECT)
    model = Model(random_checkpoint(tokenizer="bytes"))
    passage = Passage.of(model.tokenizer, "a€bc", False)
    cell_views.context(model, passage, {"position": None, "as_json": False})
    shown = capsys.readouterr().out
    for text, strength in (("<EOS>", 3), ("a", 1), ("€", 9), ("b", 1)):
        assert paint.painted(text, sequential(strength / 9), paint.DIRECT) in shown
    assert paint.painted(" 9 ", sequential(1), paint.DIRECT) in shown


def test_without_colorterm_there_are_256_colours(cat_path: Path) -> None:
    written = on_terminal(cat_path, "The cat", "--cell-index", "1:3")
    assert re.search(r"\x1b\[48;5;\d+;38;5;(16|231)mT", written)
    assert "48;2;" not in written


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colours_a_terminal_gets_columns(
    cat_path: Path, environment: dict[str, str]
) -> None:
    written = on_terminal(cat_path, "The cat", COLORTERM="truecolor", **environment)
    assert "\x1b[48" not in written
    assert "1\t1\tT\t" in written
    gates = on_terminal(cat_path, "The cat", "--view", "gates", **environment)
    assert gates.startswith("layer\tgate\tcell\tbelow 0.1\tabove 0.9\r\n")


@pytest.mark.parametrize(
    ("view", "legend"),
    [
        (["--view", "surprise"], "bits │ 0 1 2 3 4 5 6 7 8 9 10 or more"),
        (["--view", "predictions"], "the one that came is on the colour of its bits, as in --view"),
        (["--view", "gates"], "share of time below 0.1; · one cell, : up to 4, * up to 16, # more"),
        (["--view", "context"], "|gradient times input| on ␊, in nats"),
        (["--cell-index", "1:3"], "-1 -0.75 -0.5 -0.25 +0 +0.25 +0.5 +0.75 +1 cell 1:3 after each"),
    ],
    ids=str,
)
@pytest.mark.parametrize("columns", [50, 80])
def test_views_fit_the_terminal(cat_path: Path, view: list[str], legend: str, columns: int) -> None:
    written = on_terminal(cat_path, TEXT, *view, COLORTERM="24bit", COLUMNS=str(columns))
    plain = re.sub(r"\x1b\[[\d;]*m", "", written)
    assert all(terminal.columns_of(line) <= columns for line in plain.split("\r\n"))
    assert legend in " ".join(plain.split())
    titles = re.findall(r"layer 1, \w+ gate", plain)
    assert len(titles) == (3 if "gates" in view else 0)


def test_the_axis_of_a_gate_ends_under_its_picture(capsys: pytest.CaptureFixture[str]) -> None:
    from charlm.cli import gate_views
    from charlm.inspection.gates import Saturation

    one = Saturation(1, "update", left=np.zeros(2), right=np.array([0.0, 1.0]))
    gate_views._scatter([one, one])
    *_, bottom, axis, _ = capsys.readouterr().out.splitlines()
    ends = [found.start() for found in re.finditer("·", bottom)]
    assert len(ends) == 4
    assert [found.start() for found in re.finditer(r"(?<= )[01](?= )", axis)] == ends


def test_columns_of_predictions_stand_under_one_another(
    cat_model: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also of what takes no column itself, and is shown as `<U+200B>`."""
    from charlm.cli import expectation_views

    monkeypatch.setattr(paint, "colours", lambda: paint.DIRECT)
    passage = Passage.of(cat_model.tokenizer, "a\u200bb\u200bc", False)
    expectation_views.predictions(cat_model, passage, {"as_json": False})
    shown = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    heads, row, *_ = shown.splitlines()
    assert re.split(" +", heads.strip()) == ["<EOS>", "a", "<U+200B>", "b", "<U+200B>", "c"]
    starts = [found.start() for found in re.finditer(r"\S+", heads)]
    assert [found.start() for found in re.finditer(r"\S+ \S+", row)] == starts


def test_a_byte_among_the_greatest_surprises_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save(path, random_checkpoint(tokenizer="bytes"))
    out = on_terminal(path, "a€b", NO_COLOR="1")
    assert "⟦⟧" not in out
    assert "a⟦<0xE2>⟧€b" in out


def test_control_characters_of_a_text_reach_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save(path, random_checkpoint(tokenizer="bytes"))
    written = on_terminal(path, "a\x1b]0;title\x07b\u202e", COLORTERM="truecolor")
    assert "\x1b]" not in written
    assert "\x07" not in written
    assert "\u202e" not in written
    assert "␛" in written


def test_rows_are_wrapped_by_columns_and_margins_stay() -> None:
    pieces, colour = list("abc漢字d"), (0, 0, 0)
    rows = paint.page(pieces * 3, [colour] * 18, [(0, 18)], ["9"], paint.PLAIN)
    plain = list(rows)
    assert plain[0].startswith("9 │ abc漢字dabc")
    assert all(row.startswith("  │ ") for row in plain[1:])
    assert "".join(row[4:] for row in plain) == "abc漢字d" * 3


# Refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--view", "context", "--position", "68"],
            "--position 68: the text has characters 0 to 67",
        ),
        (["--position", "-1"], "--position -1: the text has characters 0 to 67"),
        (["--span", "60:70"], "--span 60:70: the text has 68 characters, so B is at most 68"),
        (["--span", "68:69"], "--span 68:69: the text has 68 characters, so B is at most 68"),
        (["--span", "9:9"], "--span '9:9': write A:B, two numbers of which A is the smaller"),
        (["--span", "ab"], "--span 'ab': write A:B, two numbers of which A is the smaller"),
        (
            ["--span", "1:" + "9" * 5000],
            f"--span '1:{'9' * 37}: write A:B, two numbers of which A is the smaller",
        ),
        (["--cell-index", "2:1"], "--cell-index 2:1: the model has layers 1 to 1"),
        (["--cell-index", "1:33"], "--cell-index 1:33: layer 1 has cells 1 to 32"),
        (
            ["--cell-index", "33"],
            "--cell-index '33': write LAYER:NUMBER, both from 1, as in 1:17",
        ),
        (
            ["--view", "cells"],
            "--view cells: give one of --cell-index LAYER:NUMBER, --find NAME and --find-regex RE",
        ),
        (
            ["--find", "space", "--cell-index", "1:1"],
            "--view cells: give one of --cell-index LAYER:NUMBER, --find NAME and --find-regex RE",
        ),
        (
            ["--view", "matching"],
            "--view matching: give --span A:B, the characters from A up to B",
        ),
        (
            ["--view", "gates", "--find", "space"],
            "--find belongs to --view cells, not to --view gates",
        ),
        (["--threshold", "nan", "--span", "0:4"], "--threshold nan: give a number, as 0.3"),
        (["--threshold=-inf", "--span", "0:4"], "--threshold -inf: give a number, as 0.3"),
        (
            ["--threshold", "3", "--span", "0:4"],
            "--threshold 3: no cell is so high throughout the span; "
            "give a lower one or a shorter span",
        ),
    ],
)
def test_options_that_cannot_be_used_are_named(
    charlm: Any, cat_path: Path, arguments: list[str], message: str
) -> None:
    ran = charlm("inspect", cat_path, TEXT, *arguments, code=2)
    assert ran.err == f"charlm: {message}\n"
    assert ran.out == ""


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (
            "The ☃",
            [],
            "the model never saw '☃' (U+2603) at character 4; --on-unknown unk reads it as <UNK>",
        ),
        ("", [], "TEXT is empty: give a text, a file or - (standard input)"),
        (
            TEXT,
            ["--find", "digit"],
            "the first half of the text cannot tell the feature: it is everywhere the same there; "
            "give a longer text",
        ),
    ],
)
def test_texts_that_cannot_be_used_are_named(
    charlm: Any, cat_path: Path, text: str, arguments: list[str], message: str
) -> None:
    ran = charlm("inspect", cat_path, text, *arguments, code=1)
    assert ran.err == f"charlm: {message}\n"


def test_what_was_never_seen_is_shown_if_that_is_accepted(charlm: Any, cat_path: Path) -> None:
    record = inspected(charlm, cat_path, "--on-unknown", "unk", text="The ☃")
    assert record["tokens"][4]["piece"] == "☃"


def test_a_per_line_text_of_empty_lines_is_empty(charlm: Any, name_path: Path) -> None:
    ran = charlm("inspect", name_path, "\n\n", code=1)
    assert ran.err == "charlm: the text is empty: there is nothing to look at\n"


def test_a_model_without_gates_is_named(charlm: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save(path, random_checkpoint(cell="rnn"))
    ran = charlm("inspect", path, "The cat", "--view", "gates", code=2)
    assert ran.err == (
        "charlm: --view gates: a model of rnn cells has no gates; "
        "those of gru, gru-reset-before, gru-simple, lstm, lstm-peephole have\n"
    )


def test_a_character_of_several_bytes_has_the_bits_of_all() -> None:
    from charlm.cli.views import names, of_characters

    model = Model(random_checkpoint(tokenizer="bytes"))
    passage = Passage.of(model.tokenizer, "a€b", False)
    assert names(model, passage) == ["a", "<0xE2>", "<0x82>", "€", "b"]
    assert of_characters(passage, [1.0, 2.0, 3.0, 4.0, 5.0])[3:] == [9.0, 5.0]


@pytest.mark.parametrize("tokenizer", ["bytes", "words", "bpe"])
def test_a_place_is_that_of_its_column(tokenizer: str) -> None:
    model = Model(random_checkpoint(tokenizer=tokenizer))
    passage = Passage.of(model.tokenizer, "The cat.\n\nThe cats,\n was", False)
    for token in range(len(passage)):
        before = "".join(passage.pieces[:token])
        at = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        assert views.place(passage, token) == at
