"""`charlm report`: the file it writes, and every refusal in one line."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jinja2", reason="pip install '.[report]'")

TEXT = "The cats, which already ate the fish, were happy.\nThe cat was full.\n"


def test_a_text_a_file_and_standard_input_give_the_same_page(
    charlm: Any, cat_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    pages = []
    for name, text, given in (
        ("a", TEXT, None),
        ("b", tmp_path / "text.txt", None),
        ("c", "-", TEXT),
    ):
        output = tmp_path / f"{name}.html"
        ran = charlm("report", cat_path, text, "-o", output, input=given)
        source, saved = ran.err.splitlines()
        assert source.startswith("read ")
        assert saved.startswith(f"saved {output}, ")
        assert ran.out == ""
        page = output.read_text(encoding="utf-8")
        pages.append(page.partition('id="data">')[2])
    assert pages[0] == pages[1] == pages[2]


def test_the_corpus_gives_the_text_and_the_novelty(
    charlm: Any, cat_path: Path, cat_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "cats.html"
    ran = charlm("report", cat_path, "-o", output, "--corpus", cat_file, "--characters", "300")
    assert "the start of the validation text of cats.txt" in ran.err
    page = output.read_text(encoding="utf-8")
    assert "longest copied span" in page
    assert "bits per character of the validation text" in page.lower()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("Zürich",), 1, "the model never saw 'Z' (U+005A) at character 0"),
        (("",), 1, "TEXT is empty: give a text, a file or - (standard input)"),
        (("The", "--characters", "99999"), 2, "--characters: 99,999 cannot be shown; give at most"),
        (("The", "-o", "."), 2, ". is a folder; give -o a file's name"),
        (("The", "-o", "no/r.html"), 2, "no is not a folder; make it or give another -o"),
        (("The", "--corpus", "none.txt"), 1, "none.txt"),
    ],
    ids=str,
)
def test_refusals_are_one_line(
    charlm: Any,
    cat_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = charlm("report", cat_path, "-o", "r.html", *arguments, code=code)
    assert message in ran.err
    assert ran.err.startswith("charlm: ")
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "r.html").exists()


def test_what_the_model_never_saw_may_be_read_as_unknown(
    charlm: Any, cat_path: Path, tmp_path: Path
) -> None:
    output = tmp_path / "r.html"
    charlm("report", cat_path, "The Zoo was full.\n", "-o", output, "--on-unknown", "unk")
    assert "1 of them the model never saw" in output.read_text(encoding="utf-8")


def test_an_existing_file_is_kept_unless_forced(
    charlm: Any, cat_path: Path, tmp_path: Path
) -> None:
    output = tmp_path / "r.html"
    output.write_text("mine")
    ran = charlm("report", cat_path, TEXT, "-o", output, code=2)
    assert "exists; give --force to overwrite it" in ran.err
    assert output.read_text() == "mine"
    charlm("report", cat_path, TEXT, "-o", output, "--force")
    assert output.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_without_jinja2_one_line_says_how_to_get_it(
    charlm: Any, cat_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    ran = charlm("report", cat_path, TEXT, "-o", tmp_path / "r.html", code=1)
    assert ran.err == (
        "charlm: this needs jinja2, which is not installed; "
        "get it with: pip install '.[report]', in charlm's folder\n"
    )


def test_what_is_read_is_never_written_over(charlm: Any, cat_path: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The cat was full.\n")
    for output, what in ((text, "text"), (cat_path, "checkpoint")):
        err = charlm("report", cat_path, text, "-o", output, "--force", code=2).err
        assert err == f"charlm: -o {output} is the {what} {output}; give another -o\n"
    err = charlm("report", cat_path, tmp_path, "-o", text, "--force", code=2).err
    assert f"-o {text} is the text {text}" in err, "a folder is the files in it"
    assert text.read_text() == "The cat was full.\n"


def test_a_page_is_called_one(charlm: Any, cat_path: Path, tmp_path: Path) -> None:
    output = tmp_path / "r.pdf"
    err = charlm("report", cat_path, TEXT, "-o", output, code=2).err
    assert err == f"charlm: {output}: a page is .html; give -o such a name\n"


def test_a_model_of_lines_reads_whole_lines(charlm: Any, name_path: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Anna\nOtto\nAda\n")
    asked = ("report", name_path, text, "-o", tmp_path / "r.html", "--force", "--characters")
    assert "its first 10 of 14 characters" in charlm(*asked, 12).err
    assert charlm(*asked, 4, code=1).err == (
        "charlm: the first line of text.txt is longer than --characters 4, "
        "and this model reads whole lines; give more\n"
    )


def test_a_name_that_is_no_utf8_is_shown_safely(
    charlm: Any, cat_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a\udcffb.safetensors"
    try:
        shutil.copy(cat_path, path)
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    output = tmp_path / "r.html"
    charlm("report", path, TEXT, "-o", output)
    assert "<h1>a&lt;U+DCFF&gt;b</h1>" in output.read_text(encoding="utf-8")


def test_a_text_in_many_files_is_read_as_far_as_asked(
    charlm: Any, cat_path: Path, tmp_path: Path
) -> None:
    (folder := tmp_path / "d").mkdir()
    for name in "ab":
        (folder / f"{name}.txt").write_text("The cat was full.\n")
    err = charlm("report", cat_path, folder, "-o", tmp_path / "r.html").err
    assert "2 files (a.txt, b.txt) are read as one text\n" in err
    assert "read 2 files (a.txt, b.txt)\n" in err


@pytest.mark.parametrize("device", ["pipe.html", "/dev/null"])
def test_a_device_or_a_pipe_is_not_replaced(
    charlm: Any, cat_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.html")
    monkeypatch.setattr("charlm.atomic.replace", lambda *_: pytest.fail("it was written"))
    ran = charlm("report", cat_path, TEXT, "-o", device, "--force", code=2)
    assert ran.err == f"charlm: {device} is a device or a pipe; give -o a file's name\n"
