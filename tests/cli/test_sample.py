"""`charlm sample`: text that is written as it comes, the same for the same seed, or new."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from charlm.api import Model
from charlm.cli import terminal, texts


def test_the_same_seed_writes_the_same_text(charlm: Any, cat_path: Path) -> None:
    texts = [charlm("sample", cat_path, "--length", 60, "--seed", seed).out for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_length_counts_tokens(charlm: Any, cat_path: Path) -> None:
    assert len(charlm("sample", cat_path, "--length", 60, "--seed", 1).out) == 61  # and a line end


def test_temperature_zero_is_greedy(charlm: Any, cat_path: Path) -> None:
    greedy = {charlm("sample", cat_path, "--temperature", 0, "--seed", s).out for s in range(3)}
    narrow = charlm("sample", cat_path, "--top-k", 1).out
    assert greedy == {narrow}


def test_the_prompt_is_printed_exactly(charlm: Any, cat_path: Path) -> None:
    out = charlm("sample", cat_path, "--prompt", "The cat\n  ", "--length", 5, "--seed", 1).out
    assert out.startswith("The cat\n  ")
    assert len(out) == len("The cat\n  ") + 5 + 1


def test_the_prompt_from_stdin_keeps_its_line_end(charlm: Any, cat_path: Path) -> None:
    out = charlm("sample", cat_path, "--prompt", "-", "--length", 0, input="The cats\n").out
    assert out == "The cats\n\n"


def test_a_line_from_stdin_is_a_prompt_without_its_end(charlm: Any, name_path: Path) -> None:
    command = ("sample", name_path, "--seed", 1, "--temperature", 0, "--prompt")
    assert charlm(*command, "-", input="An\n").out == charlm(*command, "An").out
    assert "holds a line end" in charlm(*command, "An\nna", code=2).err


def test_a_line_is_one_line_however_hot(charlm: Any, name_path: Path) -> None:
    hot = ("--temperature", 1e300, "--length", 60, "--seed", 1)
    assert len(charlm("sample", name_path, "--count", 100, *hot).out.splitlines()) == 100
    assert "\n" not in charlm("sample", name_path, *hot, "--allow-unk").out[:-1]


def test_a_prompt_that_is_not_utf8_is_refused_by_its_byte(charlm: Any, cat_path: Path) -> None:
    ran = charlm("sample", cat_path, "--prompt", "-", input=b"The \xff cat", code=1)
    assert ran.out == ""
    assert "<stdin>" in ran.err
    assert "0xFF" in ran.err
    latin = ("--encoding", "latin-1", "--on-unknown", "unk", "--length", 0)
    assert "ÿ" in charlm("sample", cat_path, "--prompt", "-", *latin, input=b"The \xff cat").out


def test_an_unseen_character_in_the_prompt_is_named(charlm: Any, cat_path: Path) -> None:
    ran = charlm("sample", cat_path, "--prompt", "The Ω", code=1)
    assert "U+03A9" in ran.err
    assert "character 4" in ran.err
    assert ran.out == ""
    accepted = charlm("sample", cat_path, "--prompt", "The Ω", "--on-unknown", "unk").out
    assert accepted.startswith("The Ω")


def test_stop_ends_the_text_before_it(charlm: Any, cat_path: Path) -> None:
    whole = charlm("sample", cat_path, "--seed", 1, "--length", 200).out
    out = charlm("sample", cat_path, "--seed", 1, "--length", 200, "--stop", ".\n").out
    assert out == whole.split(".\n")[0] + "\n"


def test_many_texts_are_the_same_as_one_by_one(charlm: Any, name_path: Path) -> None:
    two = charlm("sample", name_path, "--count", 2, "--seed", 5).out.splitlines()
    three = charlm("sample", name_path, "--count", 3, "--seed", 5).out.splitlines()
    assert three[:2] == two
    assert charlm("sample", name_path, "--seed", 5).out.splitlines() == two[:1]


def test_many_texts_are_written_in_several_batches(
    charlm: Any, name_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("sample", name_path, "--count", 7, "--seed", 5)
    together = charlm(*options).out
    monkeypatch.setattr(texts, "FIRST", 2)
    monkeypatch.setattr(texts, "TOGETHER", 3)
    assert charlm(*options).out == together


def test_long_texts_stand_apart(charlm: Any, cat_path: Path) -> None:
    out = charlm("sample", cat_path, "--count", 2, "--length", 20, "--seed", 1).out
    assert out.startswith("--- 1 ---\n")
    assert "\n--- 2 ---\n" in out


def test_json_has_one_object_a_text(charlm: Any, cat_path: Path) -> None:
    out = charlm("sample", cat_path, "--count", 2, "--length", 20, "--seed", 1, "--json").out
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["number"] for record in records] == [1, 2]
    assert all(len(record["text"]) == 20 for record in records)
    assert not any(record["ended"] for record in records)


def test_lines_that_length_cuts_are_told(charlm: Any, name_path: Path, names_file: Path) -> None:
    options = ("--count", 8, "--seed", 1, "--json", "--length")
    ran = charlm("sample", name_path, *options, 2, "--novelty", names_file)
    *records, last = [json.loads(line) for line in ran.out.splitlines()]
    cut = sum(not record["ended"] for record in records)
    assert cut >= 7
    assert f"{cut} of 8 cut at --length: no whole lines" in ran.err
    novelty = last["novelty"]
    assert novelty["texts"] == 8
    assert f"lines: {100 * novelty['new_lines']:.1f} % new, " in ran.err
    ran = charlm("sample", name_path, *options, 200)
    assert all(json.loads(line)["ended"] for line in ran.out.splitlines())
    assert "cut at" not in ran.err
    ran = charlm("sample", name_path, "--seed", 1, "--length", 2)
    assert "1 of 1 cut at --length" in ran.err
    ran = charlm("sample", name_path, "--seed", 1, "--length", 2, "--stop", ran.out[1])
    assert "cut at" not in ran.err


def test_novelty_goes_to_stderr(charlm: Any, cat_path: Path, cat_file: Path) -> None:
    ran = charlm("sample", cat_path, "--length", 200, "--seed", 1, "--novelty", cat_file)
    assert len(ran.out) == 201
    assert "longest copied span" in ran.err
    assert "32 characters" in ran.err


def test_the_novelty_of_a_text_leaves_its_prompt_out(
    charlm: Any, cat_path: Path, cat_file: Path, cat_text: str
) -> None:
    prompt = cat_text[:60]
    options = ("--length", 3, "--top-k", 1, "--novelty", cat_file)
    ran = charlm("sample", cat_path, "--prompt", prompt, *options)
    assert "longest copied span: 3 characters" in ran.err


def test_unique_and_novel_write_on_until_there_are_enough(
    charlm: Any, name_path: Path, names_file: Path, names: list[str]
) -> None:
    options = ("--count", 30, "--seed", 1, "--temperature", 0.6, "--novelty", names_file)
    first = charlm("sample", name_path, *options).out.splitlines()
    assert set(first) & set(names) or len(set(first)) < 30, "else this test shows nothing"
    kept = charlm("sample", name_path, *options, "--unique", "--novel").out.splitlines()
    assert len(kept) == len(set(kept)) == 30
    assert not set(kept) & set(names)
    fewer = charlm("sample", name_path, *options, "--unique", "--novel", "--count", 10)
    assert fewer.out.splitlines() == kept[:10]


def test_texts_are_shown_as_soon_as_they_are_written(
    charlm: Any, name_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--count", 9, "--seed", 1)
    all_at_once = charlm("sample", name_path, *options).out
    written, first = texts._texts, []

    def stopped(*args: Any) -> list[str]:
        if first:
            raise KeyboardInterrupt
        first.append(args)
        return written(*args)

    monkeypatch.setattr(texts, "TOGETHER", 4)
    assert charlm("sample", name_path, *options).out == all_at_once
    monkeypatch.setattr(texts, "_texts", stopped)
    ran = charlm("sample", name_path, *options, code=None)
    assert ran.out.splitlines() == all_at_once.splitlines()[:4]


def test_a_prompt_makes_nothing_new(
    charlm: Any, cat_path: Path, cat_file: Path, cat_text: str
) -> None:
    options = ("--prompt", "ta", "--length", 4, "--temperature", 0, "--novelty", cat_file)
    (text,) = charlm("sample", cat_path, *options).out.splitlines()
    assert text not in cat_text
    assert text.removeprefix("ta") in cat_text, "else this test shows nothing"
    ran = charlm("sample", cat_path, *options, "--novel")
    assert ran.out == ""
    assert ran.err.startswith("only 0 of 1 after 20 tries")


def test_a_stop_that_is_never_written_is_said(charlm: Any, cat_path: Path) -> None:
    err = charlm("sample", cat_path, "--stop", "\\n\\n", "--length", 3, "--seed", 1).err
    assert err.startswith("--stop: this model never writes '\\\\'; for a line's end give $'\\n'")
    assert not charlm("sample", cat_path, "--stop", ".\n", "--length", 3, "--seed", 1).err


def test_unique_gives_up_after_many_tries_and_says_so(charlm: Any, name_path: Path) -> None:
    ran = charlm("sample", name_path, "--temperature", 0, "--count", 3, "--unique")
    assert len(ran.out.splitlines()) == 1
    assert ran.err.startswith("only 1 of 3 after 60 tries")


def test_novel_needs_a_corpus(charlm: Any, name_path: Path) -> None:
    assert "--novelty" in charlm("sample", name_path, "--novel", code=2).err


@pytest.mark.parametrize(
    ("option", "value"), [("--temperature", "-1"), ("--temperature", "nan"), ("--top-p", "0")]
)
def test_values_out_of_range_are_named(
    charlm: Any, cat_path: Path, option: str, value: str
) -> None:
    ran = charlm("sample", cat_path, option, value, code=2)
    assert option in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_word_model_joins_its_text_to_the_prompt(charlm: Any, tmp_path: Path) -> None:
    from conftest import random_checkpoint

    from charlm.checkpoint import save

    path = tmp_path / "words.safetensors"
    save(path, random_checkpoint(tokenizer="words"))
    options = ("--length", 12, "--seed", 4)
    spaced = charlm("sample", path, "--prompt", "The cat ", *options).out
    assert charlm("sample", path, "--prompt", "The cat", *options).out == spaced
    record = charlm("sample", path, "--prompt", "The cat", *options, "--json").out
    assert json.loads(record)["text"] + "\n" == spaced
    assert "<UNK>" not in spaced
    part = charlm("sample", path, "--stop", "ca", *options)
    assert part.err == "", "a part of a word may be written"
    assert "  " not in spaced


def test_text_streams_and_imports_no_torch(cat_path: Path) -> None:
    """The first characters are there before the last are written, in a process without torch."""
    script = (
        "import sys, charlm.cli.terminal as terminal\n"
        "from charlm.cli import charlm\n"
        "write, seen = terminal.write, []\n"
        "terminal.write = lambda text, raw=False: (seen.append(text), write(text, raw))\n"
        "try:\n"
        f"    charlm(['sample', {str(cat_path)!r}, '--length', '40'])\n"
        "except SystemExit:\n"
        "    assert 'torch' not in sys.modules\n"
        "    assert len(seen) > 40, seen\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def test_a_closed_pipe_is_no_error(cat_path: Path) -> None:
    command = [sys.executable, "-m", "charlm", "sample", str(cat_path), "--length", "20000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        os.read(process.stdout.fileno(), 1)
        process.stdout.close()
        assert process.wait() == 0
        assert process.stderr.read() == b""


def test_raw_is_handed_to_the_terminal(
    charlm: Any, cat_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(terminal, "write", lambda text, raw=False: shown.append(f"{raw}:{text}"))
    charlm("sample", cat_path, "--prompt", "The ", "--length", 0)
    charlm("sample", cat_path, "--prompt", "The ", "--length", 0, "--raw")
    assert [text for text in shown if "The" in text] == ["False:The ", "True:The "]


def test_nothing_is_written_after_the_last_stop(
    charlm: Any, cat_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--count", 5, "--seed", 1, "--stop", ".", "--length")
    short = charlm("sample", cat_path, *options, 256).out
    drawn, stream = [], Model.stream

    def counted(*args: Any, **more: Any) -> Any:
        for tokens in stream(*args, **more):
            drawn.append(tokens)
            yield tokens

    monkeypatch.setattr(Model, "stream", counted)
    assert charlm("sample", cat_path, *options, 20_000).out == short
    assert "." not in short
    assert len(drawn) <= 256


def test_a_corpus_with_other_line_ends_says_so(
    charlm: Any, name_path: Path, names: list[str], tmp_path: Path
) -> None:
    (other := tmp_path / "names.txt").write_bytes("\r\n".join(names).encode())
    assert "CR LF" in charlm("sample", name_path, "--novel", "--novelty", other).err


def test_few_passes_over_the_corpus_find_what_is_new(
    charlm: Any, name_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes, written = [], texts._texts

    def counted(*args: Any) -> list[str]:
        passes.append(args)
        return written(*args)

    monkeypatch.setattr(texts, "_texts", counted)
    options = ("--count", 3, "--temperature", 0, "--unique", "--seed", 1)
    ran = charlm("sample", name_path, *options)
    assert "only 1 of 3 after 60 tries" in ran.err
    assert len(passes) <= 6
