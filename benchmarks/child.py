"""One benchmark in a process of its own: gives each row as a line of JSON as soon as it is known.

    python -m benchmarks.child latency run

So a benchmark that crashes, hangs or fills the memory takes no other with it, and none finds the
threads, the memory or the caches as another left them.
"""

import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Row

ROOT = Path(__file__).resolve().parents[1]
BROKE_OFF = "broke off"


def rows_of(module: str, function: str, minutes: float) -> Iterator[Row]:
    """The rows of a benchmark run apart; a last one says so if it broke off or took too long."""
    command = [sys.executable, "-m", "benchmarks.child", module, function]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=ROOT
    )
    assert process.stdout is not None
    begun = time.monotonic()
    timer = threading.Timer(60 * minutes, _end, [process])
    timer.start()
    try:
        for line in process.stdout:
            yield Row(**json.loads(line))
        code = process.wait()
        late = time.monotonic() - begun >= 60 * minutes
    finally:
        timer.cancel()
        _end(process)
        process.stdout.close()
    if code:
        yield _broken(module, f"took more than {minutes:g} min" if late else f"exit code {code}")


def _end(process: "subprocess.Popen[str]") -> None:
    """Ends the benchmark and the commands that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _broken(module: str, why: str) -> Row:
    return Row(f"{module}: {BROKE_OFF}", "–", "–", "–", why, None, None)


def main(module: str, function: str) -> None:
    """Runs the benchmark; all that it or its commands print goes to stderr, only rows to stdout."""
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "w") as output:
        os.dup2(2, 1)
        for row in _rows(module, function):
            output.write(json.dumps(dataclasses.asdict(row)) + "\n")
            output.flush()


def _rows(module: str, function: str) -> Iterator[Row]:
    try:
        yield from getattr(importlib.import_module(f"benchmarks.{module}"), function)()
    except Exception as error:
        traceback.print_exc()
        yield _broken(module, f"{type(error).__name__}: {error}".replace("\n", " ")[:300])


if __name__ == "__main__":
    main(*sys.argv[1:])
