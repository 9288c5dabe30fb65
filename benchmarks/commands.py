"""charlm's commands as a user starts them: `train` with its log, `eval`, their time and memory."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHARLM = [sys.executable, "-m", "charlm"]


def train(text: Path, output: Path, *options: str) -> list[dict[str, Any]]:
    """Runs `charlm train`; gives the records of its log."""
    log = output.with_suffix(".jsonl")
    arguments = ["train", str(text), "-o", str(output), "--log", str(log), "--quiet", "--force"]
    subprocess.run([*CHARLM, *arguments, *options], check=True)
    return records(log)


def records(log: Path) -> list[dict[str, Any]]:
    """The whole lines of a log, which may still be written."""
    whole = log.read_text().rpartition("\n")[0] if log.exists() else ""
    return [json.loads(line) for line in whole.splitlines()]


def best_nats(log: list[dict[str, Any]]) -> float:
    """The best validation, in nats per token."""
    return min(float(record["valid_nats"]) for record in log if record["valid_nats"])


def evaluation(checkpoint: Path, text: Path, *options: str) -> dict[str, Any]:
    """What `charlm eval --json` prints."""
    command = [*CHARLM, "eval", str(checkpoint), str(text), "--json"]
    printed = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(printed.stdout)
    return figures


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a process took: seconds of wall-clock and the peak of its resident memory, in MB."""

    seconds: float
    megabytes: float


def cost(command: list[str], until: Callable[[], bool] | None = None) -> Cost:
    """Runs a command, or kills it once `until` says so, and gives what it took.

    To be called from a small process: a child's peak is never less than its parent's size. Raises
    CalledProcessError if the command fails, or ends before `until` comes true.
    """
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    reached = _wait_for(process, until) if until else False
    spent = time.perf_counter() - begun
    if reached:
        process.kill()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if not reached and (until or process.returncode):
        raise subprocess.CalledProcessError(process.returncode, command)
    unit = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss is in bytes there, in KB here
    return Cost(spent if until else time.perf_counter() - begun, usage.ru_maxrss / unit)


def _wait_for(process: "subprocess.Popen[bytes]", until: Callable[[], bool]) -> bool:
    """Looks often; whether it came true before the process ended."""
    while not until():
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return until()
        time.sleep(0.02)
    return True
