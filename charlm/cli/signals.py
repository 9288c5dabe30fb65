"""INT, TERM and HUP: heard at once, whatever the main thread is doing.

A thread of its own waits for them, so that they are heard during a long call into C too, and
nothing is ever torn up by an exception. Knows nothing about training.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHOW_CURSOR = b"\x1b[?25h"


class Listener:
    """A context manager. Until `attend` is called, and after a first signal, one ends the process.

    What is ignored stays so: HUP by `nohup`, INT in a script's background. The exit code is 128 +
    the signal's number.
    """

    def __init__(self) -> None:
        self.received = 0  # the first signal that was attended to
        self._first: Callable[[], None] | None = None
        self._clean: Callable[[], None] = _nothing

    def __enter__(self) -> "Listener":
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._wakeup = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        self._before = [
            (number, signal.signal(number, _ignore))
            for number in HEARD
            if signal.getsignal(number) != signal.SIG_IGN
        ]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._writing)
        self._thread.join()
        os.close(self._reading)

    @contextmanager
    def leaving(self, clean: Callable[[], None]) -> Iterator[None]:
        """Within it, `clean` is called before a signal ends the process."""
        self._clean = clean
        try:
            yield
        finally:
            self._clean, self._first = _nothing, None

    def attend(self, first: Callable[[], None]) -> None:
        """From now on the first signal calls `first`; only a second one ends the process."""
        self._first = first

    def _listen(self) -> None:
        while number := os.read(self._reading, 1):
            first = self._first
            if first is None or self.received:
                self._leave(number[0])
            else:
                self.received = number[0]
                first()

    def _leave(self, number: int) -> None:
        self._clean()
        if os.isatty(2):  # which shows ^C where the cursor was
            os.write(2, SHOW_CURSOR + b"\n")
        try:
            os.write(2, f"charlm: stopped by {signal.Signals(number).name}\n".encode())
        finally:
            os._exit(128 + number)


def _nothing() -> None:
    """There is nothing to clean."""


def _ignore(number: int, frame: FrameType | None) -> None:
    """The thread hears it."""
    del number, frame
