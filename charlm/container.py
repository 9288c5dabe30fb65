"""A safetensors file, strictly: named arrays with one JSON record about them.

Its metadata has one key, `charlm`, the record. That begins with the number of the format and a
SHA-256 digest over the header (with the digest's own 64 digits as zeros), and holds the digest of
the data, so no change of any bit goes unseen. The reader takes what the writer writes and nothing
else; the safetensors library takes names given twice and most flipped bits. Written here as well,
so that the same content is the same file, byte for byte, whatever else is installed. Knows nothing
about models; nothing is ever unpickled or executed.
"""

import dataclasses
import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.atomic import replace
from charlm.errors import CheckpointError
from charlm.foreign import FIRST_BYTES, look_of

FORMAT = 1
SUFFIX = ".safetensors"  # the usual end of a checkpoint's name
LONGEST_HEADER = 2**27  # bytes; all characters of Unicode, or a million words, fit
MOST_VALUES = 2**22  # in a header, which bounds the memory that reading it takes
ROOM = 2**20  # of both, for what is added to a record later
LARGEST_NUMBER = 2**53  # of whole numbers
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "U8": np.dtype("u1")}
NO_DIGEST = "0" * 64
START = re.compile(
    rb'\{"__metadata__":\{"charlm":"\{\\"format\\": (\d{1,9}), \\"digest\\": \\"([0-9a-f]{64})\\"'
)

Array = npt.NDArray[Any]
Layout = dict[str, tuple[np.dtype[Any], tuple[int, ...]]]  # type and shape of each array


def layout_of(arrays: Mapping[str, Array]) -> Layout:
    """The type and shape of each array."""
    return {name: (array.dtype, array.shape) for name, array in arrays.items()}


