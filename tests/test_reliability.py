"""Nothing lost, nothing wrong: a small share of `make torture`, with a fixed seed."""

import dataclasses
import errno
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import corpus_of, fixed_machine, random_checkpoint
from torture import crashes, figures, permissions, stopping, text
from torture.saving import read_while_saving, save_faults

from charlm.atomic import beside, replace, reserve
from charlm.checkpoint import load
from charlm.cli.lock import lock_file, locked
from charlm.cli.saving import Keeper
from charlm.config import ModelConfig, TrainConfig
from charlm.corpus import Tokens
from charlm.errors import CharlmError, OptionError, TrainingError
from charlm.run import Run, _check_memory, begin, resume
from charlm.training import MOST_FAILURES

CAT = "The cat was full.\n" * 30
TINY = {"hidden_size": 8, "embedding_size": 4, "batch_size": 3, "bptt": 8}
SMALL = [*crashes.SMALL.split(), "--quiet"]


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
    tried, failures = crashes.faults(tmp_path, ("ENOSPC", "short"), most=1)
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
    """Of every save of a training: write, fsync, rename, fsync of the folder."""
    (tmp_path / "text.txt").write_text(CAT)
    calls = "trace=write,fsync,?rename,?renameat,?renameat2"
    watch = ["strace", "-f", "-y", "--seccomp-bpf", "-o", str(tmp_path / "trace"), "-e", calls]
    train = [sys.executable, "-m", "charlm", "train", "text.txt", *SMALL, "--steps", "20"]
    train += ["--valid-fraction", "0.01"]  # so that there are many validations
    subprocess.run([*watch, *train, "-o", "model.safetensors"], check=True, cwd=tmp_path)
    signs = []
    for line in (tmp_path / "trace").read_text().splitlines():
        call = line.split(" ", 1)[1].strip()
        name = call.split("(")[0].rstrip("at2")
        if ".part" in call:
            signs.append({"write": "w", "fsync": "f", "rename": "r"}[name])
        elif name == "fsync":
            assert call.split("<")[1].startswith(f"{tmp_path}>")
            signs.append("F")
    assert re.fullmatch("F(w+frF)+", "".join(signs))  # the first is that of the reservation
    assert signs.count("r") > 10


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_save_keeps_the_permissions(mode: int, tmp_path: Path) -> None:
    path, new = tmp_path / "model.safetensors", tmp_path / "new"
    replace(path, [b"old"])
    path.chmod(mode)
    replace(path, [b"new"])
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", mode)
    new.touch()
    replace(tmp_path / "other", [b"new"])
    assert (tmp_path / "other").stat().st_mode == new.stat().st_mode


# Stopped, and gone on with


def test_a_run_stopped_after_any_step_ends_as_it_would_have(tmp_path: Path) -> None:
    tried, failures = stopping.every_step(0.05, tmp_path)
    assert tried > 20
    assert not failures


def test_a_run_that_lost_its_patience_is_complete() -> None:
    ended = run_of(patience=2, learning_rate=1e-9, steps=400)
    for _ in ended.training.run():
        pass
    assert ended.training.fraction() < 1
    assert ended.complete
    with pytest.raises(OptionError, match="2 validations were no better; give a larger --patience"):
        resume(ended.checkpoint(), ended.corpus, fixed_machine(), {})
    again = resume(ended.checkpoint(), ended.corpus, fixed_machine(), {"patience": 3})
    steps = [progress.step for progress in again.training.run()]
    assert again.config.patience == 3
    assert steps[-1] > ended.training.place["step"]


# Figures


def test_a_figure_is_a_figure() -> None:
    tried, failures = figures.laws(35, 1)
    assert tried == 35 * len(figures.LAWS)
    assert not failures


# Folders


