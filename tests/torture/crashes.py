"""Trainings that are killed, signalled, or cannot save: nothing is lost, the end is the same."""

import json
import random
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from charlm.checkpoint import load
from charlm.errors import CharlmError
from torture.children import CALLS, Child, start, without_times

TEXT = "".join(f"The {noun} {verb}.\n" for noun in ("cat", "dog", "bird") for verb in ("is", "was"))
KINDS = {
    "lstm": ["--dropout", "0.3"],
    "gru": ["--cell", "gru", "--layers", "2"],
    "per line": ["--per-line", "--dropout", "0.2"],
    "epochs": ["--epochs", "4"],
}
SMALL = "--hidden-size 8 --embedding-size 4 --batch-size 3 --bptt 8 --precision float32 --threads 1"
FAULTS = ("ENOSPC", "EIO", "EACCES", "EDQUOT", "EROFS", "short")
RESERVED = {"open": 2, "fsync": 1, "close": 2}  # calls that come before those of the first save

Result = tuple[int, list[str]]


class Trial:
    """One kind of training in a folder of its own, and how it ends where nothing disturbs it."""

    def __init__(self, kind: str, folder: Path, steps: int = 120) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.output = folder, folder / "model.safetensors"
        self._log = folder / "log.jsonl"
        text = folder / "text.txt"
        text.write_text(TEXT * 20)
        options = [*KINDS[kind], "--log", str(self._log)]
        budget = [] if "--epochs" in options else ["--steps", str(steps)]
        self._arguments = ["train", str(text), *SMALL.split(), *options, *budget]
        whole = self.start(folder / "whole.safetensors")
        assert whole.wait() == 0, whole.errors
        self.wanted = without_times(folder / "whole.safetensors")

    def start(self, output: Path | None = None, fault: tuple[str, int, str] | None = None) -> Child:
        """Begins, or goes on where there is a checkpoint."""
        output = output or self.output
        more = ["--resume"] if output.exists() else ["--force"]  # a log that tells of nothing saved
        return start([*self._arguments, "-o", str(output), *more], self.folder / "log.txt", fault)

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

    def lost(self) -> str:
        """What is wrong with the checkpoint on the disk, or ''.

        A save follows each validation: on the disk is that of the last one, or of the one before.
        """
        validated = self._validated()
        if not self.output.exists():
            return "nothing was saved" if len(validated) > 1 else ""
        try:
            step = load(self.output).progress["step"]
        except CharlmError as error:
            return str(error)
        late = len(validated) > 1 and step < validated[-2]
        return f"step {step} is on the disk, {validated[-2:]} were validated" if late else ""

    def _validated(self) -> list[int]:
        """The steps of the validations that the log tells of."""
        text = self._log.read_text() if self._log.exists() else ""
        records = [json.loads(line) for line in text.splitlines(True) if line.endswith("\n")]
        return [record["step"] for record in records if record["valid_nats"] is not None]

    def reset(self) -> None:
        """Removes what the last trial made."""
        self.output.unlink(missing_ok=True)
        self._log.unlink(missing_ok=True)


Attempt = Callable[[Trial, random.Random, int], str]


def attempted(
    attempt: Attempt, count: int, seed: int, folder: Path, kinds: Sequence[str] = tuple(KINDS)
) -> Result:
    """Disturbs so many trainings; after each what is on the disk leads to the same end."""
    draw, failures = random.Random(seed), []
    trials = [Trial(kind, folder / kind) for kind in kinds]
    for number in range(count):
        trial = draw.choice(trials)
        trial.reset()
        if wrong := attempt(trial, draw, number) or trial.lost() or trial.finish():
            failures.append(f"{trial.folder.name}, {number}: {wrong}")
    return count, failures


def wait_until_it_trains(child: Child) -> None:
    """Returns when the plan has been shown, or the process has ended."""
    while "into" not in child.errors and child.process.exitcode is None:
        time.sleep(0.002)


