"""Files that are no checkpoints, and checkpoints made wrong by hand but for their digests."""

import copy
import dataclasses
import gzip
import hashlib
import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from charlm.container import NO_DIGEST


@dataclasses.dataclass
class Parts:
    """A checkpoint taken apart: charlm's record, the table of tensors, their data."""

    record: dict[str, Any]
    table: dict[str, Any]
    data: bytearray
    metadata: dict[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, content: bytes) -> "Parts":
        length = int.from_bytes(content[:8], "little")
        table = json.loads(content[8 : 8 + length])
        record = json.loads(table.pop("__metadata__")["charlm"])
        return cls(record, table, bytearray(content[8 + length :]))

    def joined(
        self, header: Callable[[str], str] = str, inner: Callable[[str], str] = str
    ) -> bytes:
        """A file with right digests; `header` and `inner` may change the JSON texts before."""
        record = dict(self.record)
        head = {"format": record.pop("format", 1), "digest": NO_DIGEST}
        record.pop("digest", None)
        if "data" in record:
            record["data"] = hashlib.sha256(self.data).hexdigest()
        metadata = {"charlm": inner(json.dumps(head | record)), **self.metadata}
        text = header(
            json.dumps({"__metadata__": metadata, **self.table}, separators=(",", ":"))
        ).encode()
        return sealed(text, bytes(self.data))

    def tensor(self, name: str) -> Any:
        """A tensor's data, to be changed in place."""
        entry = self.table[name]
        begin, end = entry["data_offsets"]
        kind = {"F32": "<f4", "U8": "u1"}[entry["dtype"]]
        return np.frombuffer(memoryview(self.data)[begin:end], kind)


def sealed(header: bytes, data: bytes) -> bytes:
    """A file of this header and data, with the header's digest in its place."""
    header += b" " * (-len(header) % 8)
    whole = len(header).to_bytes(8, "little") + header
    digest = hashlib.sha256(whole).hexdigest().encode()
    return whole.replace(NO_DIGEST.encode(), digest, 1) + data


def foreign() -> Iterator[tuple[str, bytes]]:
    """Files of other kinds, by name."""
    yield "empty", b""
    yield "one byte", b"\x00"
    yield "seven bytes", b"\x10\0\0\0\0\0\0"
    for protocol in range(6):
        yield f"pickle {protocol}", pickle.dumps({"weights": [1.0]}, protocol)
    yield "pickle that runs a command", b"cos\nsystem\n(S'touch /tmp/owned'\ntR."
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps([1]))
    yield "PyTorch zip", archive.getvalue()
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as tape:
        tape.addfile(tarfile.TarInfo("model"), io.BytesIO())
    yield "tar", tar.getvalue()
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    yield "NumPy", array.getvalue()
    yield "gzip", gzip.compress(b"model")
    yield "HTML", b"<!DOCTYPE html><html><body>404</body></html>"
    yield "HTML after spaces", b"\n\n  <html>"
    yield "XML", b"<?xml version='1.0'?><a/>"
    yield "LFS", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    yield "HDF5", b"\x89HDF\r\n\x1a\n" + bytes(100)
    yield "GGUF", b"GGUF\x03\0\0\0" + bytes(100)
    yield "bzip2", b"BZh91AY&SY"
    yield "xz", b"\xfd7zXZ\0"
    yield "zstd", b"\x28\xb5\x2f\xfd" + bytes(8)
    yield "7z", b"7z\xbc\xaf\x27\x1c"
    yield "ELF", b"\x7fELF\x02\x01\x01" + bytes(60)
    yield "EXE", b"MZ\x90\0" + bytes(60)
    yield "PNG", b"\x89PNG\r\n\x1a\n" + bytes(60)
    yield "JPEG", b"\xff\xd8\xff\xe0" + bytes(60)
    yield "GIF", b"GIF89a" + bytes(60)
    yield "PDF", b"%PDF-1.7\n"
    yield "SQLite", b"SQLite format 3\0"
    yield "script", b"#!/bin/sh\nexit 1\n"
    yield "SentencePiece", b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02"
    yield "JSON", b'{"weights": [1, 2]}'
    yield "JSON list", b"[1, 2, 3]"
    yield "text", "The cat was full. Größe\n".encode()
    yield "UTF-16 text", "The cat".encode("utf-16")
    yield "zeros", bytes(1000)
    yield "ones", b"\xff" * 1000
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    yield "safetensors", struct.pack("<Q", len(header)) + header + bytes(4)
    header = b'{"__metadata__":{"format":"pt"}}'
    yield "safetensors of torch", struct.pack("<Q", len(header)) + header
    for length in (0, 1, 2**25 + 1, 2**31, 2**63, 2**64 - 1):
        yield f"header of {length}", struct.pack("<Q", length) + b'{"__metadata__":{"charlm":"' * 9


Change = Callable[[Parts], "bytes | None"]


def _set(*path: Any) -> Change:
    """Sets a value in the record (or, of "table", in the table): the last argument is the value."""

    def change(parts: Parts) -> None:
        *keys, last, value = path
        at: Any = parts.table if keys and keys[0] == "table" else parts.record
        for key in keys[1:] if keys and keys[0] == "table" else keys:
            at = at[key]
        at[last] = value

    return change


