"""Files that are replaced whole or not at all: what survives a crash, a full disk, a kill.

Knows nothing about what is in them.
"""

import os
import re
import secrets
import stat
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

SHORT = 40  # characters of a file's name that names beside it repeat
BLOCK = 2**20
Bytes = bytes | memoryview


def replace(path: str | os.PathLike[str], blocks: Iterable[Bytes]) -> None:
    """Temporary file beside it, write, fsync, rename, fsync of the folder.

    Whoever reads the path sees the old file or the new one, never a part. A symbolic link stays
    one: what it points to is replaced. The permissions of a file that is there stay. Raises
    OSError, which names the path; the temporary file is then removed.
    """
    target = Path(os.path.realpath(path))
    temporary = _temporary(target)
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with suppress(OSError):  # a new file has none to keep
                os.fchmod(handle, stat.S_IMODE(os.stat(target).st_mode))
            for block in blocks:
                _write(handle, memoryview(block))
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            error.filename = os.fspath(path)
        raise
    _sync(target.parent)


def reserve(path: str | os.PathLike[str], size: int) -> None:
    """Raises the OSError that writing `size` bytes beside the path would, and leaves nothing."""
    temporary = _temporary(Path(os.path.realpath(path)))
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        _allocate(handle, size)
    finally:
        os.close(handle)
        os.unlink(temporary)
    _sync(temporary.parent)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Removes temporary files that killed processes left beside the path."""
    first = beside(path, "")
    pattern = re.compile(re.escape(first.name) + r"[0-9a-f]{8}\.part")
    with suppress(OSError):
        for entry in os.scandir(first.parent):
            if pattern.fullmatch(entry.name):
                os.unlink(entry.path)


def beside(path: str | os.PathLike[str], ending: str) -> Path:
    """`.NAME.ENDING` in the path's folder: the target's own, and short enough whatever its name."""
    target = Path(os.path.realpath(path))
    name = target.name
    if len(name) > SHORT:
        name = f"{name[:SHORT]}-{zlib.crc32(os.fsencode(name)):08x}"
    return target.parent / f".{name}.{ending}"


def _temporary(target: Path) -> Path:
    return beside(target, f"{secrets.token_hex(4)}.part")


def _allocate(handle: int, size: int) -> None:
    """Takes up the space, by writing where the system (macOS) has no call for it."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
        return
    for at in range(0, size, BLOCK):
        _write(handle, memoryview(bytes(min(BLOCK, size - at))))


def _write(handle: int, block: memoryview) -> None:
    """All of it: a write may take less than it is given."""
    while len(block):
        block = block[os.write(handle, block) :]


def _sync(folder: Path) -> None:
    """Makes a rename in the folder last."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
