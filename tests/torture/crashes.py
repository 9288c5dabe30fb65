"""Trainings that are killed, signalled, or cannot save: nothing is lost, the end is the same."""

import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from charlm.checkpoint import load
from charlm.errors import CharlmError
from torture.children import Child, start, without_times

TEXT = "".join(f"The {noun} {verb}.\n" for noun in ("cat", "dog", "bird") for verb in ("is", "was"))
KINDS = {
    "lstm": ["--dropout", "0.3"],
    "gru": ["--cell", "gru", "--layers", "2"],
    "per line": ["--per-line", "--dropout", "0.2"],
    "epochs": ["--epochs", "4"],
}
SMALL = "--hidden-size 8 --embedding-size 4 --batch-size 3 --bptt 8 --precision float32 --threads 1"
FAULTS = ("ENOSPC", "EIO", "EACCES", "EDQUOT", "EROFS")


class Trial:
    """One kind of training in a folder of its own, and how it ends where nothing disturbs it."""

    def __init__(self, kind: str, folder: Path, steps: int = 120) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.output = folder, folder / "model.safetensors"
        text = folder / "text.txt"
        text.write_text(TEXT * 20)
        options = KINDS[kind]
        budget = [] if "--epochs" in options else ["--steps", str(steps)]
        self._arguments = ["train", str(text), *SMALL.split(), *options, *budget]
        whole = self.start(folder / "whole.safetensors")
        assert whole.wait() == 0, whole.errors
        self.wanted = without_times(folder / "whole.safetensors")

    def start(self, output: Path | None = None, fault: tuple[str, int, int] | None = None) -> Child:
        """Begins, or goes on where there is a checkpoint."""
        output = output or self.output
        more = ["--resume"] if output.exists() else []
        log = self.folder / "log.txt"
        return start([*self._arguments, "-o", str(output), *more], log, fault)

    def finish(self) -> str:
        """Goes on to the end; what is wrong with it, or ''."""
        child = self.start()
        code = child.wait()
        complete = "this run is complete" in child.errors
        if code and not complete:
            return f"exit code {code}: {child.errors}"
        if without_times(self.output) != self.wanted:
            return "the end is another than that of a run which never stopped"
        left = [entry.name for entry in self.folder.iterdir() if entry.name.startswith(".")]
        return f"left behind: {left}" if left else ""

    def unsound(self) -> str:
        """What is wrong with the checkpoint on the disk, or ''."""
        if not self.output.exists():
            return ""
        try:
            load(self.output)
        except CharlmError as error:
            return str(error)
        return ""

    def reset(self) -> None:
        """Removes what the last trial made."""
        self.output.unlink(missing_ok=True)


def wait_until_it_trains(child: Child) -> None:
    """Returns when the plan has been shown, or the process has ended."""
    while "into" not in child.errors and child.process.exitcode is None:
        time.sleep(0.002)


def kills(
    count: int, seed: int, folder: Path, kinds: Sequence[str] = tuple(KINDS)
) -> tuple[int, list[str]]:
    """kill -9: half at random moments, half inside a save."""
    draw = random.Random(seed)
    failures = []
    trials = {kind: Trial(kind, folder / kind) for kind in kinds}
    for number in range(count):
        kind = draw.choice(kinds)
        trial = trials[kind]
        trial.reset()
        if number % 2:
            fault = (draw.choice(["kill", "kill later"]), draw.randrange(200), 1)
            child = trial.start(fault=fault)
        else:
            fault = ("at", 0, 0)
            child = trial.start()
            wait_until_it_trains(child)
            time.sleep(draw.random() * 0.5)
            child.signal(signal.SIGKILL)
        child.wait()
        if wrong := trial.unsound() or trial.finish():
            failures.append(f"{kind}, kill {number} {fault}: {wrong}")
    return count, failures


def signals(
    count: int,
    seed: int,
    folder: Path,
    check_times: bool = True,
    kinds: Sequence[str] = tuple(KINDS),
) -> tuple[int, list[str]]:
    """INT, TERM and HUP at random moments, a second one after some."""
    draw = random.Random(seed)
    failures = []
    trials = {kind: Trial(kind, folder / kind) for kind in kinds}
    for number in range(count):
        kind = draw.choice(kinds)
        trial = trials[kind]
        trial.reset()
        chosen = draw.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
        child = trial.start()
        if number % 8:
            wait_until_it_trains(child)
        time.sleep(draw.random() * 0.4)
        while not child.log.exists():
            time.sleep(0.002)
        sent = time.monotonic()
        child.signal(chosen)
        twice = number % 4 == 3
        if twice:
            time.sleep(draw.random() * 0.02)
            child.signal(chosen)
        code = child.wait()
        took = time.monotonic() - sent
        wrong = ""
        if code not in (0, 128 + chosen, -chosen):  # the last before charlm listens
            wrong = f"exit code {code}: {child.errors}"
        elif "Traceback" in child.errors:
            wrong = child.errors
        elif check_times and took > (1 if twice else 5):
            wrong = f"it took {took:.2f} s"
        elif code > 0 and "go on with" not in child.errors and "stopped" not in child.errors:
            wrong = f"it did not say how to go on: {child.errors}"
        if wrong := wrong or trial.unsound() or trial.finish():
            failures.append(f"{kind}, {chosen.name} {number}: {wrong}")
    return count, failures


def stops(
    count: int, seed: int, folder: Path, kinds: Sequence[str] = tuple(KINDS)
) -> tuple[int, list[str]]:
    """Runs that are stopped three times at random steps, by a signal, and gone on with."""
    draw = random.Random(seed)
    failures = []
    trials = {kind: Trial(kind, folder / kind) for kind in kinds}
    for number in range(count):
        kind = kinds[number % len(kinds)]
        trial = trials[kind]
        trial.reset()
        for _ in range(3):
            child = trial.start()
            wait_until_it_trains(child)
            time.sleep(draw.random() * 0.15)
            child.signal(signal.SIGTERM)
            child.wait()
        if wrong := trial.unsound() or trial.finish():
            failures.append(f"{kind}, stop {number}: {wrong}")
    return count, failures


def faults(
    folder: Path, kinds: Sequence[str] = FAULTS, calls: Sequence[int] = range(5, 26)
) -> tuple[int, list[str]]:
    """Each call of each save failing in turn while a training goes on."""
    failures = []
    trial = Trial("lstm", folder, steps=30)
    tried = 0
    for kind in (*kinds, "short"):
        for at in calls:  # the calls before are those of the reservation
            trial.reset()
            tried += 1
            child = trial.start(fault=(kind, at, 1))
            code = child.wait()
            told = "tries again" in child.errors or kind == "short"
            if code or not told or without_times(trial.output) != trial.wanted:
                failures.append(f"{kind} at call {at}: exit code {code}: {child.errors}")
    return tried, failures


def two_at_once(count: int, seed: int, folder: Path) -> tuple[int, list[str]]:
    """Trainings that begin together: all but one are refused, and the lock dies with its holder."""
    draw = random.Random(seed)
    failures = []
    trial = Trial("lstm", folder)
    for number in range(count):
        trial.reset()
        first, second = trial.start(), trial.start()
        if number % 3 == 0:
            time.sleep(draw.random() * 0.1)
            first.signal(signal.SIGKILL)
        codes = sorted((first.wait(), second.wait()))
        fine = [0, 1] if number % 3 else None
        if fine and codes != fine and codes != [0, 2]:  # 2: the other had finished already
            failures.append(f"start {number}: exit codes {codes}")
        if wrong := trial.unsound() or trial.finish():
            failures.append(f"start {number}: {wrong}")
    return count, failures
