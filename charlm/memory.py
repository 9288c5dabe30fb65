"""Memory that is freed and soon wanted again. Knows nothing about models."""

import ctypes
import sys

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # of glibc's mallopt, malloc.h
KEPT = 2**30  # bytes


def keep_freed() -> None:
    """Lets this process keep freed memory for its next step instead of giving it back.

    A step of training needs arrays of tens of megabytes. By default the C library gives each back
    to the system when it is freed, and the next step waits for it page by page: up to a third of
    the time. Does nothing where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, KEPT)
        mallopt(TRIM_THRESHOLD, KEPT)
