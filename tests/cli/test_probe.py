"""`charlm probe`: accuracies with their intervals, curves, JSON, and refusals in one line."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from charlm import pairs, probing
from charlm.api import Model

BLIMP = [
    {
        "sentence_good": f"The {noun} {good} {state}.",
        "sentence_bad": f"The {noun} {bad} {state}.",
        "linguistics_term": "agreement",
        "UID": f"agreement_{noun}",
        "pairID": str(number),
    }
    for number, state in enumerate(("full", "happy", "here"))
    for noun, good, bad in (("cat", "was", "were"), ("cats", "were", "was"))
]


@pytest.fixture
def blimp(tmp_path: Path) -> Path:
    path = tmp_path / "agreement.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in BLIMP), encoding="utf-8")
    return path


def probed(charlm: Any, *args: object) -> list[dict[str, Any]]:
    return [json.loads(line) for line in charlm("probe", *args, "--json").out.splitlines()]


def test_the_pairs_of_several_files_stay_apart(charlm: Any, cat_path: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "a.tsv").write_text("The cat was full.\tThe cat were full.")
    (tmp_path / "pairs" / "b.tsv").write_text("The cats were full.\tThe cats was full.\n")
    (record,) = probed(charlm, cat_path, "--pairs", tmp_path / "pairs")
    assert record["all"]["pairs"] == 2
    (tmp_path / "pairs" / "b.tsv").write_text("\nThe cats were full.\n")
    err = charlm("probe", cat_path, "--pairs", tmp_path / "pairs", code=1).err
    assert f"{tmp_path / 'pairs' / 'b.tsv'}, line 2" in err


def test_blimp_runs_unchanged(charlm: Any, cat_path: Path, blimp: Path) -> None:
    (record,) = probed(charlm, cat_path, "--pairs", blimp)
    assert record["checkpoint"] == str(cat_path)
    assert (record["cell"], record["normalise"]) == ("lstm", "none")
    assert [group["group"] for group in record["groups"]] == ["agreement_cat", "agreement_cats"]
    assert [term["term"] for term in record["linguistics_terms"]] == ["agreement"]
    whole = record["all"]
    assert (whole["pairs"], whole["right"], whole["ties"]) == (6, 6, 0)
    assert whole["accuracy"] == 1.0
    assert whole["interval_95"] == list(probing.wilson(6, 6))
    assert whole["margin_nats"] > 1
    assert whole["sentences_with_unseen"] == 0


def test_groups_stand_in_a_table(charlm: Any, cat_path: Path, blimp: Path) -> None:
    ran = charlm("probe", cat_path, "--pairs", blimp)
    lines = ran.out.splitlines()
    assert re.fullmatch(r"A  cats: lstm, [\d,]+ parameters", lines[0])
    names = "group pairs right 95 % margin/nats ties unseen"
    assert lines[2].split() == names.split()
    assert lines[4].startswith("A  agreement_cat ")
    assert lines[5].startswith("A  agreement_cats ")
    assert lines[6].startswith("A  all ")
    assert "6  100.0%  61.0%–100.0%" in lines[6]
    assert ran.err == ""


def test_ties_and_unseen_characters_are_named(charlm: Any, cat_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("The ☃\tThe ☂\nThe cat was full.\tThe cat were full.\n", encoding="utf-8")
    ran = charlm("probe", cat_path, "--pairs", path)
    assert ran.err == (
        "cats: 2 of 4 texts hold what the model never saw, read as <UNK>\n"
        "cats: 1 of 2 pairs are ties\n"
    )
    assert "50.0%" in ran.out


def test_pairs_come_from_standard_input(charlm: Any, cat_path: Path) -> None:
    ran = charlm("probe", cat_path, "--pairs", "-", "--json", input="cat\tcta\ta\t3\n")
    assert json.loads(ran.out)["all"]["pairs"] == 1


def test_several_models_share_a_curve(
    charlm: Any, cat_path: Path, name_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "pairs.tsv"
    rows = ["better\tworse\tgroup\tdistance"]
    rows += [f"The cat was full.\tThe cat were full.\tnear\t{k % 7}" for k in range(40)]
    path.write_text("\n".join(rows), encoding="utf-8")
    out = charlm("probe", cat_path, name_path, "--pairs", path).out
    assert "near: right by distance in characters" in out
    assert re.search(r"^A  cats: lstm, .*\nB  names: gru, ", out, re.MULTILINE)
    assert re.search(r"^distance  0 % +50 % +100 %  A +B", out, re.MULTILINE)
    records = probed(charlm, cat_path, name_path, "--pairs", path)
    assert [record["cell"] for record in records] == ["lstm", "gru"]
    distances = records[0]["groups"][0]["distances"]
    assert [(one["from"], one["to"]) for one in distances] == [(k, k) for k in range(7)]
    assert sum(one["pairs"] for one in distances) == 40
    row = next(line for line in out.splitlines() if line.strip().startswith("0 "))
    assert "100 (6" in row


def test_letters_of_one_place_become_a_star() -> None:
    from charlm.cli.probe import ACROSS, _axis, _row

    assert _row([0.5])[ACROSS // 2] == "A"
    assert _row([1.0, 1.0, 0.0]) == "C" + _row([])[1:-1] + "*"
    assert len(_row([0.1, 0.9])) == ACROSS
    assert [len(_axis(15)), _row([1.0], 15)] == [15, " " * 7 + "┊" + " " * 6 + "A"]


def test_normalising_divides_by_the_characters(
    charlm: Any, cat_path: Path, cat_model: Model, tmp_path: Path
) -> None:
    path = tmp_path / "pairs.tsv"
    better, worse = "The cats, which already ate the fish, were full.", "The cat was full."
    path.write_text(f"{better}\t{worse}\n", encoding="utf-8")
    scores = [cat_model.score(text + "\n", given="\n") for text in (better, worse)]
    for normalise, unit in (("none", "nats"), ("character", "nats_per_character")):
        (record,) = probed(charlm, cat_path, "--pairs", path, "--normalise", normalise)
        values = [
            score.log_probability / (score.characters if normalise == "character" else 1)
            for score in scores
        ]
        assert record["normalise"] == normalise
        assert record["all"][f"margin_{unit}"] == pytest.approx(values[0] - values[1], abs=1e-4)


def test_the_built_in_questions_are_asked(
    charlm: Any, cat_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grouped: dict[str, list[pairs.Pair]] = {}
    for pair in pairs.cats_pairs():
        grouped.setdefault(pair.group, []).append(pair)
    few = [pair for group in grouped.values() for pair in group[:12]]
    monkeypatch.setattr(pairs, "cats_pairs", lambda: few)
    out = charlm("probe", cat_path).out
    for group in ("agreement", "quotation", "pear"):
        assert f"\n{group}: right by distance in characters" in out


def test_what_stands_before_a_text_can_be_given(charlm: Any, cat_path: Path, blimp: Path) -> None:
    default, newline, cold, no_end = (
        probed(charlm, cat_path, "--pairs", blimp, *more)[0]["all"]["margin_nats"]
        for more in ([], ["--given", "\n"], ["--given", ""], ["--no-end"])
    )
    assert default == newline
    assert len({default, cold, no_end}) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"sentence_good": "a"}', "pairs, line 1: there is no 'sentence_bad'"),
        (
            "cat\n",
            "pairs, line 1: 1 columns where 2 to 4 should be, separated by tabs: "
            "better, worse, group, distance",
        ),
        ("", "pairs is empty: there is no text to read"),
    ],
)
def test_faulty_files_are_named(
    charlm: Any, cat_path: Path, tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "pairs"
    path.write_text(content, encoding="utf-8")
    ran = charlm("probe", cat_path, "--pairs", path, code=1)
    assert ran.err == f"charlm: {tmp_path}/{message}\n"


def test_more_checkpoints_than_letters_are_refused(charlm: Any) -> None:
    ran = charlm("probe", *["x.safetensors"] * 27, code=2)
    assert ran.err == "charlm: give at most 26 checkpoints, not 27\n"


def test_line_ends_of_another_system_change_nothing(
    charlm: Any, cat_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "pairs.tsv"
    rows = b"better\tworse\nThe cat was full.\tThe cat were full.\n"
    path.write_bytes(rows)
    plain = charlm("probe", cat_path, "--pairs", path)
    path.write_bytes(b"\xef\xbb\xbf" + rows.replace(b"\n", b"\r\n"))
    ran = charlm("probe", cat_path, "--pairs", path)
    assert ran.out == plain.out
    assert ran.err == f"{path}: byte order mark dropped\n"


def test_to_a_per_line_model_a_text_is_a_line(charlm: Any, name_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("Anna\tXqz\n", encoding="utf-8")
    ran = charlm("probe", name_path, "--pairs", path, "--given", "a\nb", code=2)
    assert "holds a line end" in ran.err
