"""TEXT is a text, a file or standard input, alike for every command; a mistyped path is noticed."""

from pathlib import Path
from typing import Any

import pytest

from charlm.cli.files import short_names

NOTICE = "no file is called {}; this is read as the text itself\n"


@pytest.mark.parametrize("text", ["nmaes.txt", "NOTES.MD", "here/nmaes", "nowhere/names.txt"])
def test_a_mistyped_path_is_noticed(
    charlm: Any, cat_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    ran = charlm("inspect", cat_path, text, "--on-unknown", "unk", "--view", "predictions")
    notice, unseen = ran.err.splitlines()
    assert f"{notice}\n" == NOTICE.format(text)
    assert "tokens unseen, read as <UNK>" in unseen
    assert ran.out


def test_score_says_how_the_lines_of_a_file_are_scored(charlm: Any, cat_path: Path) -> None:
    ran = charlm("score", cat_path, "names.txt", "--on-unknown", "unk")
    assert ran.err == (
        "names.txt is scored as a sentence itself; for the lines of a file give -f\n"
    )
    assert ran.out


@pytest.mark.parametrize("text", ["The cat was full.", "cat", "and/or", "a b.txt", "x." * 3000])
def test_a_text_is_taken_as_it_is(charlm: Any, cat_path: Path, text: str) -> None:
    options = ("--on-unknown", "unk", "--view", "predictions")
    err = charlm("inspect", cat_path, text, *options).err
    assert not err or err.endswith(" tokens unseen, read as <UNK>\n")
    assert err.count("\n") == (text not in ("The cat was full.", "cat"))


def test_the_notice_comes_before_what_the_model_never_saw(charlm: Any, cat_path: Path) -> None:
    ran = charlm("inspect", cat_path, "Xx.txt", code=1)
    notice, refusal = ran.err.splitlines()
    assert f"{notice}\n" == NOTICE.format("Xx.txt")
    assert refusal.startswith("charlm: the model never saw ")


def test_every_command_that_takes_a_text_notices(
    charlm: Any, cat_path: Path, tmp_path: Path
) -> None:
    pytest.importorskip("jinja2", reason="pip install '.[report]'")
    pytest.importorskip("matplotlib", reason="pip install '.[plot]'")
    typo, unk = "the-cats-which-ate-the-fish-were-not-here.txt", ("--on-unknown", "unk")
    ran = charlm("report", cat_path, typo, "-o", tmp_path / "r.html", *unk)
    assert ran.err.startswith(NOTICE.format(typo))
    ran = charlm(
        *("plot", cat_path, "--kind", "flow", "--text", typo, "--steps", 9),
        *("-o", tmp_path / "p.png", *unk),
    )
    assert ran.err.startswith(NOTICE.format(typo))


def test_an_empty_name_is_refused(charlm: Any, cat_path: Path, cat_file: Path) -> None:
    for command, name in (
        (("info", ""), "CHECKPOINT is empty; give a file's name\n"),
        (("train", ""), "TEXT is empty; give a file's name\n"),
        (("report", cat_path, cat_file, "-o", ""), "-o is empty; give a file's name\n"),
        (
            ("tokenize", cat_file, "--checkpoint", ""),
            "--checkpoint is empty; give a file's name, or",
        ),
    ):
        assert charlm(*command, code=2).err.startswith(f"charlm: {name}")


def test_names_are_short_where_they_differ() -> None:
    assert short_names(["a/x.safetensors", "b/y"]) == ["x", "y"]
    assert short_names(["runs/x-0.5.jsonl", "y-0.5"]) == ["x-0.5", "y-0.5"]
    assert short_names(["a/x.safetensors", "b/x.safetensors"]) == [
        "a/x.safetensors",
        "b/x.safetensors",
    ]