def write(
    path: str | os.PathLike[str], record: Mapping[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Writes the file so that the path has the old one or the new one, whole.

    Raises OSError, and CheckpointError where the record is longer than what is ever read.
    """
    names = {dtype: name for name, dtype in DTYPES.items()}
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0]))
    blocks: list[memoryview] = []
    table, end, digest = {}, 0, hashlib.sha256()
    for name, array in ordered:
        block = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        offsets = [end, end := end + len(block)]
        table[name] = {
            "dtype": names[array.dtype],
            "shape": list(array.shape),
            "data_offsets": offsets,
        }
        digest.update(block)
        blocks.append(block)
    replace(path, [_header({"data": digest.hexdigest(), **record}, table), *blocks])


def check_room(record: Mapping[str, Any]) -> None:
    """Raises CheckpointError where there would be no room for this record and ROOM more."""
    _header(record, {}, ROOM)


def _header(record: Mapping[str, Any], table: Mapping[str, Any], room: int = 0) -> bytes:
    whole = {"format": FORMAT, "digest": NO_DIGEST, **record}
    metadata = {"charlm": json.dumps(whole, allow_nan=False)}
    text = json.dumps({"__metadata__": metadata, **table}, separators=(",", ":"))
    header = text.encode()
    if len(header) + room > LONGEST_HEADER - 16 or _values(text) + room > MOST_VALUES:
        raise CheckpointError(
            f"a header of {len(header):,} bytes is more than is ever read; give a smaller "
            "--vocab-size"
        )
    header += b" " * (-len(header) % 8)
    encoded = len(header).to_bytes(8, "little") + header
    return encoded.replace(NO_DIGEST.encode(), hashlib.sha256(encoded).hexdigest().encode(), 1)


@dataclasses.dataclass(frozen=True)
class Container:
    """An open file whose header has been read and checked; the data has not."""

    record: dict[str, Any]
    layout: Layout
    _file: BufferedReader
    _size: int
    _digest: Any

    def arrays(self) -> dict[str, Array]:
        """Reads the data once, into one piece of memory, and checks its digest."""
        data = bytearray(self._size)
        if self._file.readinto(data) != self._size or self._file.read(1):
            raise CheckpointError("has changed while it was read; try again")
        if hashlib.sha256(data).hexdigest() != self._digest:
            raise CheckpointError("damaged: its data does not match its digest; get it again")
        arrays, at = {}, 0
        for name, (dtype, shape) in self.layout.items():
            count = math.prod(shape)
            arrays[name] = np.frombuffer(data, dtype, count, at).reshape(shape)
            at += count * dtype.itemsize
        return arrays


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Container]:
    """The file at the path, its header checked.

    Whatever is wrong, with the file or with what is made of it inside the `with`, is raised as a
    CheckpointError that begins with the path.
    """
    name = os.fspath(path)
    if "\0" in name:
        raise CheckpointError(f"{name}: no path has a NUL in it")
    try:
        # without O_NONBLOCK a named pipe would wait for a writer
        handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = _regular(handle)
        except BaseException:
            os.close(handle)
            raise
        with open(handle, "rb") as file:
            yield _read_header(file, status.st_size)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        there = os.path.isfile(name + SUFFIX) and not os.path.exists(name)
        hint = f"; there is {name}{SUFFIX}" if there else ""
        raise CheckpointError(f"{name}: {reason}{hint}") from error
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from error


def _regular(handle: int) -> os.stat_result:
    """The status of an open file; refuses what is no file."""
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or a pipe"
        raise CheckpointError(f"{kind}, not a checkpoint; give a file that charlm train wrote")
    return status


def _read_header(file: BufferedReader, file_size: int) -> Container:
    start = file.read(FIRST_BYTES)
    found = START.match(start, 8)
    if not found:
        raise CheckpointError(f"not a charlm checkpoint but {look_of(start)}")
    length = int.from_bytes(start[:8], "little")
    if not found.end() <= 8 + length <= min(file_size, LONGEST_HEADER):
        raise CheckpointError(
            f"damaged: a header of {length:,} bytes in a file of {file_size:,}; get it again"
        )
    file.seek(0)
    record, table = _parse_header(file.read(8 + length), int(found[1]), found[2])
    layout, size = _parse_table(table)
    if 8 + length + size != file_size:
        raise CheckpointError(
            f"damaged: {file_size:,} bytes where {8 + length + size:,} should be; get it again"
        )
    return Container(record, layout, file, size, record.pop("data", None))


def _parse_header(header: bytes, version: int, digest: bytes) -> tuple[dict[str, Any], Any]:
    """The record and the table of tensors, once the digest and the version are right."""
    counted = hashlib.sha256(header.replace(digest, NO_DIGEST.encode(), 1)).hexdigest()
    if counted.encode() != digest:
        raise CheckpointError("damaged: its header does not match its digest; get it again")
    if version != FORMAT:
        raise CheckpointError(
            f"written in format {version} by a newer charlm; this one reads format {FORMAT}: "
            "upgrade it"
        )
    table = _parse_json(header[8:].decode("ascii", "replace"))
    metadata = table.pop("__metadata__")
    if not isinstance(metadata, dict) or set(metadata) != {"charlm"}:
        raise CheckpointError("its metadata has more than charlm's record")
    record = _parse_json(metadata["charlm"])
    del record["format"], record["digest"]
    return record, table


def _parse_json(text: str) -> dict[str, Any]:
    """An object of JSON, strictly: no name twice, no NaN, no huge number, no great depth."""
    if _values(text) > MOST_VALUES:
        raise CheckpointError("its header holds too many values")
    try:
        parsed = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=_whole_number,
            parse_float=_finite_number,
            parse_constant=_finite_number,
        )
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error) if type(error) is ValueError else "it is no proper JSON"
        raise CheckpointError(f"its header cannot be read: {reason}") from None
    if not isinstance(parsed, dict):
        raise CheckpointError("its header cannot be read: it is no object of JSON")
    return parsed


def _values(text: str) -> int:
    """At least how many values are in a text of JSON."""
    return sum(map(text.count, ",:[{"))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for name, value in pairs:
        if name in parsed:
            raise ValueError(f"{name!r:.60} is there twice")
        parsed[name] = value
    return parsed


def _whole_number(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > LARGEST_NUMBER:
        raise ValueError(f"{digits:.20} is too large a number")
    return int(digits)


def _finite_number(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"{digits:.20} is not a finite number")
    return number


def _parse_table(table: Mapping[str, Any]) -> tuple[Layout, int]:
    """The arrays' types and shapes in the order of their data, and how many bytes they take.

    The data must be aligned and without holes or overlaps.
    """
    found = sorted((_entry(name, entry) for name, entry in table.items()), key=lambda e: e[1:3])
    layout: Layout = {}
    end = 0
    for name, begin, stop, dtype, shape in found:
        if begin != end or stop - begin != dtype.itemsize * math.prod(shape):
            raise CheckpointError(f"the data of its tensor {name!r:.60} does not lie where it must")
        if begin % dtype.itemsize:
            raise CheckpointError(f"the data of its tensor {name!r:.60} is not aligned")
        layout[name], end = (dtype, shape), stop
    return layout, end


def _entry(name: str, entry: Any) -> tuple[str, int, int, np.dtype[Any], tuple[int, ...]]:
    """Name, begin, end, type and shape of one tensor."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"its tensor {name!r:.60} is not described by type, shape and place")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in DTYPES:
        raise CheckpointError(f"its tensor {name!r:.60} is of type {kind!r:.20}, not F32 or U8")
    if not _whole(shape, 0, 3) or not _whole(offsets, 2, 2):
        raise CheckpointError(f"the shape or place of its tensor {name!r:.60} is malformed")
    return name, offsets[0], offsets[1], DTYPES[kind], tuple(shape)


def _whole(numbers: Any, least: int, most: int) -> bool:
    """Whether it is a list of so many whole numbers, none below zero."""
    return (
        isinstance(numbers, list)
        and least <= len(numbers) <= most
        and all(type(number) is int and number >= 0 for number in numbers)
    )