def test_what_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No such file") as caught:
        replace(tmp_path / "none" / "page.html", [b"text"])
    assert caught.value.filename == str(tmp_path / "none" / "page.html")
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space") as caught:
        replace(tmp_path / "page.html", [b"text"])
    assert caught.value.filename == str(tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


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


def train_into(keeper: Keeper, run: Run, disturb: Callable[[Run], None], step: int) -> None:
    """Trains as the command does, disturbed before the first save from this step on."""
    with keeper.guard():
        for progress in run.training.run():
            if progress.step >= step:
                disturb(run)
            keeper.keep(validated=progress.valid_nats is not None)
        keeper.finish()


def fail(run: Run) -> None:
    raise TrainingError(f"not finite at step {run.training.place['step']}")


def poison(run: Run) -> None:
    """Weights that are not finite, once too often."""
    run.training.place["failures"] = MOST_FAILURES
    with torch.no_grad():
        run.training.model.output.bias[0] = math.nan


@pytest.mark.parametrize(
    ("saves", "disturb", "step"),
    [(True, fail, 20), (False, fail, 20), (True, poison, 20), (False, poison, 30)],
)
def test_a_run_that_cannot_go_on_keeps_its_best_model(
    saves: bool,
    disturb: Callable[[Run], None],
    step: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a step or in a save, before the first save of a run by minutes or not."""
    monkeypatch.setattr("charlm.cli.pace.Pace.due", lambda _: saves)
    run, output = run_of(), tmp_path / "model.safetensors"
    with pytest.raises(TrainingError, match=r"not finite at step .*keeps the best model so far"):
        train_into(Keeper(run, output, print), run, disturb, step)
    kept = load(output)
    assert kept.progress["best_nats"] == min(record["valid_nats"] for record in kept.history)
    assert all((kept.weights[name] == best).all() for name, best in run.training.best.items())


def test_what_is_kept_where_the_best_model_cannot_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "folder"
    folder.mkdir()

    def never_finite(run: Run) -> None:
        run.training._optimiser.finite = lambda: False  # type: ignore[method-assign]
        poison(run)

    def remove_the_folder(run: Run) -> None:
        shutil.rmtree(folder)
        fail(run)

    for disturb, said in (
        (never_finite, "keeps what was best at the last save"),
        (remove_the_folder, "could not be saved .*; the model is in "),
    ):
        run = run_of()
        with pytest.raises(TrainingError, match=said):
            train_into(Keeper(run, folder / "model.safetensors", print), run, disturb, step=20)


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder in which there is one that may not be written to, and files not to be read."""
    from charlm.checkpoint import save

    if not permissions.hold(tmp_path):
        pytest.skip("permissions do not hold for this user and cannot be made to")
    (tmp_path / "text.txt").write_text(CAT)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(CAT)
    (tmp_path / "secret.txt").write_text(CAT)
    save(tmp_path / "secret.safetensors", random_checkpoint())
    for name in ("texts", "secret.txt", "secret.safetensors"):
        (tmp_path / name).chmod(0)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "train text.txt -o closed/a.safetensors",
            "the folder {0}/closed cannot be written to (permission denied); give another -o",
        ),
        ("train text.txt -o a.safetensors --log closed/log", "closed/log: permission denied"),
        ("train secret.txt -o a.safetensors", "secret.txt: permission denied"),
        ("train texts -o a.safetensors", "texts: permission denied"),
        (
            "train text.txt -o secret.safetensors --resume",
            "secret.safetensors: permission denied",
        ),
        ("train text.txt --init-from secret.safetensors -o a", "secret.safetensors: permission"),
        ("sample secret.safetensors", "secret.safetensors: permission denied"),
        ("info secret.safetensors", "secret.safetensors: permission denied"),
    ],
)
def test_what_is_not_permitted_is_said_at_once(command: str, message: str, closed: Path) -> None:
    done = permissions.run(command.split(), closed)
    assert done.returncode in (1, 2)
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"charlm: {message.format(closed)}")