def kill(trial: Trial, draw: random.Random, number: int) -> str:
    """kill -9, by turns at a random moment and inside a save."""
    if number % 2:
        call = draw.choice(CALLS)
        at = RESERVED.get(call, 0) + draw.randrange(1000 if call == "write" else 35)
        child = trial.start(fault=(draw.choice(["kill", "kill later"]), at, call))
        code = child.wait()
        return "" if code == -signal.SIGKILL else f"{call} {at}: not killed, {child.errors}"
    child = trial.start()
    wait_until_it_trains(child)
    time.sleep(draw.random() * 0.35)
    child.signal(signal.SIGKILL)
    child.wait()
    return ""


def kills(count: int, seed: int, folder: Path, kinds: Sequence[str] = tuple(KINDS)) -> Result:
    """kill -9: half at random moments, half inside a save."""
    return attempted(kill, count, seed, folder, kinds)


def signalled(trial: Trial, draw: random.Random, number: int, check_times: bool) -> str:
    """INT, TERM or HUP at a random moment, now and then before it trains; then some twice."""
    chosen = draw.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    child = trial.start()
    if number % 8:
        wait_until_it_trains(child)
    time.sleep(draw.random() * 0.35)
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
    if code not in (0, 128 + chosen, -chosen):  # the last before charlm listens
        return f"{chosen.name}: exit code {code}: {child.errors}"
    if "Traceback" in child.errors:
        return child.errors
    if check_times and took > (1 if twice else 5):
        return f"{chosen.name}: it took {took:.2f} s"
    if code > 0 and "go on with" not in child.errors and "stopped" not in child.errors:
        return f"{chosen.name}: it did not say how to go on: {child.errors}"
    return ""


def signals(
    count: int,
    seed: int,
    folder: Path,
    check_times: bool = True,
    kinds: Sequence[str] = tuple(KINDS),
) -> Result:
    """INT, TERM and HUP at random moments, a second one after some."""
    return attempted(partial(signalled, check_times=check_times), count, seed, folder, kinds)


def stop(trial: Trial, draw: random.Random, number: int) -> str:
    """Stops a run three times at random steps, by a signal, and goes on with it."""
    del number
    for _ in range(3):
        child = trial.start()
        wait_until_it_trains(child)
        time.sleep(draw.random() * 0.15)
        child.signal(signal.SIGTERM)
        child.wait()
    return ""


def stops(count: int, seed: int, folder: Path, kinds: Sequence[str] = tuple(KINDS)) -> Result:
    """Runs that are stopped at random and gone on with."""
    return attempted(stop, count, seed, folder, kinds)


def faults(
    folder: Path, kinds: Sequence[str] = FAULTS, calls: Sequence[str] = CALLS, most: int = 5
) -> Result:
    """The first `most` calls of each name failing in turn while a training goes on."""
    tried, failures = 0, []
    trial = Trial("lstm", folder, steps=30)
    for kind in kinds:
        for call in calls:
            for at in range(most):
                trial.reset()
                tried += 1
                child = trial.start(fault=(kind, RESERVED.get(call, 0) + at, call))
                code = child.wait()
                told = "tries again" in child.errors or kind == "short"
                if code or not told or without_times(trial.output) != trial.wanted:
                    failures.append(f"{kind} at {call} {at}: exit code {code}: {child.errors}")
    return tried, failures


def two_at_once(count: int, seed: int, folder: Path) -> Result:
    """Trainings that begin together: all but one are refused, and the lock dies with its holder."""
    return attempted(two, count, seed, folder, ("lstm",))


def two(trial: Trial, draw: random.Random, number: int) -> str:
    """Two at once; in a third of all cases one of them is killed."""
    first, second = trial.start(), trial.start()
    if number % 3 == 0:
        time.sleep(draw.random() * 0.1)
        first.signal(signal.SIGKILL)
    codes = sorted((first.wait(), second.wait()))
    refused = codes in ([0, 1], [0, 2])  # 2: the other had finished already
    return "" if number % 3 == 0 or refused else f"exit codes {codes}"
