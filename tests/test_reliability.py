"""Nothing lost, nothing wrong: a small share of `make torture`, with a fixed seed."""

import errno
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import corpus_of, fixed_machine, random_checkpoint
from torture import crashes, text
from torture.saving import read_while_saving, save_faults

from charlm.checkpoint import load
from charlm.cli.lock import lock_file, locked
from charlm.cli.saving import Keeper
from charlm.errors import CharlmError, OptionError, TrainingError
from charlm.run import Run, begin

CAT = "The cat was full.\n" * 30
TINY = {"hidden_size": 8, "embedding_size": 4, "batch_size": 3, "bptt": 8}


def run_of(**chosen: object) -> Run:
    return begin(corpus_of(CAT), fixed_machine(), {**TINY, "steps": 30, "dropout": 0.1, **chosen})


# Processes that are killed, stopped, or cannot save


def test_kills_lose_nothing(tmp_path: Path) -> None:
    tried, failures = crashes.kills(4, 1, tmp_path, kinds=("lstm",))
    assert (tried, failures) == (4, [])


def test_signals_save_and_say_how_to_go_on(tmp_path: Path) -> None:
    tried, failures = crashes.signals(4, 1, tmp_path, check_times=False, kinds=("per line",))
    assert (tried, failures) == (4, [])


def test_a_training_whose_save_fails_goes_on(tmp_path: Path) -> None:
    tried, failures = crashes.faults(tmp_path, ("ENOSPC",), range(6, 11))
    assert (tried, failures) == (10, [])


def test_two_trainings_into_one_file(tmp_path: Path) -> None:
    tried, failures = crashes.two_at_once(2, 1, tmp_path)
    assert (tried, failures) == (2, [])


# Saving


def test_every_call_of_a_save_may_fail(tmp_path: Path) -> None:
    checkpoints = random_checkpoint(), random_checkpoint(tokenizer="words")
    tried, failures = save_faults(*checkpoints, tmp_path)
    assert tried > 60
    assert not failures


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    checkpoints = random_checkpoint(), random_checkpoint(tokenizer="words")
    assert read_while_saving(*checkpoints, 30, tmp_path) == (30, [])


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_the_order_of_writes(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from conftest import random_checkpoint; "
        "from charlm.checkpoint import save; save(sys.argv[2], random_checkpoint())"
    )
    trace, output = tmp_path / "trace", tmp_path / "model.safetensors"
    watch = ["strace", "-f", "-y", "-o", trace, "-e", "trace=write,fsync,rename"]
    tests = str(Path(__file__).parent)
    subprocess.run([*watch, sys.executable, "-c", code, tests, str(output)], check=True)
    calls = [line.split(" ", 1)[1].strip() for line in trace.read_text().splitlines()]
    calls = [call for call in calls if str(tmp_path) in call]
    names = [call.split("(")[0] for call in calls]
    assert names[-3:] == ["fsync", "rename", "fsync"]
    assert set(names[:-3]) == {"write"}
    assert ".part>" in calls[-3]
    assert calls[-1].split("<")[1].startswith(f"{tmp_path}>")


# Folders


def test_no_room_is_known_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    keeper = Keeper(run_of(), tmp_path / "model.safetensors", print)
    with pytest.raises(CharlmError, match=r"no checkpoint .* of about 0\.\d MB .*make room"):
        keeper.reserve()
    assert not list(tmp_path.iterdir())


def test_the_model_is_kept_where_its_folder_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "folder"
    folder.mkdir()
    said: list[str] = []
    run = run_of()
    keeper = Keeper(run, folder / "model.safetensors", said.append)
    keeper.reserve()
    folder.rmdir()
    for progress in run.training.run():
        keeper.keep(validated=progress.valid_nats is not None)
    assert "tries again" in said[0]
    with pytest.raises(CharlmError, match="the model is in ") as caught:
        keeper.finish()
    refuge = str(caught.value).split("the model is in ")[1].split(": move")[0]
    assert load(refuge).progress["step"] == 30


# The lock


def test_the_lock_is_held_and_removed(tmp_path: Path) -> None:
    output = tmp_path / "model.safetensors"
    with locked(output):
        with (
            pytest.raises(CharlmError, match=r"another training, process \d+, is writing it"),
            locked(output),
        ):
            pass
        assert lock_file(output).exists()
        with locked(tmp_path / "other.safetensors"):
            pass
    assert not list(tmp_path.iterdir())


def test_what_killed_trainings_left_is_removed(tmp_path: Path) -> None:
    output = tmp_path / "model.safetensors"
    lock_file(output).write_text("1\n")
    (tmp_path / ".model.safetensors.0123abcd.part").write_text("half")
    (tmp_path / ".model.safetensors.other.part").write_text("not ours")
    with locked(output):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".model.safetensors.other.part"]


def test_a_lock_needs_a_folder_that_can_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be written to"), locked(tmp_path / "no" / "a"):
        pass


# What is not finite


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["weights", "averages", "moments", "state"])
def test_what_is_not_finite_is_never_kept(where: str, value: float, tmp_path: Path) -> None:
    from charlm.checkpoint import save

    run = run_of()
    optimiser = run.training._optimiser
    for number, progress in enumerate(run.training.run()):
        if number == 3:
            poisoned = {
                "weights": run.training.model.output.bias,
                "averages": optimiser.averaged.embedding.weight,
                "moments": optimiser._moments[1][0],
                "state": (run.training._state or [])[0][0],
            }[where]
            with torch.no_grad():
                poisoned.view(-1)[0] = value
        elif number > 3 and progress.notice:
            assert "not finite" in progress.notice
        save(tmp_path / "a", run.checkpoint())
    assert run.training.place["failures"] == 1
    assert all(np.isfinite(array).all() for array in load(tmp_path / "a").weights.values())


def test_faults_that_stay_end_the_run_with_advice() -> None:
    run = run_of()
    run.training._optimiser.finite = lambda: False  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="try a lower --learning-rate"):
        list(run.training.run())


def test_a_huge_learning_rate_is_refused_or_harmless() -> None:
    for rate in (1.0, 1e3, 1e38):
        try:
            run = run_of(learning_rate=rate)
            for _ in run.training.run():
                pass
        except (TrainingError, OptionError):
            continue
        assert all(np.isfinite(array).all() for array in run.checkpoint().weights.values())


# Text


def test_texts_of_every_length_train_or_are_refused() -> None:
    tried, failures = text.lengths(0.03, seed=1)
    assert tried > 30
    assert not failures


def test_any_bytes_are_read_or_refused(tmp_path: Path) -> None:
    assert text.fuzzed(300, 1, tmp_path) == (300, [])
