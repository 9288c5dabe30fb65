"""How often to do what takes time from training."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

SHARE = 0.02  # of the time, at most


class Pace:
    """Limits, if `bounded`, how often something is done, so that it takes SHARE of the time."""

    def __init__(self, bounded: bool) -> None:
        self._bounded, self._next = bounded, 0.0

    def due(self) -> bool:
        """Whether it may be done again."""
        return not self._bounded or time.monotonic() >= self._next

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Around what is done."""
        begun = time.monotonic()
        yield
        ended = time.monotonic()
        self._next = ended + (ended - begun) / SHARE