def _without(*path: Any) -> Change:
    def change(parts: Parts) -> None:
        *keys, last = path
        at: Any = parts.table if keys and keys[0] == "table" else parts.record
        for key in keys[1:] if keys and keys[0] == "table" else keys:
            at = at[key]
        del at[last]

    return change


def _text(where: str, old: str, new: str) -> Change:
    """Replaces in the outer JSON text ("header") or in charlm's own ("inner")."""

    def change(parts: Parts) -> bytes:
        return parts.joined(**{where: lambda text: text.replace(old, new, 1)})

    return change


def _value(name: str, value: float) -> Change:
    def change(parts: Parts) -> None:
        parts.tensor(name)[0] = value

    return change


def _unalign(parts: Parts) -> None:
    """A byte before all floats."""
    for entry in parts.table.values():
        entry["data_offsets"] = [offset + 1 for offset in entry["data_offsets"]]
    parts.table["a"] = {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}
    parts.data.insert(0, 0)


W = "output.weight"
CRAFTED: dict[str, Change] = {
    # the header
    "a newer format": _set("format", 2),
    "a format far away": _set("format", 999999999),
    "no metadata key but ours": lambda p: p.metadata.update(extra="x"),
    "name twice in the table": _text("header", '"output.bias"', '"output.weight"'),
    "metadata twice": _text("header", "}}", '},"__metadata__":{}}'),
    "key twice in the record": _text("inner", '"versions"', '"format": 1, "versions"'),
    "key twice deep": _text("inner", '"cell"', '"layers": 1, "cell"'),
    "NaN in the JSON": _text("inner", '"seed": ', '"seed": NaN, "x": '),
    "infinity in the JSON": _text("inner", '"clip": ', '"clip": Infinity, "x": '),
    "a number that overflows": _text("inner", '"clip": ', '"clip": 1e999, "x": '),
    "a number of 400 digits": _text("inner", '"clip": ', f'"clip": {"9" * 400}, "x": '),
    "a number of 5,000 digits": _text("inner", '"clip": ', f'"clip": {"9" * 5000}, "x": '),
    "deep JSON": _text("inner", '"history": ', f'"x": {"[" * 10**6}, "history": '),
    "deep objects": _text("inner", '"history": ', '"x": ' + '{"a":' * 10**5 + ', "history": '),
    "deep JSON outside": _text("header", '{"dtype"', "[" * 10**6 + '{"dtype"'),
    "many values": _text("inner", '"history": ', f'"x": [{"[]," * 2**22}0], "history": '),
    "JSON that ends early": _text("inner", '"versions"', ""),
    "JSON after JSON": _text("header", "}}", "}} {}"),
    "cut in the data": lambda p: p.joined()[:-1],
    "cut in the header": lambda p: p.joined()[:200],
    "bytes behind the data": lambda p: p.joined() + b"\0",
    "wrong digest of the data": lambda p: p.joined()[:-1] + b"\x55",
    "no digest of the data": _without("data"),
    "no versions": _without("versions"),
    "no model": _without("model"),
    "no tokenizer": _without("tokenizer"),
    "no history": _without("history"),
    "an unknown key": _set("surprise", 1),
    # the table
    "a hole": lambda p: p.table[W]["data_offsets"].__setitem__(0, 4),
    "an overlap": lambda p: p.table[W].update(data_offsets=[0, 4]),
    "offsets that end before they begin": lambda p: p.table[W]["data_offsets"].reverse(),
    "offsets below zero": lambda p: p.table[W].update(data_offsets=[-4, 0]),
    "offsets past the end": lambda p: p.table[W].update(data_offsets=[0, 2**50]),
    "three offsets": lambda p: p.table[W]["data_offsets"].append(1),
    "offsets that are text": lambda p: p.table[W].update(data_offsets=["0", "4"]),
    "offsets that are true": lambda p: p.table[W].update(data_offsets=[False, True]),
    "a shape below zero": lambda p: p.table[W].update(shape=[-1, -12]),
    "a shape that is no list": lambda p: p.table[W].update(shape=12),
    "a shape of fractions": lambda p: p.table[W].update(shape=[1.5, 2]),
    "a shape of 100,000 sizes": lambda p: p.table[W].update(shape=[2] * 10**5),
    "an enormous shape": lambda p: p.table[W].update(shape=[2**52, 2**52]),
    "a shape turned": lambda p: p.table[W]["shape"].reverse(),
    "the type F64": lambda p: p.table[W].update(dtype="F64"),
    "the type BF16": lambda p: p.table[W].update(dtype="BF16"),
    "the type U8": lambda p: p.table[W].update(dtype="U8"),
    "a type that is a list": lambda p: p.table[W].update(dtype=["F32"]),
    "an unknown field": lambda p: p.table[W].update(stride=[1]),
    "an entry without a shape": _without("table", W, "shape"),
    "an entry that is a number": _set("table", W, 5),
    "an unknown tensor": lambda p: p.table.update(x=p.table.pop(W)),
    "a missing tensor": _without("table", W),
    "an unaligned tensor": _unalign,
    # the configuration
    "hidden size 0": _set("model", "hidden_size", 0),
    "hidden size 2^31": _set("model", "hidden_size", 2**31),
    "hidden size below zero": _set("model", "hidden_size", -12),
    "hidden size as text": _set("model", "hidden_size", "12"),
    "hidden size true": _set("model", "hidden_size", True),
    "hidden size too small": _set("model", "hidden_size", 11),
    "hidden size 1.5": _set("model", "hidden_size", 1.5),
    "64 layers": _set("model", "layers", 64),
    "no layers": _set("model", "layers", 0),
    "an unknown cell": _set("model", "cell", "__import__"),
    "another cell": _set("model", "cell", "gru"),
    "a cell that is a list": _set("model", "cell", []),
    "tied, but not": _set("model", "tie_weights", True),
    "per-line as a number": _set("model", "per_line", 1),
    "model as a list": _set("model", []),
    "an unknown field of the model": _set("model", "secret", 1),
    "a field of the model missing": _without("model", "cell"),
    "two budgets": _set("training", "minutes", 1.0),
    "no budget": _set("training", "steps", None),
    "a learning rate below zero": _set("training", "learning_rate", -1),
    "a seed too large": _set("training", "seed", 2**40),
    "a thread too many": _set("training", "threads", 10**6),
    # the other records
    "versions as a list": _set("versions", []),
    "a version as a number": _set("versions", {"charlm": 1}),
    "corpus without a name": _without("corpus", "name"),
    "corpus with a number for a name": _set("corpus", "name", 5),
    "corpus of -1 characters": _set("corpus", "train_characters", -1),
    "0 tokens a character": _set("corpus", "tokens_per_character", 0),
    "history as a record": _set("history", {}),
    "history of numbers": _set("history", [1]),
    "history without a loss": _set("history", [{"step": 1}]),
    "progress as a list": _set("progress", []),
    "progress without a step": _without("progress", "step"),
    "progress of step -1": _set("progress", "step", -1),
    "progress of step 1.5": _set("progress", "step", 1.5),
    "progress without its tensors": _without("table", "resume.weights.output.bias"),
    "tensors without their progress": _set("progress", {}),
    "updates without moments": _set("progress", "updates", 0),
    # the tokenizer
    "tokenizer as a list": _set("tokenizer", []),
    "an unknown tokenizer": _set("tokenizer", "kind", "magic"),
    "a tokenizer that is a list": _set("tokenizer", "kind", []),
    "another tokenizer": _set("tokenizer", {"kind": "bytes"}),
    "a vocabulary too small": _set("tokenizer", "characters", "ab"),
    "a character twice": _set("tokenizer", "characters", "a" * 100),
    "characters as a list": _set("tokenizer", "characters", ["a"]),
    "a surrogate in the vocabulary": _set("tokenizer", "characters", "\ud800"),
    "words with spaces": _set("tokenizer", {"kind": "words", "words": ["a b"]}),
    "words that are numbers": _set("tokenizer", {"kind": "words", "words": [1]}),
    "subwords without a model": _set("tokenizer", {"kind": "bpe", "size": 330}),
    "an unknown key of the tokenizer": _set("tokenizer", "more", 1),
    # the values
    "NaN in the weights": _value(W, float("nan")),
    "infinity in the weights": _value("embedding.weight", float("inf")),
    "NaN in the optimiser": _value("resume.exp_avg.output.bias", float("nan")),
    "NaN in the state": _value("resume.state.0.0", float("nan")),
}


