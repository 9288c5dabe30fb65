"""What a file that is no checkpoint seems to be, by its first bytes, in words for the user.

Knows nothing about checkpoints; reads nothing itself.
"""

import re

FIRST_BYTES = 4096  # that a look needs

_SIGNS = {
    b"PK\x03\x04": "a zip archive, as PyTorch, Keras and NumPy write; none is ever unpickled here",
    b"\x93NUMPY": "a NumPy array",
    b"version https://git-lfs": "a Git LFS pointer; fetch the file itself with git lfs pull",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras writes",
    b"GGUF": "a GGUF file of llama.cpp",
    b"\x1f\x8b": "a gzip file; unpack it first",
    b"\xfd7zXZ": "an xz file; unpack it first",
    b"\x28\xb5\x2f\xfd": "a Zstandard file; unpack it first",
    b"7z\xbc\xaf": "a 7z archive; unpack it first",
    b"\x7fELF": "a program",
    b"#!": "a script",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF document",
    b"SQLite format 3": "an SQLite database",
    b'{"step": ': "a training log, which charlm plot --kind learning draws",
}


def look_of(start: bytes) -> str:
    """What the file may be, "an unknown kind of file" at the least.

    >>> look_of(b"GGUF and more")
    'a GGUF file of llama.cpp'
    """
    if not start:
        return "an empty file"
    for sign, name in _SIGNS.items():
        if start.startswith(sign):
            return name
    return _structured(start) or _text(start) or "an unknown kind of file"


def _structured(start: bytes) -> str | None:
    if start[0] == 0x80 and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a Python pickle, as old PyTorch writes; none is ever unpickled here"
    if re.match(rb"BZh[1-9]1AY&SY", start):
        return "a bzip2 file; unpack it first"
    if start[:2] == b"MZ" and b"\0" in start:
        return "a Windows program"
    if start[257:262] == b"ustar":
        return "a tar archive; unpack it first"
    if start[8:].startswith(b'{"__metadata__":{"charlm"'):
        return "one whose beginning is damaged; get it again"
    if start[8:9] == b"{" and 2 <= int.from_bytes(start[:8], "little") < 2**32:
        return "another program's safetensors file"
    if b"<unk>" in start[:64] and start[:1] == b"\n":
        return "a SentencePiece model"
    return None


def _text(start: bytes) -> str | None:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "a text in UTF-16"
    if len(start) == FIRST_BYTES:
        start = start[:-3]  # a character may be cut there
    text = start.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if "\0" in text or text.count("\ufffd") > 1:
        return None
    if re.match(r"(?i)<(!doctype|html|head|\?xml|!--)", text):
        return "a web page; download the file itself"
    if re.match(r'\{\s*["}]|\[\s*(["\[{\]]|-?\d[\d.eE+-]*\s*[,\]])', text):
        return "a JSON file"
    return "a text; charlm train makes a checkpoint of it"
