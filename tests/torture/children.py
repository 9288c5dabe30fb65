"""The command line in real processes, forked from one that has imported torch: milliseconds each.

A child may be told to fail or to die at the n-th call by which a file is saved.
"""

import contextlib
import errno
import json
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CALLS = ("open", "write", "fsync", "close", "replace")
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["torch", "torch._dynamo", "charlm.run", "charlm.cli.saving"])


class Faulty:
    """The module `os` for charlm.atomic, with a fault at the n-th of its calls (from 0).

    kind: "kill" before the call, "kill later" in the middle of a write or after another call,
    "short" for a write that takes half, or the name of an errno. only: count calls of this name.
    """

    def __init__(self, kind: str, at: int, only: str = "") -> None:
        self._kind, self._at, self._only = kind, at, only
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        function = getattr(os, name)
        if name not in CALLS:
            return function

        def call(*arguments: Any, **options: Any) -> Any:
            here = self.calls.count(name) if self._only else len(self.calls)
            self.calls.append(name)
            if here == self._at and self._only in ("", name):
                return self._fault(name, function, arguments, options)
            return function(*arguments, **options)

        return call

    def _fault(self, name: str, function: Any, arguments: Any, options: Any) -> Any:
        if name == "write" and self._kind in ("short", "kill later"):
            handle, data = arguments
            written = os.write(handle, data[: max(1, len(data) // 2)])
            if self._kind == "short":
                return written
        elif self._kind in ("short", "kill later"):
            result = function(*arguments, **options)
            if self._kind == "short":
                return result
        if self._kind.startswith("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        if name == "close":  # the file is closed whatever close says
            os.close(*arguments)
        number = getattr(errno, self._kind)
        raise OSError(number, os.strerror(number))


@dataclass
class Child:
    """A process that runs a command; `errors` is what it has written to stderr."""

    process: Any
    log: Path

    def wait(self, seconds: float = 120) -> int:
        """The exit code, below zero for a signal that was not handled."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise AssertionError(f"it did not end: {self.errors}")
        return int(self.process.exitcode)

    def signal(self, number: int) -> None:
        """Sends a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    @property
    def errors(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def start(arguments: list[str], log: Path, fault: tuple[str, int, str] | None = None) -> Child:
    """Runs `charlm` with these arguments; stderr goes into the log."""
    log.unlink(missing_ok=True)
    process = CONTEXT.Process(target=_run, args=(arguments, str(log), fault))
    process.start()
    return Child(process, log)


def _run(arguments: list[str], log: str, fault: tuple[str, int, str] | None) -> None:
    import sys

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # as charlm.__main__ begins
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(handle, 2)
    os.dup2(nothing, 1)
    os.dup2(nothing, 0)
    from charlm import atomic
    from charlm.cli import main

    if fault:
        atomic.os = Faulty(*fault)  # type: ignore[assignment]
    sys.argv = ["charlm", *arguments]
    main()


def without_times(path: Path) -> tuple[dict[str, Any], bytes]:
    """A checkpoint's header with all that depends on the clock at zero, and its data."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    record = header["__metadata__"]["charlm"] = json.loads(header["__metadata__"]["charlm"])
    record["digest"] = ""  # of the header
    for entry in record["history"]:
        entry["seconds"] = 0
    for name in ("seconds", "training_from", "validation_seconds"):
        record["progress"][name] = 0
    return header, content[8 + length :]