def crafted(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The files that CRAFTED makes of a whole-file LSTM's checkpoint that can be resumed."""
    for name, change in CRAFTED.items():
        parts = copy.deepcopy(Parts.of(content))
        made = change(parts)
        yield name, made if isinstance(made, bytes) else parts.joined()


SUBWORDS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda model: model[: len(model) // 2],
    "cut by one": lambda model: model[:-1],
    "zeros": lambda model: bytes(len(model)),
    "noise": lambda model: bytes(np.random.default_rng(1).integers(0, 256, len(model), np.uint8)),
    "twice": lambda model: model * 2,
    "a pickle": lambda _: pickle.dumps([1]),
    "a piece renamed": lambda model: model.replace(b"<EOS>", b"<eos>", 1),
    "lengths too long": lambda model: model.replace(b"\n", b"\xff", 5),
}


def crafted_subwords(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The same of a checkpoint with a SentencePiece model: that is damaged."""
    for name, change in SUBWORDS.items():
        parts = Parts.of(content)
        model = "tokenizer.sentencepiece"
        begin, end = parts.table[model]["data_offsets"]
        assert end == len(parts.data), "bytes come after floats"
        parts.data[begin:] = change(bytes(parts.data[begin:]))
        parts.table[model].update(
            data_offsets=[begin, len(parts.data)], shape=[len(parts.data) - begin]
        )
        yield f"SentencePiece: {name}", parts.joined()
