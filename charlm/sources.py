"""Where text comes from: bytes that can be read again and again, and their strict decoding.

A file is opened afresh for each reading, and must stay as it was; a stream (standard input, a
named pipe, a process substitution) is first copied to an unnamed temporary file, or read once as
it arrives; devices and sockets are refused. Every fault names the file and the offset of the byte
in it. Knows nothing about lines, pieces or counts.
"""

import codecs
import io
import os
import stat
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Protocol

from charlm.errors import OptionError, TextError
from charlm.foreign import FIRST_BYTES, look_of
from charlm.streams import Arriving, blocks_of, standard_input

BLOCK = 2**20  # bytes read at a time

MARKS = {  # UTF-32 first: its little-endian mark begins with that of UTF-16
    "utf-8": codecs.BOM_UTF8,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
}


class Readable(Protocol):
    """What is asked of a file."""

    def seek(self, position: int, /) -> int: ...

    def read(self, size: int, /) -> bytes: ...


Opener = Callable[[], AbstractContextManager[Readable]]


@dataclass(frozen=True)
class Source:
    """Bytes under a name, and how they are decoded."""

    name: str
    opener: Opener
    codec: str = "utf-8"
    mark: int = 0  # bytes of the byte order mark, which no reading sees

    def decoded(self) -> Iterator[str]:
        """The characters, about a block at a time; TextError behind the last before bad bytes."""
        decoder = codecs.getincrementaldecoder(self.codec)()
        position = self.mark  # behind the block
        for block in self.blocks():
            position += len(block)
            before = decoder.getstate()
            try:
                string = decoder.decode(block, not block)
            except UnicodeDecodeError as error:
                # error.object is what the decoder had kept back, and then the block
                kept = len(error.object) - len(block)
                decoder.setstate(before)
                yield decoder.decode(block[: max(0, error.start - kept)])
                offset = position - len(error.object) + error.start
                raise _fault(self.name, self.codec, error, offset, cut=not block) from None
            yield string

    def blocks(self) -> Iterator[bytes]:
        """The bytes behind the mark; the last block is empty."""
        position, block = self.mark, b"none yet"
        with self.opener() as file, _faults_of(self.name):
            while block:
                file.seek(position)  # every time, as the readings of a stream share one file
                block = file.read(BLOCK)
                position += len(block)
                yield block


def sources_of(path: str, encoding: str) -> list[Source]:
    """What a path names: a file, "-" for standard input, a pipe, or the files of a folder."""
    if path == "-":
        return [_stream("<stdin>", standard_input(), encoding)]
    with _faults_of(path):
        mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        return [_file(name, encoding) for name in texts_in(path)]
    if stat.S_ISREG(mode):
        return [_file(path, encoding)]
    if stat.S_ISFIFO(mode):
        with _faults_of(path), open(path, "rb") as pipe:
            return [_stream(path, pipe, encoding)]
    raise TextError(f"{path} is a device or a socket, not a text; give a file or a pipe")


def arriving(encoding: str) -> Source:
    """Standard input, to be read once, in blocks of what has come. Waits for the first byte."""
    with _faults_of("<stdin>"):
        stream = Arriving(standard_input(), BLOCK, MARKS.values())
    return _with_codec("<stdin>", lambda: nullcontext(stream), encoding)


def texts_in(folder: str) -> list[str]:
    """The files that a folder is read as: all but the hidden ones and checkpoints, sorted.

    Raises TextError if there are none.
    """
    files = [name for name in _files_in(folder) if not is_checkpoint(name)]
    if not files:
        raise TextError(f"{folder}: a folder without any file to read")
    return files


def checkpoints_in(path: str) -> list[str]:
    """Those of a folder's files that are not read; none where the path is no folder."""
    return list(filter(is_checkpoint, _files_in(path))) if os.path.isdir(path) else []


def is_checkpoint(path: str) -> bool:
    """Whether a file begins as those of safetensors do."""
    with _faults_of(path), open(path, "rb") as file:
        return _is_safetensors(file.read(10))


def _is_safetensors(head: bytes) -> bool:
    return head[4:10] == b'\0\0\0\0{"'  # the rest of a length, and JSON


def string_source(utf8: bytes, name: str) -> Source:
    """A string already encoded, all of which is text (U+FEFF at its start too)."""
    file = io.BytesIO(utf8)
    return Source(name, lambda: nullcontext(file))


