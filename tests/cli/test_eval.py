"""`charlm eval`: what a model needs for a text, beside what simpler means need."""

import bz2
import io
import json
import lzma
import math
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import KEYS, random_checkpoint

from charlm.api import load
from charlm.checkpoint import save
from charlm.cli import terminal

OF_THE_TEXT = {"streams", "trained_on_it", "baselines", "white_space_in_no_token"}


def evaluated(charlm: Any, *args: object) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(charlm("eval", *args, "--json").out)
    return record


@pytest.fixture
def part(cat_text: str, tmp_path: Path) -> Path:
    path = tmp_path / "part.txt"
    path.write_text(cat_text[:1500], encoding="utf-8")
    return path


def test_every_figure_is_named(charlm: Any, cat_path: Path, part: Path) -> None:
    exact = evaluated(charlm, cat_path, part)
    shown = charlm("eval", cat_path, part).out
    rows = dict(line.split("  ", 1) for line in shown.split("\n\n")[0].splitlines())
    rows = {name: value.strip() for name, value in rows.items()}
    assert rows["counted"] == "1,500 tokens, 1,500 characters, 1,500 bytes"
    assert rows["unseen tokens"] == "0"
    assert rows["ln P"] == f"{exact['log_probability']:.2f} nats"
    assert rows["bits per character"] == f"{exact['bits_per_character']:.4f}"
    assert rows["bits per byte"] == f"{exact['bits_per_byte']:.4f}"
    assert rows["bits per token"] == f"{exact['nats_per_token'] / math.log(2):.4f}"
    assert rows["nats per token"] == f"{exact['nats_per_token']:.4f}"
    assert rows["perplexity"] == f"{exact['perplexity']:.4f} per token"
    assert "state carried" in rows["text"]


def test_json_has_every_figure_in_full_precision(charlm: Any, cat_path: Path, part: Path) -> None:
    record = evaluated(charlm, cat_path, part)
    assert record.keys() >= KEYS | OF_THE_TEXT
    assert record["tokens"] == record["characters"] == record["bytes"] == 1500
    bits = -record["log_probability"] / math.log(2) / 1500
    assert record["bits_per_character"] == pytest.approx(bits, rel=1e-12)


def test_baselines_are_what_python_itself_gives(
    charlm: Any, cat_path: Path, part: Path, cat_text: str
) -> None:
    text = cat_text[:1500]
    baselines = evaluated(charlm, cat_path, part)["baselines"]
    assert baselines["bz2"] == 8 * len(bz2.compress(text.encode())) / 1500
    assert baselines["xz"] == 8 * len(lzma.compress(text.encode(), preset=6)) / 1500
    assert baselines["uniform over its characters"] == math.log2(len(set(text)))
    shares = [text.count(character) / 1500 for character in set(text)]
    entropy = -sum(share * math.log2(share) for share in shares)
    assert baselines["character counts"] == pytest.approx(entropy)
    shown = charlm("eval", cat_path, part).out
    assert all(f"{name} " in shown for name in ("this model", *baselines))


