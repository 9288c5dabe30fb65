"""`charlm train`: a text in, a checkpoint out; what it says before, during and after."""

import dataclasses
import json
import os
import pty
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyte
import pytest

from charlm.api import load
from charlm.cli.outputs import output_of
from charlm.cli.saving import Keeper
from charlm.errors import TextError
from charlm.logs import length_until

SMALL = ("--hidden-size", 16, "--batch-size", 4, "--bptt", 16, "--threads", 1)
LOGGED = [
    *("step", "epoch", "seconds", "train_nats", "valid_nats"),
    *("gradient_norm", "learning_rate", "characters_per_second"),
]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def show(master: int, screen: pyte.Screen) -> None:
    """Feeds all that comes out of a terminal to a screen."""
    stream = pyte.ByteStream(screen)
    try:
        while data := os.read(master, 2**16):
            stream.feed(data)
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(master)


def described(charlm: Any, path: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(charlm("info", path, "--json").out)
    return record


def test_only_a_text_and_a_budget(charlm: Any, cat_file: Path) -> None:
    ran = charlm("train", cat_file, "--steps", 5, "--threads", 1)
    assert ran.out == ""
    assert "saved checkpoints/cats.safetensors" in ran.err
    assert charlm("sample", "checkpoints/cats.safetensors", "--length", 9).out


def test_the_plan_is_said_before_the_first_step(charlm: Any, cat_file: Path) -> None:
    err = charlm("train", cat_file, "-o", "a.safetensors", "--steps", 5, *SMALL).err
    lines = err.splitlines()
    labels = [line.split("  ")[0] for line in lines[:6]]
    assert labels == ["text", "tokens", "model", "training", "budget", "into"]
    assert "characters to train on" in lines[0]
    assert "to validate on" in lines[0]
    assert "1 × 16 LSTM" in lines[2]
    assert "a character)" in lines[2]
    assert "batch 4, BPTT 16" in lines[3]
    assert "5 steps, a few seconds, about " in lines[4]
    assert "passes over the text" in lines[4]


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"steps": 1}, "1 step, a few seconds, about 0.006 passes over the text"),
        ({"steps": 168}, "168 steps, a few seconds, about 1 pass over the text"),
        ({"steps": 10**8}, "100,000,000 steps, about "),
        ({"epochs": 1}, "1 pass over the text, a few seconds"),
        ({"epochs": 1.5}, "1.5 passes over the text, a few seconds"),
        ({"minutes": 0.1}, "6 s from the start of the command, about "),
    ],
)
def test_budgets_are_said_in_words(cat_text: str, budget: dict[str, Any], said: str) -> None:
    from conftest import corpus_of, fixed_machine

    from charlm.cli.progress import _budget
    from charlm.run import begin

    small = {"hidden_size": 16, "batch_size": 4, "bptt": 16}
    run = begin(corpus_of(cat_text), fixed_machine(), {**small, **budget})
    assert _budget(run, resumed=False).startswith(said)


def test_a_text_too_small_for_the_model_is_said(charlm: Any) -> None:
    Path("tiny.txt").write_text("The cat was full. " * 9, encoding="utf-8")
    options = ("-o", "a.safetensors", "--steps", 1, *SMALL, "--hidden-size", 64)
    ran = charlm("train", "tiny.txt", *options)
    assert "learn it by heart" in ran.err


def test_a_pipe_gets_plain_lines(charlm: Any, cat_file: Path) -> None:
    err = charlm("train", cat_file, "-o", "a.safetensors", "--steps", 40, *SMALL).err
    (last,) = [line for line in err.splitlines() if line.startswith("100%")]
    for figure in ("step 40", "bits per character", "validation", "gradient norm", "clipped"):
        assert figure in last
    assert "\x1b" not in err
    assert "\r" not in err


