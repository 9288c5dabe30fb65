"""Streams: standard input, and any as it comes. Knows nothing about how bytes are decoded."""

import os
import select
import stat
import sys
import time
from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO

from charlm.errors import TextError

TOGETHER = 0.05  # seconds: what arrives within them is one block


def standard_input() -> BinaryIO:
    """Its bytes; raises TextError where it is closed or a device other than a terminal."""
    stream: BinaryIO | None = getattr(sys.stdin, "buffer", None)
    if stream is None or stream.closed:
        raise TextError("<stdin> is closed; give a file or a pipe")
    try:
        device = stat.S_ISCHR(os.fstat(stream.fileno()).st_mode) and not stream.isatty()
        os.set_blocking(stream.fileno(), True)  # else what has not come yet looks like the end
    except OSError:  # a stream in memory has no file
        device = False
    if device:
        raise TextError("<stdin> is a device, not a text; give a file or a pipe")
    return stream


def blocks_of(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """All that is in it: of what is typed a line each, until an end is typed once."""
    while block := _some_of(stream, size):
        yield block


def _some_of(stream: BinaryIO, size: int) -> bytes:
    """What there is, at least a byte, which is waited for; nothing at the end."""
    read1: Callable[[int], bytes] = stream.read1  # type: ignore[attr-defined]
    return read1(size)


class Arriving:
    """A stream that is read as it comes, a block at a time, and can go back within the first.

    starts: what a stream may begin with, for all of which is waited.
    """

    def __init__(self, stream: BinaryIO, block: int, starts: Collection[bytes]) -> None:
        self._stream, self._ended = stream, False
        self._first = self._read(block)
        while any(start.startswith(self._first) for start in starts) and not self._ended:
            self._first += self._read(block)
        self._position = 0

    def seek(self, position: int, /) -> int:
        self._position = position
        return position

    def read(self, size: int, /) -> bytes:
        block = self._first[self._position : self._position + size]
        return block or self._read(size)

    def _read(self, size: int) -> bytes:
        """What comes within TOGETHER of the first byte, which is waited for; nothing at the end."""
        block, until = self._more(size), time.monotonic() + TOGETHER
        while len(block) < size and self._ready(until - time.monotonic()):
            block += self._more(size - len(block))
        return block

    def _more(self, size: int) -> bytes:
        """At least a byte; nothing at the end, after which a terminal is not asked again."""
        more = b"" if self._ended else _some_of(self._stream, size)
        self._ended = not more
        return more

    def _ready(self, seconds: float) -> bool:
        """Whether there is more, or will be before so many seconds are over."""
        try:
            return (
                seconds > 0
                and not self._ended
                and bool(select.select([self._stream], [], [], seconds)[0])
            )
        except OSError:  # a stream in memory cannot be asked
            return False