def test_baselines_of_lines_are_of_what_the_model_reads(
    charlm: Any, name_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "names.txt"
    path.write_text("\n\nAda\n\n\nBob\nClara", encoding="utf-8")
    sparse = evaluated(charlm, name_path, path)
    path.write_text("Ada\nBob\nClara\n", encoding="utf-8")
    assert sparse == evaluated(charlm, name_path, path)


@pytest.mark.parametrize(
    ("kind", "text"), [({"per_line": True}, "\n\n\n"), ({"tokenizer": "words"}, "  ")]
)
def test_a_text_with_nothing_to_predict_is_refused(
    charlm: Any, tmp_path: Path, kind: dict[str, Any], text: str
) -> None:
    save(tmp_path / "m.safetensors", random_checkpoint(**kind))
    (tmp_path / "text.txt").write_text(text)
    ran = charlm("eval", tmp_path / "m.safetensors", tmp_path / "text.txt", code=1)
    wanted = "charlm: text.txt is empty lines or spaces: it has nothing to predict\n"
    assert (ran.out, ran.err) == ("", wanted)


def test_a_file_from_stdin_is_the_same(
    charlm: Any, cat_path: Path, part: Path, cat_text: str
) -> None:
    piped = charlm("eval", cat_path, "-", "--json", input=cat_text[:1500]).out
    assert json.loads(piped) == evaluated(charlm, cat_path, part)


def test_several_files_are_sequences_of_their_own(
    charlm: Any, cat_path: Path, part: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("The cat went home.\n" * 9, encoding="utf-8")
    alone = [evaluated(charlm, cat_path, path) for path in (part, other)]
    both = evaluated(charlm, cat_path, part, other)
    for key in ("tokens", "characters", "bytes", "unseen_tokens"):
        assert both[key] == sum(record[key] for record in alone)
    sums = sum(record["log_probability"] for record in alone)
    assert both["log_probability"] == pytest.approx(sums, rel=1e-9)
    assert both["eos_counted"] is False
    out = charlm("eval", cat_path, part, other).out
    assert "2 files (part.txt, other.txt): each one sequence" in out


def test_a_folder_gets_the_figure_that_training_gave_it(charlm: Any, tmp_path: Path) -> None:
    for part, lines in (("poems", 40), ("held", 5)):
        (tmp_path / part).mkdir()
        for k in range(3):
            (tmp_path / part / f"{k}.txt").write_text("The cat sat.\n" * (lines + k))
    path = tmp_path / "poems.safetensors"
    options = ("--steps", 20, "--hidden-size", 8, "--threads", 1, "--quiet", "-o", path)
    charlm("train", tmp_path / "poems", "--valid", tmp_path / "held", *options)
    last = load(path).checkpoint.history[-1]["valid_nats"]
    found = evaluated(charlm, path, tmp_path / "held")
    assert found["nats_per_token"] == pytest.approx(last, rel=1e-5)
    (best,) = (line for line in charlm("info", path).out.splitlines() if line.startswith("best"))
    assert f"{found['bits_per_character']:.4f} bits per character" in best


def test_a_file_of_white_space_is_nothing_to_words(charlm: Any, tmp_path: Path) -> None:
    path = tmp_path / "words.safetensors"
    save(path, random_checkpoint(tokenizer="words"))
    (tmp_path / "a.txt").write_text("The cats were")
    (tmp_path / "b.txt").write_text("The cat")
    (tmp_path / "space.txt").write_text("   ")
    files = [tmp_path / f"{name}.txt" for name in ("a", "b", "space")]
    figures = [evaluated(charlm, path, *order) for order in (files, [files[2], *files[:2]])]
    for record in figures:
        assert record["tokens"] == 5
        assert record["log_probability"] == figures[0]["log_probability"]


def test_lines_are_sequences_with_an_end(charlm: Any, name_path: Path, names_file: Path) -> None:
    record = evaluated(charlm, name_path, names_file)
    lines = charlm("score", name_path, "-f", names_file, "--json").out.splitlines()
    sums = sum(json.loads(line)["log_probability"] for line in lines)
    assert record["eos_counted"] is True
    assert record["log_probability"] == pytest.approx(sums, rel=1e-6)
    assert "each line a sequence" in charlm("eval", name_path, names_file).out


def test_streams_estimate_and_say_so(charlm: Any, cat_path: Path, cat_file: Path) -> None:
    exact, fast = (evaluated(charlm, cat_path, cat_file, "--streams", n) for n in (1, 8))
    assert fast["streams"] == 8
    assert fast["tokens"] == exact["tokens"]
    assert fast["bits_per_character"] == pytest.approx(exact["bits_per_character"], rel=0.01)
    assert "an estimate" in charlm("eval", cat_path, cat_file, "--streams", 8).out


def test_only_parts_that_are_made_are_named(
    charlm: Any, cat_path: Path, part: Path, tmp_path: Path
) -> None:
    assert "in 5 parts" in charlm("eval", cat_path, part, "--streams", 99).out
    short = tmp_path / "short.txt"
    short.write_text("The cat was full.\n", encoding="utf-8")
    out = charlm("eval", cat_path, short, "--streams", 8).out
    assert "estimate" not in out
    assert "state carried" in out
    assert "in up to 5 parts" in charlm("eval", cat_path, part, short, "--streams", 8).out


def test_a_text_that_was_learned_is_said(
    charlm: Any, cat_path: Path, cat_file: Path, cat_text: str, tmp_path: Path
) -> None:
    learned = charlm("eval", cat_path, cat_file)
    assert "is what this model was trained on" in learned.err
    assert evaluated(charlm, cat_path, cat_file)["trained_on_it"] is True
    other = tmp_path / "other.txt"
    other.write_text(cat_text.replace("cat", "tac"), encoding="utf-8")
    assert "trained on" not in charlm("eval", cat_path, other).err
    assert evaluated(charlm, cat_path, other)["trained_on_it"] is False
    assert evaluated(charlm, cat_path, other, cat_file)["trained_on_it"] is True
    assert evaluated(charlm, cat_path, other, other)["trained_on_it"] is False


def test_lines_that_were_learned_are_said(charlm: Any, name_path: Path, names_file: Path) -> None:
    assert "is what this model was trained on" in charlm("eval", name_path, names_file).err


def test_lines_are_not_read_as_streams(charlm: Any, name_path: Path, names_file: Path) -> None:
    ran = charlm("eval", name_path, names_file, "--streams", 4, code=2)
    assert ran.err.startswith("charlm: --streams 4: a per-line model reads many lines side by side")


def test_adapting_is_shown_beside_the_static_figure(
    charlm: Any, cat_path: Path, part: Path
) -> None:
    static = evaluated(charlm, cat_path, part)
    record = evaluated(charlm, cat_path, part, "--adapt")
    adapted = record.pop("adapted")
    assert record == static
    assert adapted.keys() == static.keys() - OF_THE_TEXT
    lines = charlm("eval", cat_path, part, "--adapt").out.splitlines()
    shown = [line.rsplit(maxsplit=1) for line in lines if line.startswith("this model")]
    assert shown == [
        ["this model, adapting", f"{adapted['bits_per_character']:.4f}"],
        ["this model", f"{static['bits_per_character']:.4f}"],
    ]


def test_unseen_tokens_are_counted_with_and_without(
    charlm: Any, cat_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "foreign.txt"
    path.write_text("The Ω cat, the Ж cat.\n", encoding="utf-8")
    record = evaluated(charlm, cat_path, path)
    assert record["unseen_tokens"] == 2
    known = record["log_probability"] - record["unseen_log_probability"]
    assert f"without them ln P is {known:.2f}" in charlm("eval", cat_path, path).out
    assert record["bytes"] == record["characters"] + 2


@pytest.mark.parametrize("tokenizer", ["bytes", "words", "unigram", "bpe"])
def test_bits_per_character_whatever_the_tokens(
    charlm: Any, tokenizer: str, part: Path, tmp_path: Path
) -> None:
    from conftest import random_checkpoint

    from charlm.checkpoint import save

    path = tmp_path / f"{tokenizer}.safetensors"
    save(path, random_checkpoint(tokenizer=tokenizer))
    record = evaluated(charlm, path, part)
    assert record["characters"] == record["bytes"] == 1500
    assert (record["tokens"] == 1500) == (tokenizer == "bytes")
    bits = record["nats_per_token"] * record["tokens"] / 1500 / math.log(2)
    assert record["bits_per_character"] == pytest.approx(bits)


def test_a_terminal_is_told_how_far_a_long_task_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen, clock = Screen(), iter([0.0, 0.5, 1.5, 1.55, 3.0])
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(clock))
    with terminal.Waiting("reading a.txt") as waiting:
        for share in (0.1, 0.25, 0.26, 0.5):
            waiting.tell(share)
    drawn = screen.getvalue().split("\r\x1b[2K")
    assert [line.split("  ")[0] for line in drawn] == ["", *["reading a.txt"] * 2, ""]
    assert "25%" in drawn[1]
    assert "50%" in drawn[2]
    assert "3 s left" in drawn[2]


def test_the_share_that_is_done_rises_to_one(cat_model: Any, tmp_path: Path) -> None:
    from charlm.text import open_text

    paths = [tmp_path / f"{number}.txt" for number in range(3)]
    for path in paths:
        path.write_text("The cat was here.\n" * random.Random(path.name).randint(20, 60))
    shares: list[float] = []
    cat_model.evaluate(open_text(paths), watch=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert len(shares) > 3


def test_figures_that_unknown_words_make_look_better_say_so(charlm: Any, cat_path: Path) -> None:
    assert "does not spell" in charlm("eval", cat_path, "-", input="The cat ΩΩΩ was full.\n").out
    few = "The cat was full.\n" * 99 + "Ω"
    assert "does not spell" not in charlm("eval", cat_path, "-", input=few).out


def test_white_space_that_words_leave_out_is_told(charlm: Any, tmp_path: Path) -> None:
    path = tmp_path / "words.safetensors"
    save(path, random_checkpoint(tokenizer="words"))
    (text := tmp_path / "code.txt").write_text("The cats\n    The  cat \n" * 9)
    told = f"in no token         {6 * 9} characters (26.1 %) of white space"
    assert told in charlm("eval", path, text).out
    assert json.loads(charlm("eval", path, text, "--json").out)["white_space_in_no_token"] == 6 * 9
    text.write_text("The cats\nThe cat\n" * 9)
    assert "in no token" not in charlm("eval", path, text).out