@pytest.mark.parametrize("columns", [60, 80])
def test_a_terminal_gets_a_live_view(
    cat_file: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    from charlm.cli import charlm as group

    screen = pyte.Screen(columns, 30)
    master, slave = pty.openpty()
    reader = threading.Thread(target=show, args=(master, screen))
    reader.start()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    options = [str(option) for option in ("--steps", 60, *SMALL)]
    with os.fdopen(slave, "w") as stderr, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        with pytest.raises(SystemExit) as ended:
            group(["train", str(cat_file), "-o", "a.safetensors", *options])
    reader.join()
    assert not ended.value.code
    lines = [line.rstrip() for line in screen.display]
    (bar,) = [k for k, line in enumerate(lines) if line.startswith("━")]
    assert "100 %" in lines[bar]
    assert lines[bar].endswith("characters/s")
    assert lines[bar + 1].split()[0::2][:2] == ["step", "training"]
    last = ("gradient norm", "learning rate") if columns == 80 else ()
    for label in ("perplexity", "validation", "the best", *last):
        assert any(label in line for line in lines[bar + 1 : bar + 4]), label
    assert not any("…" in line for line in lines[bar : bar + 5])
    assert lines[bar + 4].startswith("curve      █")
    assert lines[bar + 5].startswith("sample     ")
    assert lines[bar + 6].startswith("saved a.safetensors")


def test_quiet_says_nothing(charlm: Any, cat_file: Path) -> None:
    ran = charlm("train", cat_file, "-o", "a.safetensors", "--steps", 5, "--quiet", *SMALL)
    assert (ran.out, ran.err) == ("", "")


def test_the_log_has_a_json_object_a_line(charlm: Any, cat_file: Path) -> None:
    options = ("--steps", 30, "--log", "log.jsonl", *SMALL)
    charlm("train", cat_file, "-o", "a.safetensors", *options)
    records = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    assert all(record.keys() >= set(LOGGED) for record in records)
    assert records[-1]["step"] == 30
    assert records[-1]["valid_nats"] > 0
    assert [record["step"] for record in records] == sorted(record["step"] for record in records)


def test_files_folders_and_stdin(charlm: Any, cat_text: str) -> None:
    Path("folder").mkdir()
    for name in ("a.txt", "b.txt"):
        (Path("folder") / name).write_text(cat_text[:3000], encoding="utf-8")
    ways = (["folder"], ["folder/a.txt", "folder/b.txt"], ["-"])
    for texts in ways:
        options = ("-o", "m.safetensors", "--force", "--steps", 2, *SMALL)
        charlm("train", *texts, *options, input=cat_text[:6000])
        corpus = described(charlm, "m.safetensors")["corpus"]
        assert corpus["train_characters"] + corpus["valid_characters"] == 6000


def test_what_a_pipe_gives_is_a_model() -> None:
    os.mkfifo("cats.txt")  # as a process substitution is one, under a number
    options = {"output": None, "resume": False, "init_from": None}
    for text in ("cats.txt", "-"):
        assert output_of((text,), options) == Path("checkpoints/model.safetensors")
    assert output_of(("names.txt",), options) == Path("checkpoints/names.safetensors")


def test_validation_has_its_own_file_or_a_share(charlm: Any, cat_file: Path, cat_text: str) -> None:
    Path("valid.txt").write_text(cat_text[:700], encoding="utf-8")
    for option, characters in (
        (["--valid", "valid.txt"], 700),
        (["--valid-fraction", 0.25], len(cat_text) - int(len(cat_text) * 0.75)),
    ):
        options = ("-o", "m.safetensors", "--force", "--steps", 2, *option, *SMALL)
        charlm("train", cat_file, *options)
        assert described(charlm, "m.safetensors")["corpus"]["valid_characters"] == characters


def test_per_line_every_tenth_line_validates(
    charlm: Any, names_file: Path, names: list[str]
) -> None:
    options = ("-o", "m.safetensors", "--per-line", "--steps", 2, *SMALL)
    assert "each line is a sequence" in charlm("train", names_file, *options).err
    record = described(charlm, "m.safetensors")
    assert record["model"]["per_line"] is True
    held = sum(len(name) + 1 for name in names[9::10])
    assert record["corpus"]["valid_characters"] == held


@pytest.mark.parametrize("tokenizer", ["bytes", "words", "unigram", "bpe"])
def test_any_tokens(charlm: Any, cat_file: Path, tokenizer: str) -> None:
    sizes = ("--vocab-size", 320) if tokenizer in ("unigram", "bpe") else ()
    options = ("-o", "m.safetensors", "--tokenizer", tokenizer, *sizes, "--steps", 3, *SMALL)
    charlm("train", cat_file, *options)
    assert described(charlm, "m.safetensors")["tokenizer"]["kind"] == tokenizer
    assert "<UNK>" not in charlm("sample", "m.safetensors", "--length", 50).out


def test_choices_reach_the_model(charlm: Any, cat_file: Path) -> None:
    choices = ("--cell", "gru", "--layers", 2, "--embedding-size", 16, "--tie-weights")
    training = ("--dropout", 0.3, "--clip", 0.5, "--seed", 7, "--learning-rate", 0.002)
    options = ("-o", "m.safetensors", "--epochs", 0.1, *choices, *training, *SMALL)
    charlm("train", cat_file, *options)
    record = described(charlm, "m.safetensors")
    model, config = record["model"], record["training"]
    assert (model["cell"], model["layers"], model["hidden_size"]) == ("gru", 2, 16)
    assert model["tie_weights"] is True
    assert (config["dropout"], config["clip"], config["seed"]) == (0.3, 0.5, 7)
    assert (config["learning_rate"], config["epochs"]) == (0.002, 0.1)


def test_an_output_that_exists_is_asked_about(charlm: Any, cat_file: Path) -> None:
    options = ("-o", "m.safetensors", "--steps", 2, *SMALL)
    charlm("train", cat_file, *options)
    before = Path("m.safetensors").read_bytes()
    ran = charlm("train", cat_file, *options, code=2)
    assert "--force" in ran.err
    assert "--resume" in ran.err
    assert Path("m.safetensors").read_bytes() == before
    charlm("train", cat_file, *options, "--force")


def test_resume_goes_on_with_a_larger_budget(charlm: Any, cat_file: Path) -> None:
    charlm("train", cat_file, "-o", "m.safetensors", "--steps", 4, *SMALL)
    ran = charlm("train", cat_file, "-o", "m.safetensors", "--resume", "--steps", 9, "--threads", 1)
    assert "goes on from its last step" in ran.err
    history = described(charlm, "m.safetensors")["history"]
    assert history[-1]["step"] == 9
    assert any(record["step"] <= 4 for record in history)


def test_init_from_keeps_what_the_other_model_knows(
    charlm: Any, cat_path: Path, cat_text: str
) -> None:
    Path("new.txt").write_text(cat_text[:4000].replace("cat", "ωcat"), encoding="utf-8")
    options = ("-o", "m.safetensors", "--init-from", cat_path, "--steps", 3, "--threads", 1)
    err = charlm("train", "new.txt", *options).err
    assert f"\nbegins    with the weights of {cat_path}, 1 new token\n" in err
    old, new = (described(charlm, path) for path in (str(cat_path), "m.safetensors"))
    assert new["tokenizer"]["size"] == old["tokenizer"]["size"] + 1
    assert new["model"]["hidden_size"] == old["model"]["hidden_size"]
    charlm("train", "new.txt", "-o", "f.safetensors", "--steps", 3, *SMALL)
    known, unknown = (
        described(charlm, path)["history"][-1]["valid_nats"]
        for path in ("m.safetensors", "f.safetensors")
    )
    assert known < unknown / 2


@pytest.mark.parametrize("option", ["-o", "--log"])
def test_what_is_read_is_never_written_over(charlm: Any, cat_text: str, option: str) -> None:
    Path("kept.txt").write_text(cat_text)
    os.link("kept.txt", "same.txt")
    for name in ("kept.txt", "same.txt"):
        other = () if option == "-o" else ("-o", "a.safetensors")
        command = ("train", "kept.txt", option, name, *other, "--force", "--steps", 2, *SMALL)
        assert f"{option} {name} is the" in charlm(*command, code=2).err
    assert Path("kept.txt").read_text() == cat_text


def test_an_earlier_log_is_kept_until_there_is_a_run(charlm: Any, cat_file: Path) -> None:
    Path("log").write_text(earlier := '{"step": 9}\n')
    command = ("-o", "a.safetensors", "--log", "log", "--steps", 2, *SMALL)
    assert "log exists; give --force" in charlm("train", cat_file, *command, code=2).err
    charlm("train", "missing.txt", *command, "--force", code=1)
    assert Path("log").read_text() == earlier
    charlm("train", cat_file, *command, "--force")
    assert json.loads(Path("log").read_text().splitlines()[-1])["step"] == 2


def test_a_run_that_has_no_room_leaves_the_log_alone(
    charlm: Any, cat_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("charlm.atomic.reserve", full)
    command = ("-o", "a.safetensors", "--log", "log", "--steps", 2, *SMALL)
    assert "make room" in charlm("train", cat_file, *command, code=1).err
    assert not Path("log").exists()
    Path("log").write_text(earlier := '{"step": 9}\n')
    charlm("train", cat_file, *command, "--force", code=1)
    assert Path("log").read_text() == earlier


def test_init_from_learns_no_tokens_of_the_validation_text(charlm: Any, cat_text: str) -> None:
    Path("cats.txt").write_text(cat_text)
    Path("new.txt").write_text(cat_text * 2 + "ÄÖÜ")
    charlm("train", "cats.txt", "-o", "a.safetensors", "--steps", 2, *SMALL)
    charlm(
        *("train", "new.txt", "-o", "b.safetensors", "--init-from", "a.safetensors"),
        *("--steps", 2, *SMALL[2:]),
    )
    sizes = [
        described(charlm, name)["tokenizer"]["size"] for name in ("a.safetensors", "b.safetensors")
    ]
    assert sizes[0] == sizes[1]


def test_init_from_a_model_of_lines_is_said(charlm: Any, cat_file: Path, name_path: Path) -> None:
    command = ("train", cat_file, "-o", "b.safetensors", "--init-from", name_path, "--steps", 1)
    said = "was trained line by line, this run is not; --per-line goes on as it began"
    assert said in charlm(*command).err
    assert said not in charlm(*command, "--per-line", "--force").err


def test_init_from_keeps_its_kind_of_tokens(charlm: Any, cat_file: Path) -> None:
    charlm("train", cat_file, "-o", "a.safetensors", "--tokenizer", "bytes", "--steps", 2, *SMALL)
    command = ("train", cat_file, "-o", "b.safetensors", "--init-from", "a.safetensors")
    err = charlm(*command, "--tokenizer", "characters", code=2).err
    assert "--tokenizer characters: a.safetensors has bytes" in err
    assert (
        "--min-count: the bytes of a.safetensors" in charlm(*command, "--min-count", 2, code=2).err
    )


@pytest.mark.parametrize("texts", [["folder"], ["cats.txt", "--valid", "folder"]])
def test_no_file_of_a_folder_is_written_over(charlm: Any, cat_text: str, texts: list[str]) -> None:
    Path("folder").mkdir()
    Path("cats.txt").write_text(cat_text)
    kept = Path("folder/kept.txt")
    kept.write_text(cat_text)
    small = ("--force", "--steps", 2, *SMALL)
    err = charlm("train", *texts, "-o", kept, *small, code=2).err
    assert "-o folder/kept.txt is the text folder/kept.txt" in err
    for log in (kept, "folder/log.jsonl"):
        command = ("train", *texts, "-o", "a.safetensors", "--log", log)
        assert f"--log {log} " in charlm(*command, *small, code=2).err
    assert kept.read_text() == cat_text


def test_a_folder_is_read_again_with_its_checkpoint_in_it(charlm: Any, cat_text: str) -> None:
    Path("cats.txt").write_text(cat_text)
    charlm("train", ".", "-o", "in.safetensors", "--steps", 2, *SMALL)
    ran = charlm("train", ".", "-o", "in.safetensors", "--resume", "--steps", 4, *SMALL[-2:])
    assert "checkpoints left out: 1" in ran.err
    assert "saved in.safetensors" in ran.err


@pytest.mark.parametrize("option", ["-o", "--log"])
def test_the_name_of_stdout_is_no_file(charlm: Any, cat_file: Path, option: str) -> None:
    other = () if option == "-o" else ("-o", "a.safetensors")
    err = charlm("train", cat_file, option, "-", *other, "--steps", 2, *SMALL, code=2).err
    assert f"{option} -: give a file's name" in err
    assert not Path("-").exists()


def test_a_log_goes_on_behind_what_the_run_goes_on_from(charlm: Any, cat_file: Path) -> None:
    command = ("train", cat_file, "-o", "a.safetensors", "--log", "log", *SMALL[-2:])
    charlm(*command, "--steps", 3, *SMALL[:-2])
    log = Path("log")
    whole = log.read_text()
    record = json.loads(whole.splitlines()[-1])
    log.write_text(whole + json.dumps(record | {"step": 9}) + '\n{"step": 10, "se')
    charlm(*command, "--resume", "--steps", 6)
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert log.read_text().startswith(whole)
    assert steps == sorted(steps)
    assert steps[-1] == 6
    log.write_text("mine\n")
    assert "log: line 1 is no record" in charlm(*command, "--resume", "--steps", 8, code=1).err
    assert log.read_text() == "mine\n"


@pytest.mark.parametrize("content", ['{"precious": 1}', "mine", '{"step": 1}\n{"precious": 1}\n'])
def test_what_is_no_log_is_not_cut(charlm: Any, cat_file: Path, content: str) -> None:
    command = ("train", cat_file, "-o", "a.safetensors")
    charlm(*command, "--steps", 3, *SMALL)
    Path("log").write_text(content)
    options = ("--resume", "--steps", 6, "--log", "log", *SMALL[-2:])
    assert "give a file that `charlm train --log` wrote" in charlm(*command, *options, code=1).err
    assert Path("log").read_text() == content


def test_force_overwrites_a_log_and_nothing_else(charlm: Any, cat_file: Path) -> None:
    command = ("train", cat_file, "-o", "a.safetensors", "--log", "log", "--steps", 2, *SMALL)
    charlm(*command)
    charlm(*command, "--force")
    Path("log").write_text("precious\n")
    err = charlm(*command, "--force", code=2).err
    assert "log is no training log to overwrite; give another --log" in err
    assert Path("log").read_text() == "precious\n"
    Path("log").write_text("")
    charlm(*command, "--force")


def test_the_log_of_another_run_is_not_cut(charlm: Any, cat_file: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        output = ("-o", f"{name}.safetensors", "--log", f"{name}.log")
        charlm("train", cat_file, *output, "--seed", seed, "--steps", 6, *SMALL)
    other = Path("b.log").read_text()
    command = ("train", cat_file, "-o", "a.safetensors", "--resume", "--steps", 9, *SMALL[-2:])
    err = charlm(*command, "--log", "b.log", code=1).err
    assert "b.log: line 1 is of another run, as this one made no such validation at step" in err
    assert Path("b.log").read_text() == other
    charlm(*command, "--log", "a.log")
    steps = [json.loads(line)["step"] for line in Path("a.log").read_text().splitlines()]
    assert steps[-1] == 9


def test_a_log_is_cut_where_the_run_goes_on_from() -> None:
    first = '{"step": 1, "valid_nats": 2.0}\n{"step": 2, "valid_nats": null}\n'
    for rest in (
        '{"st',
        '{"step": 3, "valid_na',
        '{"step": 3, "valid_nats": 1.5}\n',  # behind a save at this very step
        '{"step": 4, "valid_nats": 1.5}\n',
    ):
        Path("log").write_text(first + rest)
        history = [{"step": 1, "valid_nats": 2.0}]
        assert length_until("log", 3, history) == len(first)
    for alone in ('{"st', '{"step": 3, "valid_na', '{"step": 3, "valid_nats": 1.5}\n'):
        Path("log").write_text(alone)
        assert length_until("log", 3, history) == 0


@pytest.mark.parametrize(
    "log",
    [
        '{"step": 4, "valid_nats": 1.5}\n',
        '{"step": 4}\n',
        '{"step": 2}\n{"step": 4, "valid_nats": 1.5}\n',
        '{"step": 1, "valid_nats": 2.0}\n{"step": 2}\n{"step": 4}\n',
    ],
)
def test_what_a_log_tells_beyond_another_run_is_not_cut(log: str) -> None:
    Path("log").write_text(log)
    history = [{"step": 1, "valid_nats": 2.0}, {"step": 2, "valid_nats": 1.9}]
    with pytest.raises(TextError, match=r"of another run, as this one goes on from step 3 and"):
        length_until("log", 3, history)
    ours = '{"step": 2, "valid_nats": 1.9}\n'
    Path("log").write_text(ours + '{"step": 4}\n')
    assert length_until("log", 3, history) == len(ours)
    Path("log").write_text('{"step": 2}\n{"step": 4}\n')
    assert length_until("log", 3, []) == len('{"step": 2}\n')


def test_an_error_leaves_the_terminal_as_it_was(
    charlm: Any, cat_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    monkeypatch.setattr("charlm.cli.terminal.LiveBlock.close", lambda self: closed.append(self))
    monkeypatch.setattr("charlm.cli.saving.Keeper.finish", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        charlm("train", cat_file, "-o", "a.safetensors", "--steps", 2, *SMALL)
    assert len(closed) == 1


def test_why_a_run_stopped_early_is_said(charlm: Any, cat_file: Path) -> None:
    still = ("--learning-rate", 1e-12, "--weight-decay", 0, "--patience", 2)
    err = charlm("train", cat_file, "-o", "a.safetensors", "--steps", 1000, *still, *SMALL).err
    assert "stopped early, at " in err
    assert "2 validations were no better than the best (--patience)" in err


def test_a_stopped_run_says_which_steps_model_is_kept(
    charlm: Any, cat_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, listeners = Keeper.keep, []

    def stopping(keeper: Keeper, validated: bool) -> None:
        keep(keeper, validated)
        training = keeper._run.training
        if training.history and not validated:
            listeners[0].received = 2
            training.stop()

    monkeypatch.setattr(Keeper, "keep", stopping)
    monkeypatch.setattr("charlm.training.REPORT_SECONDS", 0.0)
    monkeypatch.setattr("charlm.cli.signals.Listener.attend", lambda it, _: listeners.append(it))
    options = ("train", cat_file, "-o", "a.safetensors", *SMALL)
    err = charlm(*options, "--steps", 1000, code=130).err
    known = load("a.safetensors").checkpoint
    assert known.best
    assert known.trained
    kept, last = known.best["step"], known.trained["steps"]
    assert kept < last
    assert f"bits per character in validation at step {kept} of {last}\n" in err
    listeners.clear()
    monkeypatch.setattr("charlm.cli.train.STARTED", time.monotonic())
    err = charlm(*options, "--minutes", 1, "--force", code=130).err
    known = load("a.safetensors").checkpoint
    assert known.trained
    assert known.history[-1]["step"] == known.trained["steps"]
    assert "in validation\n" in err


def test_several_texts_to_validate_on(
    charlm: Any, cat_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a b", "c"):
        Path(name).write_text("The cat was full.\n" * 9)

    def stopped(*arguments: Any) -> bool:
        arguments[-1].received = 2  # the listener's
        return True

    monkeypatch.setattr("charlm.cli.train._train", stopped)
    command = ("train", cat_file, "-o", "a.safetensors", "--steps", 9, *SMALL)
    err = charlm(*command, "--valid", "a b", "--valid", "c", code=130).err
    assert "characters to train on, 324 to validate on" in err
    assert "--resume --valid 'a b' --valid c" in err
    err = charlm(*command, "--valid", "a b", "--valid", "a.safetensors", code=2).err
    assert "-o a.safetensors is the text a.safetensors" in err


def test_how_to_go_on_with_a_text_that_looks_like_an_option(
    charlm: Any, cat_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("-cats.txt").write_text(cat_text)

    def stopped(*arguments: Any) -> bool:
        arguments[-1].received = 2  # the listener's
        return True

    monkeypatch.setattr("charlm.cli.train._train", stopped)
    command = ("train", "-o", "a.safetensors", "--steps", 9, *SMALL, "--", "-cats.txt")
    err = charlm(*command, code=130).err
    assert "charlm train -o a.safetensors --resume --threads 1 -- -cats.txt" in err


def test_no_figure_is_cut_on_a_narrow_terminal(cat_file: Path) -> None:
    from conftest import corpus_of

    from charlm.cli.live import live_lines
    from charlm.planning import Machine
    from charlm.run import begin

    corpus = corpus_of(cat_file.read_text(encoding="utf-8"))
    chosen = {"steps": 3, "hidden_size": 8, "batch_size": 4, "bptt": 16}
    run = begin(corpus, Machine("cpu", "float32", 1, 1e11), chosen)
    *_, progress = run.training.run()
    progress = dataclasses.replace(progress, step=1_234_567, seconds_left=45296.0)
    for width in range(1, 90):
        spans = live_lines(run, progress, [2.0, 1.0, 1.5], "x" * 69, width)
        lines = ["".join(text for text, _ in line).rstrip() for line in spans]
        assert sum(len(text) for text, _ in spans[-1]) <= max(11, width - 3), "^C has no room"
        if width >= 20:
            assert max(map(len, lines)) <= width
            shown = " ".join(" ".join(lines).split())
            for figure in ("step 1,234,567", "100 %", "12:34:56 left", "validation 1.5000"):
                assert figure in shown
        assert (len(lines) == 6) is (width >= 54)
    assert "gradient norm" in lines[1]


def test_short_lines_are_said_unless_they_are_sequences(
    charlm: Any, names_file: Path, cat_file: Path
) -> None:
    options = ("-o", "a.safetensors", "--force", "--steps", 2, *SMALL)
    assert "--per-line makes each a sequence" in charlm("train", names_file, *options).err
    assert "its lines are short" not in charlm("train", names_file, "--per-line", *options).err
    assert "its lines are short" not in charlm("train", cat_file, *options).err


def test_files_are_sequences_of_their_own(charlm: Any, cat_file: Path, cat_text: str) -> None:
    options = ("-o", "a.safetensors", "--force", "--steps", 2, *SMALL)
    assert "the text is one long sequence" in charlm("train", cat_file, *options).err
    Path("more.txt").write_text(cat_text, encoding="utf-8")
    assert "each file is a sequence" in charlm("train", cat_file, "more.txt", *options).err


@pytest.mark.parametrize("option", ["-o", "--init-from", "--valid", "--log"])
def test_an_empty_name_is_not_one_that_was_not_given(
    charlm: Any, cat_file: Path, option: str
) -> None:
    err = charlm("train", cat_file, option, "", "--steps", 2, *SMALL, code=2).err
    assert err == f"charlm: {option} is empty; give a file's name, or leave it out\n"
    assert not Path("checkpoints").exists()


def test_a_folder_that_is_missing_is_known_before_training(charlm: Any, cat_file: Path) -> None:
    ran = charlm("train", cat_file, "-o", "nowhere/m.safetensors", "--steps", 2, code=2)
    assert "nowhere" in ran.err
    assert len(ran.err.splitlines()) == 1
