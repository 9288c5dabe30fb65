"""`charlm tokenize`: how a text is cut."""

import json
from pathlib import Path
from typing import Any

import pytest

KINDS = ["characters", "bytes", "words", "unigram", "bpe"]


@pytest.mark.parametrize("kind", KINDS)
def test_counts_and_pieces_agree(charlm: Any, cat_file: Path, cat_text: str, kind: str) -> None:
    sizes = ["--vocab-size", 320] if kind in ("unigram", "bpe") else []
    out = charlm("tokenize", cat_file, "--tokenizer", kind, *sizes, "--json").out
    record = json.loads(out)
    assert record["tokenizer"]["kind"] == kind
    assert record["characters"] == len(cat_text)
    assert record["unseen_tokens"] == 0
    assert record["characters_per_token"] == record["characters"] / record["tokens"]
    assert len(record["first"]) == 40
    pieces = "".join(token["piece"] for token in record["first"])
    start = cat_text.replace(" ", "") if kind == "words" else cat_text
    assert start.startswith(pieces)
    assert all(1 <= token["count"] <= record["tokens"] for token in record["first"])


def test_the_table_makes_spaces_visible(charlm: Any, cat_file: Path) -> None:
    lines = charlm("tokenize", cat_file, "--show", 6).out.splitlines()
    assert lines[0].split()[:2] == ["tokenizer", "characters,"]
    header = next(k for k, line in enumerate(lines) if line.startswith("piece"))
    assert lines[header].split() == ["piece", "number", "in", "the", "text"]
    assert [line.split()[0] for line in lines[header + 2 :]] == list("The␣ca")


def test_a_checkpoints_tokenizer_meets_a_new_text(
    charlm: Any, cat_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "new.txt"
    path.write_text("The Ω cat", encoding="utf-8")
    record = json.loads(charlm("tokenize", path, "--checkpoint", cat_path, "--json").out)
    assert record["unseen_tokens"] == 1
    assert [token["piece"] for token in record["first"]][3:6] == [" ", "<UNK>", " "]


def test_min_count_and_vocab_size_leave_rare_ones_out(charlm: Any) -> None:
    text = "aaaa bbb cc d"
    whole = json.loads(charlm("tokenize", "-", "--json", input=text).out)
    often = json.loads(charlm("tokenize", "-", "--min-count", 3, "--json", input=text).out)
    few = json.loads(charlm("tokenize", "-", "--vocab-size", 4, "--json", input=text).out)
    assert (whole["tokenizer"]["size"], whole["unseen_tokens"]) == (7, 0)
    assert (often["tokenizer"]["size"], often["unseen_tokens"]) == (5, 3)
    assert few["tokenizer"]["size"] == 4


def test_show_nothing_but_the_summary(charlm: Any, cat_file: Path) -> None:
    assert "piece" not in charlm("tokenize", cat_file, "--show", 0).out


def test_what_can_write_every_text_leaves_nothing_out(charlm: Any) -> None:
    for kind in ("bytes", "bpe"):
        options = ("--tokenizer", kind, "--min-count", 3)
        assert "--min-count 3" in charlm("tokenize", "-", *options, input="aaaa", code=2).err
