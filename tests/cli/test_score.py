"""`charlm score`: log-probabilities of sentences, lines and tokens, each labelled."""

import json
import math
import subprocess
import sys
import threading
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import KEYS, random_checkpoint

from charlm.api import Model, load
from charlm.checkpoint import save
from charlm.cli import sentences

GOOD, BAD = "The cat was full.", "The cat were full."


def records(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_one_sentence_is_shown_in_full(charlm: Any, cat_path: Path) -> None:
    shown = dict(line.split("  ", 1) for line in charlm("score", cat_path, GOOD).out.splitlines())
    (exact,) = records(charlm("score", cat_path, GOOD, "--json").out)
    assert shown["sentence"].strip() == GOOD
    assert shown["ln P"].strip() == f"{exact['log_probability']:.3f} nats"
    assert shown["bits per character"].strip() == f"{exact['bits_per_character']:.4f}"
    assert shown["perplexity"].strip() == f"{exact['perplexity']:.3f} per character"
    assert shown["tokens"].strip() == f"{len(GOOD)}, 0 of them unseen"
    assert "zero state" in shown["counted"]
    assert "without its end" in shown["counted"]


def test_json_has_every_figure_in_full_precision(charlm: Any, cat_path: Path) -> None:
    (record,) = records(charlm("score", cat_path, GOOD, "--json").out)
    assert record.keys() >= KEYS | {"text"}
    ln_p = record["log_probability"]
    assert record["log10_probability"] == ln_p / math.log(10)
    assert record["bits_per_character"] == -ln_p / math.log(2) / len(GOOD)
    assert record["nats_per_token"] == -ln_p / record["tokens"]
    assert record["perplexity"] == math.exp(record["nats_per_token"])
    assert record["eos_counted"] is False


def test_two_sentences_are_compared(charlm: Any, cat_path: Path) -> None:
    first, second = records(charlm("score", cat_path, BAD, GOOD, "--json").out)
    lines = charlm("score", cat_path, BAD, GOOD).out.splitlines()
    assert lines[0].split() == [
        *("ln", "P", "P", "bits/char", "perplexity", "tokens", "unseen", "sentence")
    ]
    nats = second["log_probability"] - first["log_probability"]
    assert nats > 0, "the small model has learned the agreement"
    assert f"likelier    {GOOD}" in lines
    (by,) = [line for line in lines if line.startswith("by ")]
    assert f"({nats:.3f} nats)" in by
    assert "times" in by


def test_of_many_sentences_the_likeliest_is_named(charlm: Any, name_path: Path) -> None:
    out = charlm("score", name_path, "Anna", "Xqzzz", "Zzzzzx").out
    assert "likeliest   Anna" in out
    assert 'over "' in out


def test_equal_sentences_are_equal(charlm: Any, cat_path: Path) -> None:
    assert "likelier    neither" in charlm("score", cat_path, GOOD, GOOD).out


def test_given_is_context_and_not_counted(charlm: Any, cat_path: Path) -> None:
    given, rest = GOOD[:8], GOOD[8:]
    (whole,) = records(charlm("score", cat_path, GOOD, "--json").out)
    (start,) = records(charlm("score", cat_path, given, "--json").out)
    (end,) = records(charlm("score", cat_path, rest, "--given", given, "--json").out)
    assert end["tokens"] == len(rest)
    both = start["log_probability"] + end["log_probability"]
    assert both == pytest.approx(whole["log_probability"], abs=1e-4)
    assert "after the given text" in charlm("score", cat_path, rest, "--given", given).out


def test_the_end_is_counted_by_per_line_models_or_on_demand(
    charlm: Any, cat_path: Path, name_path: Path
) -> None:
    for path, option, counted in (
        (cat_path, [], False),
        (cat_path, ["--eos"], True),
        (name_path, [], True),
        (name_path, ["--no-eos"], False),
    ):
        (record,) = records(charlm("score", path, "Tom", *option, "--json", code=None).out)
        assert record["eos_counted"] is counted
        assert record["tokens"] == 3 + counted


def test_unseen_tokens_are_counted_or_refused(charlm: Any, cat_path: Path) -> None:
    (record,) = records(charlm("score", cat_path, "The Ωmega", "--json").out)
    assert record["unseen_tokens"] >= 1
    assert "of them unseen" in charlm("score", cat_path, "The Ωmega").out
    ran = charlm("score", cat_path, "The Ωmega", "--on-unknown", "error", code=1)
    assert ran.err.startswith("charlm: \"The Ωmega\": the model never saw 'Ω' (U+03A9)")


def test_per_token_adds_up(charlm: Any, cat_path: Path) -> None:
    (record,) = records(charlm("score", cat_path, GOOD, "--per-token", "--json").out)
    (whole,) = records(charlm("score", cat_path, GOOD, "--json").out)
    tokens = record["tokens"]
    assert "".join(token["piece"] for token in tokens) == GOOD
    assert -sum(t["nats"] for t in tokens) == pytest.approx(whole["log_probability"], abs=1e-4)
    assert all(t["probability"] == math.exp(-t["nats"]) for t in tokens)
    shown = charlm("score", cat_path, GOOD, "--per-token").out
    assert f"{len(GOOD)} tokens" in shown
    assert len([line for line in shown.splitlines() if line.startswith("␣")]) == 3


def test_next_ranks_what_may_come(charlm: Any, cat_path: Path) -> None:
    (record,) = records(charlm("score", cat_path, "--next", "The ca", "--json").out)
    assert [token["rank"] for token in record["next"]] == list(range(1, 11))
    assert record["next"][0]["piece"] == "t"
    probabilities = [token["probability"] for token in record["next"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) <= 1.000001
    given = records(charlm("score", cat_path, "--next", "ca", "--given", "The ", "--json").out)
    assert given[0]["next"][0]["nats"] == pytest.approx(record["next"][0]["nats"], abs=1e-5)
    assert charlm("score", cat_path, "--next", "The ca").out.startswith('"The ca": likeliest next')


def test_next_after_what_is_given_joins_words_and_not_letters(charlm: Any, tmp_path: Path) -> None:
    path = tmp_path / "words.safetensors"
    save(path, random_checkpoint(tokenizer="words"))
    whole, parts = (
        records(charlm("score", path, "--next", *words, "--json").out)[0]["next"]
        for words in (["The cat"], ["cat", "--given", "The"])
    )
    assert whole == parts


def test_the_lines_of_a_file_come_in_order_between_tabs(
    charlm: Any, name_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "some.txt"
    path.write_text("Anna\nXqz\n\nTom", encoding="utf-8")
    rows = [line.split("\t") for line in charlm("score", name_path, "-f", path).out.splitlines()]
    assert [(row[0], row[-1]) for row in rows] == [
        *(("1", "Anna"), ("2", "Xqz"), ("3", ""), ("4", "Tom"))
    ]
    scores = records(charlm("score", name_path, "-f", path, "--json").out)
    assert [record["line"] for record in scores] == [1, 2, 3, 4]
    for row, record in zip(rows, scores, strict=True):
        assert float(row[1]) == pytest.approx(record["log_probability"], abs=5e-4)
        assert float(row[3]) == pytest.approx(record["bits_per_character"], abs=5e-5)
        assert int(row[5]) == record["tokens"]
        assert int(row[6]) == record["unseen_tokens"]
    (alone,) = records(charlm("score", name_path, "Xqz", "--json").out)
    assert scores[1]["log_probability"] == pytest.approx(alone["log_probability"], abs=1e-5)


def test_sorted_by_surprise_the_strangest_comes_first(
    charlm: Any, name_path: Path, names: list[str]
) -> None:
    lines = "\n".join([*names[:20], "Qx#7zzq", *names[20:40]])
    out = charlm("score", name_path, "-f", "-", "--sort", "surprise", input=lines).out
    rows = [line.split("\t") for line in out.splitlines()]
    assert (rows[0][0], rows[0][-1]) == ("21", "Qx#7zzq")
    surprises = [float(row[3]) for row in rows]
    assert surprises == sorted(surprises, reverse=True)
    assert len(rows) == 41


def test_sentences_are_sorted_too(charlm: Any, name_path: Path) -> None:
    out = charlm("score", name_path, "Anna", "Qx#7zzq", "--sort", "surprise", "--json").out
    assert [record["text"] for record in records(out)] == ["Qx#7zzq", "Anna"]


def test_tokens_of_the_lines_of_a_file(charlm: Any, name_path: Path) -> None:
    out = charlm("score", name_path, "-f", "-", "--per-token", "--json", input="Anna\nTom\n").out
    assert [record["text"] for record in records(out)] == ["Anna", "Tom"]
    shown = charlm("score", name_path, "Anna", "Tom", "--per-token").out
    assert '\n\n"Tom": ' in shown


def test_of_equal_sentences_none_is_the_likeliest(charlm: Any, name_path: Path) -> None:
    out = charlm("score", name_path, "Anna", "Anna", "Anna", "Xqz").out
    assert "likeliest   several, equally" in out
    assert "times" not in out


def test_equal_lines_stay_in_the_files_order(
    charlm: Any, name_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charlm.cli.sentences.BLOCK", 7)
    lines = "\n".join([*["Anna"] * 12, "Qx#7zzq"])
    out = charlm("score", name_path, "-f", "-", "--sort", "surprise", input=lines).out
    assert [int(row.split("\t")[0]) for row in out.splitlines()] == [13, *range(1, 13)]


def test_a_sentence_stays_on_its_line(charlm: Any, name_path: Path) -> None:
    lines = charlm("score", name_path, "An\tna", "Anna").out.splitlines()
    assert [line.split()[-1] for line in lines[2:4]] == ["An␉na", "Anna"]


def test_lines_of_several_files_are_named_by_their_file(
    charlm: Any, name_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("Anna\n", encoding="utf-8")
    (tmp_path / "b").write_text("Tim\n", encoding="utf-8")
    rows = charlm("score", name_path, "-f", tmp_path / "b", "-f", tmp_path / "a").out.splitlines()
    places = [f"{tmp_path / 'b'}:1", f"{tmp_path / 'a'}:1"]
    assert [row.split("\t")[0] for row in rows] == places
    err = charlm("score", name_path, "-f", tmp_path / "a", tmp_path / "b", code=2).err
    assert "give sentences, or -f before each FILE" in err
    err = charlm("score", name_path, tmp_path / "a").err
    assert "is scored as a sentence itself; for the lines of a file give -f" in err


def test_what_is_unseen_is_told_wherever_it_counts(charlm: Any, name_path: Path) -> None:
    ran = charlm("score", name_path, "--per-word", "Anna ΩmΩ", "--no-eos")
    assert ", 3 unseen" in ran.out.splitlines()[0]
    rows = [line.split() for line in ran.out.splitlines()[2:]]
    assert rows[0] == ["word", "P", "bits", "tokens", "unseen"]
    assert [row[0] + row[-1] for row in rows[2:]] == ["Anna0", "ΩmΩ3"]
    [record] = records(charlm("score", name_path, "--per-word", "Anna ΩmΩ", "--json").out)
    assert [word["unseen"] for word in record["words"]] == [0, 3, 0]
    assert record["unseen_tokens"] == 3
    assert "unseen" not in charlm("score", name_path, "--per-token", "Anna").out
    ran = charlm("score", name_path, "--given", "ΩA", "nna")
    assert ran.err == "--given: 1 of its tokens unseen, read as <UNK>\n"
    html = load(name_path).score("aΩ")._repr_html_()
    assert ">Ω</span>" in html
    assert ", unseen" in html


def test_lines_of_a_folder_are_named_by_their_file(
    charlm: Any, name_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("Anna\nTom", encoding="utf-8")
    (tmp_path / "b").write_text("Tim\nOmΩ\n", encoding="utf-8")
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    places = [f"{a}:1", f"{a}:2", f"{b}:1", f"{b}:2"]
    rows = charlm("score", name_path, "-f", tmp_path).out.splitlines()
    assert [row.split("\t")[0] for row in rows] == places
    words = charlm("score", name_path, "-f", tmp_path, "--per-word", "--no-eos").out.splitlines()
    assert [row.split("\t")[0] for row in words] == places
    found = records(charlm("score", name_path, "-f", tmp_path, "--json").out)
    assert [(one["file"], one["line"]) for one in found] == [(a, 1), (a, 2), (b, 1), (b, 2)]
    err = charlm("score", name_path, "-f", tmp_path, "--on-unknown", "error", code=1).err
    assert f"{tmp_path / 'b'}, line 2: the model never saw 'Ω'" in err
    monkeypatch.setattr("charlm.cli.sentences.LONGEST", 3)
    assert (
        f"{tmp_path / 'a'}, line 1: longer"
        in charlm("score", name_path, "-f", tmp_path, code=1).err
    )


def test_tokens_of_lines_are_rows_in_a_pipe(charlm: Any, tmp_path: Path) -> None:
    save(tmp_path / "words", random_checkpoint(tokenizer="words"))
    options = ("-f", "-", "--per-token")
    out = charlm("score", tmp_path / "words", *options, input="The cat zzz\nwas\n").out
    rows = [line.split("\t") for line in out.splitlines()]
    assert {len(row) for row in rows} == {6}
    assert [row[0] for row in rows] == ["1", "1", "1", "2"]
    (unseen,) = [row for row in rows if row[-1]]
    assert (unseen[1], unseen[-1]) == ("<UNK>", "zzz")
    lines = records(charlm("score", tmp_path / "words", *options, "--json", input="The zzz\n").out)
    assert [token["unseen"] for token in lines[0]["tokens"]][-1] == "zzz"
    whole = records(charlm("score", tmp_path / "words", "The cat zzz", "--json").out)[0]
    figures = [float(row[2]) for row in rows if row[0] == "1"]
    assert sum(figures) == pytest.approx(whole["log_probability"], abs=1e-3)


def test_words_are_shown_as_tokens_are(charlm: Any, cat_path: Path) -> None:
    out = charlm("score", cat_path, "--per-word", GOOD).out.splitlines()
    assert out[2].split() == ["word", "P", "bits", "tokens"]
    assert [line.split()[0] for line in out[4:]] == GOOD.split()
    (record,) = records(charlm("score", cat_path, "--per-word", GOOD, "--json").out)
    assert record["log_probability"] == pytest.approx(-sum(w["nats"] for w in record["words"]))
    rows = charlm("score", cat_path, "-f", "-", "--per-word", input=GOOD + "\n").out.splitlines()
    assert [row.split("\t")[:2] for row in rows] == [["1", word] for word in GOOD.split()]
    assert (
        "give one of the two"
        in charlm("score", cat_path, "--per-word", "--per-token", GOOD, code=2).err
    )


def test_line_faults_name_the_line(charlm: Any, name_path: Path) -> None:
    ran = charlm("score", name_path, "-f", "-", "--on-unknown", "error", input="Tom\nΩ\n", code=1)
    assert "<stdin>, line 2: the model never saw 'Ω'" in ran.err


def test_carriage_returns_are_said(charlm: Any, name_path: Path) -> None:
    assert "CR LF" in charlm("score", name_path, "-f", "-", input="Tom\r\nAnna\r\n").err


def test_sentences_or_a_file_are_needed(charlm: Any, name_path: Path) -> None:
    for wrong in ([], ["Anna", "-f", "-"], ["Anna", "--next", "--per-token"]):
        ran = charlm("score", name_path, *wrong, code=2)
        assert "one of the two" in ran.err


def test_a_probability_too_small_for_a_float_is_shown(charlm: Any, name_path: Path) -> None:
    assert "\nP                   10^-" in charlm("score", name_path, "zzxq" * 80).out


def test_times_are_three_digits_at_every_power() -> None:
    from charlm.cli.score import _times

    shown = [_times(math.log10(times)) for times in (1.0234, 99.96, 999.4, 999.7, 1004, 10_940)]
    assert shown == ["1.02", "100", "999", "1,000", "1,000", "10,900"]


def test_a_pipe_gets_numbers(charlm: Any, name_path: Path) -> None:
    out = charlm("score", name_path, "-f", "-", input="Anna\n\n" + "zzxq" * 300 + "\n").out
    rows = [line.split("\t") for line in out.splitlines()]
    for row in rows:
        mantissa, exponent = row[2].split("e")
        log10 = math.log10(float(mantissa)) + int(exponent)
        assert log10 == pytest.approx(float(row[1]) / math.log(10), rel=1e-3)
    surprise = charlm("score", name_path, "-f", "-", "--sort", "surprise", input="Anna\n\nX\n").out
    assert [line.split("\t")[-1] for line in surprise.splitlines()] == ["X", "Anna", ""]


def test_long_lines_are_scored_a_few_at_a_time(
    charlm: Any, name_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks: list[int] = []
    scores = Model.scores

    def counted(model: Model, texts: list[str], **options: Any) -> Any:
        blocks.append(len(texts))
        return scores(model, texts, **options)

    monkeypatch.setattr(Model, "scores", counted)
    monkeypatch.setattr("charlm.cli.sentences.LONGEST", 8)
    rows = charlm("score", name_path, "-f", "-", input="Anna\nTom\nAnna\nTim\n").out.splitlines()
    assert blocks == [3, 1]
    assert [row.split("\t")[0] for row in rows] == ["1", "2", "3", "4"]


def test_a_perplexity_that_no_screen_holds_is_a_power_of_ten(charlm: Any, tmp_path: Path) -> None:
    checkpoint, path = random_checkpoint(), tmp_path / "sure.safetensors"
    checkpoint.weights["output.bias"][2:] += np.linspace(0, 5e3, checkpoint.tokenizer.size - 2)
    save(path, checkpoint)
    shown = charlm("score", path, "The").out
    log10 = Model(checkpoint).score("The").nats_per_token / math.log(10)
    assert f"10^{log10:.1f} per character" in shown
    row = charlm("score", path, "-f", "-", input="The\n").out.split("\t")
    assert float(Decimal(row[4]).log10()) == pytest.approx(log10, rel=1e-4)
    (record,) = records(charlm("score", path, "The", "--json").out)
    assert record["perplexity"] is None


def test_certainty_has_no_sign(charlm: Any, tmp_path: Path) -> None:
    checkpoint, path = random_checkpoint(), tmp_path / "sure.safetensors"
    (token,) = checkpoint.tokenizer.encode("e")
    checkpoint.weights["output.bias"][token] = 1e4
    save(path, checkpoint)
    for option in ("--per-token", "--next", "--per-word"):
        assert "-0.0" not in charlm("score", path, "ee", option, "--json").out


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_overflows_is_refused_by_name(charlm: Any, tmp_path: Path) -> None:
    checkpoint, path = random_checkpoint("rnn-relu", tokenizer="bytes"), tmp_path / "relu"
    checkpoint.weights["rnn.weight_hh_l0"][:] = np.eye(12) * 4
    save(path, checkpoint)
    text = "The cat " * 40
    (file := tmp_path / "text.txt").write_text(text)
    for command in (
        ["score", path, text],
        ["score", path, text, "--json", "--per-token"],
        ["score", path, "--next", text],
        ["score", path, "-f", file, "--sort", "surprise"],
        ["eval", path, file, "--json"],
        ["sample", path, "--prompt", text, "--length", 3],
        ["sample", path, "--prompt", text, "--length", 3, "--temperature", 0],
        ["sample", path, "--prompt", text, "--beam", 2],
        ["inspect", path, file, "--json"],
    ):
        err = charlm(*command, code=1).err
        assert err.startswith("charlm: the network's numbers grow past what float32 holds"), command
        assert err.count("\n") == 1
    assert "'The cat The cat" in charlm("score", path, text, code=1).err


@pytest.mark.parametrize("option", [[], ["--json"], ["--per-token"], ["--next", "--json"]])
def test_a_line_is_answered_before_the_next_is_there(name_path: Path, option: list[str]) -> None:
    command = [sys.executable, "-m", "charlm", "score", str(name_path), "-", *option]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:
        assert process.stdin
        assert process.stdout
        late = threading.Timer(120, process.kill)
        late.start()
        for line in ("Anna", "Tom"):
            process.stdin.write(f"{line}\n")
            answer = process.stdout.readline()
            assert answer.startswith(("1", "2", "{"))
            while option == ["--per-token"] and "<EOS>" not in answer:
                answer = process.stdout.readline()
        process.stdin.close()
        assert not process.stdout.read()
        late.cancel()
    assert process.returncode == 0


def test_lines_are_made_one_by_one() -> None:
    tracemalloc.start()
    count = sum(1 for lines in sentences._split("a", ["b\n" * 2**18] * 2) for _ in lines)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 2**19
    assert most < 10e6


def test_what_is_noticed_is_said_before_the_lines_and_once(name_path: Path) -> None:
    command = [sys.executable, "-m", "charlm", "score", str(name_path), "-"]
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    ran = subprocess.run(command, input=b"Anna\r\n" * 3 + b"Tom\n\xff\n", check=False, **both)
    lines = ran.stdout.decode().splitlines()
    assert "CR LF" in lines[0]
    assert [line.split("\t")[0] for line in lines[1:5]] == ["1", "2", "3", "4"]
    assert "<stdin> is not utf-8 (0xFF at byte 22" in lines[5]
    assert len(lines) == 6
    assert ran.returncode == 1


def test_a_dash_stands_alone(charlm: Any, name_path: Path) -> None:
    for given in (["-", "Anna"], ["Anna", "-"], ["-", "-f", "-"]):
        assert (
            "- is standard input: give it alone" in charlm("score", name_path, *given, code=2).err
        )


def test_a_dash_is_standard_input(charlm: Any, name_path: Path) -> None:
    lines = "Anna\nTom\n"
    expected = charlm("score", name_path, "-f", "-", input=lines).out
    assert charlm("score", name_path, "-", input=lines).out == expected != ""
