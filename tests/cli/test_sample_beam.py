"""`charlm sample --beam`: the likeliest texts, with the probabilities that `score` gives."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import random_checkpoint

from charlm.checkpoint import save

COMMON = ("--beam", 4, "--json")


def score_of(charlm: Any, path: Path, text: str, *options: Any) -> float:
    record = json.loads(charlm("score", path, text, *options, "--json").out)
    return float(record["log_probability"])


@pytest.mark.parametrize("prompt", ["", "An"])
def test_log_probabilities_are_those_of_score(charlm: Any, name_path: Path, prompt: str) -> None:
    out = charlm("sample", name_path, *COMMON, "--prompt", prompt, "--length", 6).out
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["number"] for record in records] == [1, 2, 3, 4]
    assert any(record["eos_counted"] for record in records)
    for record in records:
        assert record["text"].startswith(prompt)
        text = record["text"].removeprefix(prompt)
        ends = "--eos" if record["eos_counted"] else "--no-eos"
        expected = score_of(charlm, name_path, text, "--given", prompt, ends)
        assert record["log_probability"] == pytest.approx(expected, abs=1e-5)
        assert record["tokens"] == len(text) + record["eos_counted"]


def test_a_line_of_a_per_line_model_is_its_ln_p_and_its_text(charlm: Any, name_path: Path) -> None:
    lines = charlm("sample", name_path, "--beam", 3).out.splitlines()
    figures = [float(line.split("\t")[0]) for line in lines]
    assert figures == sorted(figures, reverse=True)
    assert len({line.split("\t")[1] for line in lines}) == 3


def test_lines_that_are_cut_are_told(charlm: Any, name_path: Path) -> None:
    ran = charlm("sample", name_path, "--beam", 2, "--length", 2, "--prompt", "Chr")
    assert "of them cut at --length" in ran.err
    assert "cut" not in charlm("sample", name_path, "--beam", 2).err


def test_long_texts_stand_under_their_ln_p(charlm: Any, cat_path: Path) -> None:
    out = charlm("sample", cat_path, "--beam", 2, "--length", 20, "--prompt", "The").out
    assert out.count("--- ln P -") == 2
    assert out.count(" ---\nThe") == 2


def test_a_beam_of_one_is_greedy(charlm: Any, cat_path: Path) -> None:
    greedy = charlm("sample", cat_path, "--temperature", 0, "--length", 30).out
    assert charlm("sample", cat_path, "--beam", 1, "--length", 30).out.split("\n", 1)[1] == greedy


def test_a_wider_beam_is_no_worse_and_repeats_itself(charlm: Any, cat_path: Path) -> None:
    best = []
    for width in (1, 8):
        arguments = ("sample", cat_path, "--beam", width, "--length", 40, "--json")
        out = charlm(*arguments).out
        assert out == charlm(*arguments).out
        best.append(json.loads(out.splitlines()[0])["log_probability"])
    assert best[1] >= best[0]


def test_the_length_penalty_ranks_by_its_score(charlm: Any, name_path: Path) -> None:
    out = charlm("sample", name_path, *COMMON, "--length-penalty", 2).out
    for record in map(json.loads, out.splitlines()):
        penalty = ((5 + record["tokens"]) / 6) ** 2
        assert record["score"] == pytest.approx(record["log_probability"] / penalty)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--beam", 2, "--temperature", 1.0), "--temperature means nothing to --beam"),
        (("--beam", 2, "--top-k", 3), "--top-k means nothing to --beam"),
        (("--beam", 2, "--seed", 3), "--seed means nothing to --beam"),
        (("--beam", 2, "--count", 2), "--count means nothing to --beam"),
        (("--beam", 2, "--unique"), "--unique means nothing to --beam"),
        (("--beam", 0), "--beam"),
        (("--length-penalty", 0.5), "--length-penalty belongs to --beam"),
        (("--beam", 2, "--length-penalty", -1), "--length-penalty: -1 cannot be used"),
        (("--beam", 2, "--length-penalty", 500), "it must be at least 0 and at most 10"),
    ],
)
def test_what_makes_no_sense_is_refused(
    charlm: Any, cat_path: Path, options: tuple[Any, ...], said: str
) -> None:
    assert said in charlm("sample", cat_path, *options, code=2).err


def test_what_several_sequences_of_bytes_spell_is_shown_once(charlm: Any, tmp_path: Path) -> None:
    path = tmp_path / "bytes.safetensors"
    save(path, random_checkpoint(tokenizer="bytes"))
    out = charlm("sample", path, "--beam", 40, "--length", 2, "--json").out
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["number"] for record in records] == list(range(1, len(records) + 1))
    texts = [record["text"] for record in records]
    assert len(set(texts)) == len(texts) < 40
    assert any("\ufffd" in text for text in texts)


def test_a_prompt_that_the_model_never_saw_is_refused(charlm: Any, cat_path: Path) -> None:
    assert "never saw '☃'" in charlm("sample", cat_path, *COMMON, "--prompt", "☃", code=1).err
    out = charlm("sample", cat_path, *COMMON, "--prompt", "☃", "--on-unknown", "unk").out
    assert json.loads(out.splitlines()[0])["text"].startswith("☃")