def check_encoding(encoding: str) -> None:
    """Raise OptionError unless Python can decode streams of text in this encoding."""
    try:
        "\n".encode(encoding)  # refuses what is unknown, and codecs that are not for text
        known = codecs.lookup(encoding).name not in ("idna", "punycode")  # not for streams
    except (LookupError, ValueError):
        known = False
    if not known:
        raise OptionError(f"encoding {encoding!r} is unknown; try utf-8, utf-16, latin-1 or cp1252")


def _file(path: str, encoding: str) -> Source:
    with _faults_of(path):
        status = os.stat(path)
    return _with_codec(path, partial(_unchanged, path, status), encoding)


def _stream(name: str, stream: BinaryIO, encoding: str) -> Source:
    from tempfile import TemporaryFile  # slow to import, seldom needed

    spool = TemporaryFile()  # noqa: SIM115 (lives as long as its source)
    try:
        for block in blocks_of(stream, BLOCK):
            spool.write(block)
        source = _with_codec(name, lambda: nullcontext(spool), encoding)
    except BaseException as error:
        spool.close()
        if isinstance(error, OSError):
            raise TextError(f"{name}: cannot be copied to a temporary file: {error}") from None
        raise
    weakref.finalize(source, spool.close)
    return source


def _with_codec(name: str, opener: Opener, encoding: str) -> Source:
    """Settle the byte order, and how long the mark is, by the first bytes; refuse checkpoints."""
    asked = codecs.lookup(encoding).name.removesuffix("-sig")
    with opener() as file:
        file.seek(0)
        head = file.read(10)
    if _is_safetensors(head):
        raise TextError(f"{name} is a checkpoint (safetensors), not a text; leave it out")
    for codec, mark in MARKS.items():
        if codec.startswith(asked) and head.startswith(mark):
            return Source(name, opener, codec, len(mark))
    if asked in ("utf-16", "utf-32") and head:
        raise TextError(f"{name}: no byte order mark; try --encoding {asked}-le or {asked}-be")
    return Source(name, opener, asked)


def _files_in(folder: str) -> list[str]:
    """Its regular files, recursively and sorted; nothing hidden, no folder behind a link."""
    files: list[str] = []
    with _faults_of(folder):
        for root, folders, names in os.walk(folder, onerror=_raise):
            folders[:] = [name for name in folders if not name.startswith(".")]
            files += [os.path.join(root, name) for name in names if not name.startswith(".")]
    return sorted(filter(os.path.isfile, files))


def _raise(error: OSError) -> None:
    raise error


@contextmanager
def _unchanged(path: str, known: os.stat_result) -> Iterator[BinaryIO]:
    """The file, open; TextError if its size or time has changed, or does until it is read."""
    with _faults_of(path), open(path, "rb") as file:
        _compare(file, known)
        yield file
        _compare(file, known)


def _compare(file: BinaryIO, known: os.stat_result) -> None:
    now = os.fstat(file.fileno())
    if (now.st_size, now.st_mtime_ns) != (known.st_size, known.st_mtime_ns):
        raise TextError(f"{os.fspath(file.name)} has changed since it was first read; start again")


@contextmanager
def _faults_of(name: str) -> Iterator[None]:
    """Faults of the operating system, as one line."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        reason = str(getattr(error, "strerror", None) or error)
        raise TextError(f"{getattr(error, 'filename', None) or name}: {reason.lower()}") from None


def _fault(
    name: str, codec: str, error: UnicodeDecodeError, offset: int, *, cut: bool
) -> TextError:
    kind = look_of(error.object[:FIRST_BYTES]) if offset == error.start else ""
    if kind and not kind.startswith(("a text", "an unknown")):
        return TextError(f"{name} is no text but {kind}")
    bad = error.object[error.start : error.end]
    where = f"{' '.join(f'0x{byte:02X}' for byte in bad)} at byte {offset}, {error.reason}"
    guess = f"try --encoding {_guess(error.object, bad[0], offset)}"
    remedy = guess if codec == "utf-8" else "name its own --encoding"
    if cut:
        return TextError(
            f"{name} ends inside a character of {codec} ({where}); get the whole file, or {remedy}"
        )
    return TextError(
        f"{name} is not {codec} ({where}); {remedy}, or leave such bytes out with iconv -c"
    )


def _guess(data: bytes, bad: int, offset: int) -> str:
    """An encoding to try for what is not UTF-8; `data` is what lies around the bad byte."""
    for codec, mark in MARKS.items():
        if offset == 0 and data.startswith(mark):
            return codec[:6]
    if data.count(0) * 4 > len(data):
        return "utf-16-le or utf-16-be"
    return "cp1252" if bad < 0xA0 else "latin-1"
