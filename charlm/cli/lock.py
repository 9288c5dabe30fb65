"""One training at a time into one file: a lock beside it, which ends with its process.

The lock is held by the operating system (flock) on `.NAME.lock`, a file with the process's number
in it, removed at the end. What a killed process leaves of it locks nothing, and the next training
into the same file takes it over and removes it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from charlm.atomic import beside, remove_leftovers
from charlm.errors import CharlmError, OptionError


def lock_file(output: Path) -> Path:
    """Where the lock of an output lies."""
    return beside(output, "lock")


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Holds the lock; removes what killed trainings left.

    Raises CharlmError if another process has it, OptionError if the folder cannot be written to or
    the lock's file not be opened.
    """
    handle = _acquire(output)
    try:
        remove_leftovers(output)
        yield
    finally:
        release(output)
        os.close(handle)


def release(output: Path) -> None:
    """Removes the lock's file and a save that is under way; to be called by who holds it."""
    remove_leftovers(output)
    with suppress(OSError):
        os.unlink(lock_file(output))


def _acquire(output: Path) -> int:
    path = lock_file(output)
    while True:
        handle = _open(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.read(handle, 20).decode("ascii", "replace").strip()
            os.close(handle)
            raise CharlmError(
                f"{output}: another training{f', process {other},' * bool(other)} is writing it; "
                "wait for it, stop it, or give another -o"
            ) from None
        except OSError:  # a file system without locks
            return handle
        if _is_at(path, handle):
            with suppress(OSError):  # a full disk is found out elsewhere
                os.ftruncate(handle, 0)
                os.write(handle, f"{os.getpid()}\n".encode())
            return handle
        os.close(handle)  # its last holder removed it just now


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        if os.path.lexists(path):  # another user's, say
            raise OptionError(
                f"the lock {path} cannot be opened ({reason}); remove it if no training "
                "holds it, or give another -o"
            ) from None
        raise OptionError(
            f"the folder {path.parent} cannot be written to ({reason}); give another -o"
        ) from None


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False
