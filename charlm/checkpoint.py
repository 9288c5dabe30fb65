"""The one file format: save and load a checkpoint, complete in itself.

A safetensors file. Its metadata has one key, `charlm`, a JSON object with the model's and the
training's configuration, tokenizer, history and versions, and a SHA-256 digest over the whole file
(with the digest's own 64 digits as zeros). A reader sees the old file or the new one, whole.
Knows nothing about torch; nothing is ever unpickled or executed.
"""

import dataclasses
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from charlm.config import ModelConfig, TrainConfig
from charlm.errors import CharlmError, CheckpointError
from charlm.tokenizers import Tokenizer, load_tokenizer

FORMAT = 1
LONGEST_HEADER = 2**26  # bytes; a vocabulary of a million long words fits
NO_DIGEST = "0" * 64
DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "I64": np.dtype("<i8"),
    "U8": np.dtype("u1"),
}
RESUME = "resume."  # prefix of the tensors that only resuming needs

Tensors = dict[str, npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A trained model and all that is known of it.

    `weights` are float32 arrays under the names of `ModelConfig.weight_shapes`. `history` has one
    record a validation. `progress` and `resume` (numbers and arrays) are what training goes on
    from; empty where it cannot.
    """

    model: ModelConfig
    tokenizer: Tokenizer
    weights: Mapping[str, npt.NDArray[np.float32]]
    training: TrainConfig
    corpus: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...] = ()
    progress: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    resume: Mapping[str, npt.NDArray[Any]] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)


def save(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Writes the checkpoint, so that the path has the old file or the new one, never a part.

    Raises CheckpointError if a weight is not finite, OSError if the file cannot be written.
    """
    if bad := [name for name, value in checkpoint.weights.items() if not np.isfinite(value).all()]:
        raise CheckpointError(f"{path}: not saved, {bad[0]} holds values that are not finite")
    _replace(Path(path), _encode(checkpoint))


def _encode(checkpoint: Checkpoint) -> bytes:
    from safetensors.numpy import save as encode

    about = {
        "format": FORMAT,
        "digest": NO_DIGEST,
        "versions": dict(checkpoint.versions),
        "model": checkpoint.model.to_json(),
        "tokenizer": checkpoint.tokenizer.header(),
        "training": checkpoint.training.to_json(),
        "corpus": dict(checkpoint.corpus),
        "history": list(checkpoint.history),
        "progress": dict(checkpoint.progress),
    }
    tensors: Tensors = {**checkpoint.weights, **checkpoint.tokenizer.tensors()}
    tensors |= {RESUME + name: value for name, value in checkpoint.resume.items()}
    encoded = encode(
        {name: np.ascontiguousarray(value) for name, value in tensors.items()},
        {"charlm": json.dumps(about, allow_nan=False)},
    )
    digest = hashlib.sha256(encoded).hexdigest()
    return encoded.replace(NO_DIGEST.encode(), digest.encode(), 1)


def _replace(path: Path, content: bytes) -> None:
    """Temporary file beside it, fsync, rename, fsync of the folder."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Reads and checks a whole checkpoint.

    Raises CheckpointError, which names the file and what is wrong with it.
    """
    try:
        with open(path, "rb") as file:
            return _decode(*_read(file))
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    except CharlmError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _read(file: BinaryIO) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The tensors' table, charlm's own part of the header, and the data, digest checked."""
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or not 2 <= length <= LONGEST_HEADER:
        raise CheckpointError(f"not a charlm checkpoint ({_looks_like(start + file.read(64))})")
    header = file.read(length)
    table = _parse(header)
    try:
        about = _parse(table.pop("__metadata__")["charlm"].encode())
    except (KeyError, TypeError, AttributeError):
        raise CheckpointError("a safetensors file, but not one of charlm's") from None
    if about.get("format") != FORMAT:
        raise CheckpointError(
            f"written in format {about.get('format')!r}; this charlm reads format {FORMAT}: "
            "upgrade charlm to read it"
        )
    size = os.fstat(file.fileno()).st_size - 8 - length
    expected = max((entry["data_offsets"][1] for entry in _entries(table)), default=0)
    if size != expected:
        raise CheckpointError(f"damaged: {size} bytes of tensors where {expected} should be")
    data = file.read(size)
    digest = about.get("digest")
    if not isinstance(digest, str) or len(digest) != len(NO_DIGEST):
        raise CheckpointError("damaged: it has no digest")
    counted = hashlib.sha256(start + header.replace(digest.encode(), NO_DIGEST.encode(), 1))
    counted.update(data)
    if counted.hexdigest() != digest:
        raise CheckpointError("damaged: its contents do not match their digest")
    return table, about, data


def _looks_like(start: bytes) -> str:
    """What a file that is no checkpoint may be, from its first bytes."""
    known = {
        b"PK": "a zip archive or a PyTorch file",
        b"\x80": "a Python pickle",
        b"version https://git-lfs": "a Git LFS pointer: fetch the file itself",
        b"<": "a web page",
        b"\x89HDF": "an HDF5 file",
        b"GGUF": "a GGUF file",
        b"\x1f\x8b": "a gzip file",
    }
    if not start:
        return "an empty file"
    return next((name for sign, name in known.items() if start.startswith(sign)), "unknown format")


def _parse(encoded: bytes) -> dict[str, Any]:
    """A JSON object without duplicate names."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        parsed = dict(pairs)
        if len(parsed) != len(pairs):
            raise CheckpointError("its header names something twice")
        return parsed

    try:
        parsed = json.loads(encoded, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        raise CheckpointError("not a charlm checkpoint, or its header is damaged") from None
    if not isinstance(parsed, dict):
        raise CheckpointError("not a charlm checkpoint, or its header is damaged")
    return parsed


def _entries(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tensors' entries in the order of their data, every field checked, without holes."""
    end = 0
    entries = list(table.values())
    try:
        entries.sort(key=lambda entry: entry["data_offsets"])
        for entry in entries:
            begin, stop = entry["data_offsets"]
            whole = [n for n in (begin, stop, *entry["shape"]) if type(n) is int and n >= 0]
            size = DTYPES[entry["dtype"]].itemsize * math.prod(entry["shape"])
            assert len(entry) == 3 and len(whole) == 2 + len(entry["shape"])
            assert begin == end and stop == begin + size
            end = stop
    except (KeyError, TypeError, ValueError, AssertionError):
        raise CheckpointError("its table of tensors is malformed") from None
    return entries


def _decode(table: Mapping[str, Any], about: dict[str, Any], data: bytes) -> Checkpoint:
    tensors: Tensors = {}
    for name, entry in table.items():
        begin, end = entry["data_offsets"]
        flat = np.frombuffer(data[begin:end], DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    resume = {
        name.removeprefix(RESUME): tensors.pop(name)
        for name in list(tensors)
        if name.startswith(RESUME)
    }
    try:
        model = ModelConfig.from_json(about["model"])
        training = TrainConfig.from_json(about["training"])
        weights = {name: tensors.pop(name) for name in model.weight_shapes()}
        tokenizer = load_tokenizer(about["tokenizer"], tensors)
        corpus, history, progress = about["corpus"], about["history"], about["progress"]
        versions = about["versions"]
    except KeyError as error:
        raise CheckpointError(f"its header or table lacks {error}") from None
    _check_weights(model, weights, tokenizer)
    return Checkpoint(
        model, tokenizer, weights, training, corpus, tuple(history), progress, resume, versions
    )


def _check_weights(model: ModelConfig, weights: Tensors, tokenizer: Tokenizer) -> None:
    if tokenizer.size != model.vocabulary_size:
        raise CheckpointError(
            f"its vocabulary of {tokenizer.size} does not fit its embedding of "
            f"{model.vocabulary_size}"
        )
    for name, shape in model.weight_shapes().items():
        if weights[name].shape != shape or weights[name].dtype != np.float32:
            raise CheckpointError(f"{name} has shape {weights[name].shape}, not {shape}")
        if not np.isfinite(weights[name]).all():
            raise CheckpointError(f"{name} holds values that are not finite")