def test_a_full_disk_is_known_before_the_first_step(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(CAT)
    train = f"charlm train text.txt {' '.join(SMALL)} --steps 20 -o disk/model.safetensors"
    done = permissions.small_disk(tmp_path, "16k", f"{train}; ls -A disk")
    if done is None:
        pytest.skip("no file system can be mounted here")
    assert "no checkpoint can be written there, of about 0.1 MB (no space left on" in done.stderr
    assert done.stdout == ""


def test_a_disk_that_fills_up_loses_nothing(tmp_path: Path) -> None:
    """Another fills it after the first save; the end is kept among the temporary files."""
    (tmp_path / "text.txt").write_text(CAT)
    train = f"charlm train text.txt {' '.join(SMALL)} --steps 2000 -o disk/model.safetensors"
    fill = "while ! test -s disk/model.safetensors; do sleep 0.02; done; cat /dev/zero > disk/fill"
    done = permissions.small_disk(tmp_path, "200k", f"({fill}) & {train}; cp disk/model* .")
    if done is None:
        pytest.skip("no file system can be mounted here")
    assert "it is as it was, training goes on and tries again" in done.stderr
    refuge = done.stderr.split("the model is in ")[1].split(": move")[0]
    assert load(refuge).progress["step"] == 2000
    assert 0 < load(tmp_path / "model.safetensors").progress["step"] < 2000


def test_an_output_on_another_file_system(tmp_path: Path) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system")
    with tempfile.TemporaryDirectory(dir=shared) as far:
        link = tmp_path / "model.safetensors"
        link.symlink_to(Path(far) / "model.safetensors")
        save_to(link)
        assert link.is_symlink()
        assert os.listdir(far) == ["model.safetensors"]
        assert load(link).progress["step"] == 30


def save_to(output: Path) -> None:
    """Trains into a file as the command does."""
    run = run_of()
    keeper = Keeper(run, output, print)
    keeper.reserve()
    with locked(output):
        for progress in run.training.run():
            keeper.keep(validated=progress.valid_nats is not None)
        assert keeper.finish()


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


def test_long_names_that_begin_alike_have_locks_of_their_own(tmp_path: Path) -> None:
    first, second = (tmp_path / f"{'tinyshakespeare-' * 4}seed{seed}" for seed in (1, 2))
    (left := beside(second, "0123abcd.part")).write_text("half")
    with locked(first):
        assert left.exists()
        with locked(second):
            assert not left.exists()
    assert len(os.fsencode(beside("ü" * 120, "lock").name)) < 255


def test_space_is_reserved_where_the_system_has_no_call_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    reserve(tmp_path / "a", 3 * 2**20 + 1)
    assert not list(tmp_path.iterdir())


def test_what_killed_trainings_left_is_removed(tmp_path: Path) -> None:
    output = tmp_path / "model.safetensors"
    lock_file(output).write_text("1\n")
    (tmp_path / ".model.safetensors.0123abcd.part").write_text("half")
    (tmp_path / ".model.safetensors.other.part").write_text("not ours")
    with locked(output):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".model.safetensors.other.part"]


def test_a_lock_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    lock = lock_file(tmp_path / "a")
    lock.symlink_to("elsewhere")  # not followed; another user's file is refused alike
    said = f"the lock {lock} cannot be .*; remove it if no"
    with pytest.raises(OptionError, match=said), locked(tmp_path / "a"):
        pass
    assert lock.is_symlink()


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
                "state": (run.training._stepper.state or [])[0][0],
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
    with pytest.raises(OptionError, match="above 0 and at most 10"):
        run_of(learning_rate=1e30)
    for rate in (1.0, 10.0):
        try:
            run = run_of(learning_rate=rate)
            for _ in run.training.run():
                pass
        except TrainingError:
            continue
        assert all(np.isfinite(array).all() for array in run.checkpoint().weights.values())


def test_more_memory_than_there_is_is_refused_before_the_first_step() -> None:
    with pytest.raises(OptionError, match=r"of memory or more, of \d+; give a smaller"):
        run_of(hidden_size=65_536, layers=60)
    with pytest.raises(OptionError, match=r"batch 1048576, BPTT 1048576: this takes"):
        check_memory(events=2**40, batch_size=2**20, bptt=2**20)
    check_memory(events=2**40, batch_size=32, bptt=64)


def check_memory(events: int, **chosen: int) -> None:
    """As `begin` does, for a corpus so large."""
    ids = np.broadcast_to(np.zeros(1, np.uint8), events + 1)
    known = corpus_of(CAT)
    corpus = dataclasses.replace(known, train=Tokens(ids, events, events, per_line=False))
    _check_memory(ModelConfig(99), TrainConfig(steps=1, **chosen), corpus, fixed_machine())


# Text


def test_texts_of_every_length_train_or_are_refused() -> None:
    tried, failures = text.lengths(0.03, seed=1)
    assert tried > 30
    assert not failures


def test_any_bytes_are_read_or_refused(tmp_path: Path) -> None:
    assert text.fuzzed(300, 1, tmp_path) == (300, [])


def test_a_signal_that_was_ignored_stays_so() -> None:
    from charlm.cli.signals import Listener

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Listener():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_a_signal_cleans_ends_with_an_error_too() -> None:
    from charlm.cli.signals import Listener

    listener, cleaned = Listener(), list[int]()
    with pytest.raises(ValueError, match="wrong"), listener.leaving(lambda: cleaned.append(1)):
        raise ValueError("wrong")
    listener._clean()
    assert not cleaned
