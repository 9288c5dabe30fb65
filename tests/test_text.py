"""Text is read exactly, in bounded memory, and every fault is named by file and byte."""

import collections
import gc
import io
import itertools
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from charlm import sources, streams, text
from charlm.errors import OptionError, TextError
from charlm.text import Document, Stream, lines_where, open_text, text_of

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
MANY_LINES = st.text("ab é\r\n\n\n\t\0€😀", min_size=1, max_size=60)
MARKS = {"utf-8": b"\xef\xbb\xbf", "utf-16": b"", "utf-32": b"", "utf-16-be": b"\xfe\xff"}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks and pieces, so that short texts have many edges."""
    monkeypatch.setattr(sources, "BLOCK", 3)
    monkeypatch.setattr(text, "CHUNK", 5)


def written(folder: Path, data: bytes, name: str = "a.txt") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def refusal(*paths: str | Path, encoding: str = "utf-8") -> str:
    with pytest.raises(TextError) as caught:
        open_text(paths, encoding)
    message = str(caught.value)
    assert "\n" not in message
    return message


def whole(document: Document) -> str:
    return "".join(document.chunks())


# Reading


@settings(max_examples=150, deadline=None)
@given(
    string=ANY_TEXT | MANY_LINES,
    encoding=st.sampled_from(sorted(MARKS)),
    block=st.integers(1, 9),
    chunk=st.integers(1, 9),
    start=st.integers(0, 70),
    length=st.none() | st.integers(0, 70),
)
def test_any_text_comes_back_whole_and_in_slices(
    tmp_path_factory: pytest.TempPathFactory,
    string: str,
    encoding: str,
    block: int,
    chunk: int,
    start: int,
    length: int | None,
) -> None:
    path = written(tmp_path_factory.getbasetemp(), MARKS[encoding] + string.encode(encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "BLOCK", block)
        patch.setattr(text, "CHUNK", chunk)
        (document,) = open_text([path], encoding).documents
        pieces = list(document.chunks())
        stop = None if length is None else start + length
        part = "".join(document.chunks(start, stop))
    assert "".join(pieces) == string
    assert all(0 < len(piece) <= chunk + 1 for piece in pieces)
    assert part == string[start:stop]
    assert document.characters == len(string)


@settings(max_examples=200, deadline=None)
@given(string=MANY_LINES, chunk=st.integers(1, 9))
def test_the_survey_counts_what_is_there(string: str, chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "CHUNK", chunk)
        counts = text_of(string).documents[0].counts
    assert counts.crlf == string.count("\r\n")
    assert counts.lone_cr == string.replace("\r\n", "").count("\r")
    assert counts.nul == string.count("\0")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp037", "shift_jis", "gb18030"])
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    string = "A word, and a word.\n" + ("日本" if encoding[:2] in ("sh", "gb") else "é\n")
    (document,) = open_text([written(tmp_path, string.encode(encoding))], encoding).documents
    assert whole(document) == string


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("string", "pieces"),
    [
        ("ab\ncd\nef", ["ab\n", "cd\nef"]),
        ("ab cd ef", ["ab ", "cd ef"]),
        ("ab\tcd ef", ["ab\t", "cd ef"]),
        ("abcdefgh", ["abcde", "fgh"]),
        ("abcd\r\nefgh", ["abcd\r\n", "efgh"]),
        ("abcd\refgh", ["abcd\r", "efgh"]),
        ("é€😀éé€😀", ["é€😀éé", "€😀"]),
    ],
)
def test_a_piece_ends_where_a_line_or_a_word_does(string: str, pieces: list[str]) -> None:
    assert list(text_of(string).chunks()) == pieces


@pytest.mark.usefixtures("small")
def test_readings_of_a_stream_may_be_interleaved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"abcdefghijklmno")))
    (document,) = open_text(["-"]).documents
    assert document.name == "<stdin>"
    pairs = list(zip(document.chunks(), document.chunks(), strict=True))
    assert pairs == [("abcde", "abcde"), ("fghij", "fghij"), ("klmno", "klmno")]


def test_a_piece_is_a_mebi_of_characters_and_one_long_line_needs_little_memory(
    tmp_path: Path,
) -> None:
    path = tmp_path / "line.txt"
    with open(path, "wb") as file:
        file.truncate(100 * 2**20)  # NULs, and no disk space
    script = (
        "import sys, resource; from charlm.text import open_text, lines_where;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "before = peak(); text = open_text([sys.argv[1]]);"
        "assert max(map(len, text.chunks())) == 2**20;"
        "kept = sum(map(len, lines_where(text.line_chunks(), lambda line: True)));"
        "assert kept == text.characters + 1; print(peak() - before)"
    )
    run = [sys.executable, "-c", script, str(path)]
    assert int(subprocess.check_output(run, env={"PYTHONPATH": os.getcwd()})) < 30_000  # KiB


def test_importing_is_quick_and_brings_no_library() -> None:
    script = "import sys, charlm.text; print({'numpy', 'torch', 'tempfile'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", script]) == b"set()\n"


# Several documents


def test_a_folder_is_its_visible_files_in_order(tmp_path: Path) -> None:
    for name in ("b.txt", "a/c.txt", "a/.hidden", ".git/config", "a.txt"):
        written(tmp_path, name.encode(), name)
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    found = open_text([tmp_path])
    names = [os.path.relpath(document.name, tmp_path) for document in found.documents]
    assert names == ["a.txt", os.path.join("a", "c.txt"), "b.txt"]
    assert found.name == "3 files (a.txt, c.txt, b.txt)"
    written(tmp_path, b"z", "z.txt")
    assert open_text([tmp_path]).name == "4 files (a.txt, c.txt, b.txt, …)"
    assert "".join(found.chunks()) == "a.txta/c.txtb.txt"
    assert found.characters == 17


def test_documents_do_not_run_together_by_line(tmp_path: Path) -> None:
    paths = [written(tmp_path, b"Ada\n\nBob", "a"), written(tmp_path, b"Cleo\n", "b")]
    found = open_text(paths)
    assert "".join(found.line_chunks()) == "Ada\n\nBob\nCleo\n"


def test_empty_files_of_a_folder_are_left_out(tmp_path: Path) -> None:
    written(tmp_path, b"", "empty")
    written(tmp_path, b"x", "full")
    found = open_text([tmp_path])
    assert [whole(document) for document in found.documents] == ["x"]
    assert found.notices == ["empty files left out: 1"]
    assert found.name == "full"


# Remarks


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("data", "encoding", "string", "remark"),
    [
        (b"\xef\xbb\xbfab", "utf-8", "ab", "byte order mark dropped"),
        (b"\xef\xbb\xbfab", "utf-8-sig", "ab", "byte order mark dropped"),
        (b"\xef\xbb\xbf\xef\xbb\xbf", "utf-8", "\ufeff", "byte order mark dropped"),
        (b"\xff\xfea\0", "utf-16", "a", "byte order mark dropped"),
        (b"\xff\xfea\0", "utf-16-le", "a", "byte order mark dropped"),
        (b"\0\0\xfe\xff\0\0\0a", "utf-32", "a", "byte order mark dropped"),
        (
            b"a\r\nb\r\n",
            "utf-8",
            "a\r\nb\r\n",
            "lines end with CR LF, the CR is kept (tr -d '\\r' takes it out)",
        ),
        (b"a\rb\n", "utf-8", "a\rb\n", "carriage returns without a line feed, kept"),
        (b"a\0", "utf-8", "a\0", "NUL characters, kept (is it UTF-16 without a mark?)"),
    ],
)
def test_what_is_unusual_is_kept_and_said(
    tmp_path: Path, data: bytes, encoding: str, string: str, remark: str
) -> None:
    path = written(tmp_path, data)
    found = open_text([path], encoding)
    assert "".join(found.chunks()) == string
    assert found.notices == [f"{path}: {remark}"]


def test_a_remark_about_many_files_is_one_line(tmp_path: Path) -> None:
    paths = [written(tmp_path, b"a\r\n", name) for name in "abc"]
    assert open_text(paths).notices == [
        f"{paths[0]} and 2 more: lines end with CR LF, the CR is kept (tr -d '\\r' takes it out)"
    ]


def test_a_string_keeps_its_first_character() -> None:
    found = text_of("\ufeffab")
    assert (list(found.chunks()), found.notices) == (["\ufeffab"], [])


# Bytes that are no text

FAULTS = {
    "Latin-1": (b"caf\xe9 x", 3, "0xE9", "latin-1"),
    "cp1252": (b"\x93so\x94", 0, "0x93", "cp1252"),
    "overlong": (b"a\xc0\xafb", 1, "0xC0", "latin-1"),
    "surrogate": (b"a\xed\xa0\x80b", 1, "0xED", "latin-1"),
    "above U+10FFFF": (b"a\xf5\x80\x80\x80", 1, "0xF5", "latin-1"),
    "broken in the middle": ("a€".encode()[:3] + b"b", 1, "0xE2 0x82", "latin-1"),
    "cut after one byte": ("aé".encode()[:-1], 1, "0xC3", "latin-1"),
    "cut after three": ("a😀".encode()[:-1], 1, "0xF0 0x9F 0x98", "latin-1"),
    "UTF-16": ("aé".encode("utf-16"), 0, "0xFF", "utf-16"),
    "UTF-16, big-endian": (b"\xfe\xff\0a", 0, "0xFE", "utf-16"),
    "UTF-32": ("a".encode("utf-32"), 0, "0xFF", "utf-32"),
    "UTF-16 without a mark": ("aaaé".encode("utf-16-le"), 6, "0xE9", "utf-16-le"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_by_byte_with_what_to_try(tmp_path: Path, fault: str) -> None:
    data, offset, bad, encoding = FAULTS[fault]
    path = written(tmp_path, data)
    message = refusal(path)
    start = "ends inside a character of utf-8" if fault.startswith("cut") else "is not utf-8"
    assert message.startswith(f"{path} {start} ({bad} at byte {offset}, ")
    assert f"try --encoding {encoding}" in message


@pytest.mark.parametrize("block", range(1, 8))
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_offsets_are_those_of_the_file_at_every_edge_of_a_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, mark: bytes
) -> None:
    monkeypatch.setattr(sources, "BLOCK", block)
    for before in ("", "a", "é", "€", "😀", "aé€😀" * 3):
        for bad in (b"\xff", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80"):
            data = mark + before.encode() + bad
            for after in (b"", b"x", b"\n\n"):
                message = refusal(written(tmp_path, data + after))
                assert f" at byte {len(data) - len(bad)}, " in message


@settings(max_examples=200, deadline=None)
@given(data=st.binary(min_size=1, max_size=40), block=st.integers(1, 9))
def test_any_bytes_are_read_or_refused_as_python_does(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, block: int
) -> None:
    path = written(tmp_path_factory.getbasetemp(), b"." + data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "BLOCK", block)
        try:
            expected, fault = (b"." + data).decode(), -1
        except UnicodeDecodeError as error:
            expected, fault = "", error.start
        if fault < 0:
            assert "".join(open_text([path]).chunks()) == expected
        else:
            assert f" at byte {fault}, " in refusal(path)


@pytest.mark.parametrize("block", range(1, 6))
@pytest.mark.parametrize(
    ("data", "encoding", "message"),
    [
        (b"\xff\xfea\0b", "utf-16", "ends inside a character of utf-16-le (0x62 at byte 4, "),
        (b"\xff\xfea\0\0\xdca\0", "utf-16", "is not utf-16-le (0x00 0xDC at byte 4, "),
        (b"\xff\xfe\0\0a\0\0", "utf-32", "ends inside a character of utf-32-le"),
        (b"ab\x81", "cp1252", "is not cp1252 (0x81 at byte 2, "),
        (b"ab\x83", "shift_jis", "ends inside a character of shift_jis (0x83 at byte 2, "),
    ],
)
def test_faults_in_other_encodings(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    block: int,
    data: bytes,
    encoding: str,
    message: str,
) -> None:
    monkeypatch.setattr(sources, "BLOCK", block)
    assert message in refusal(written(tmp_path, data), encoding=encoding)


def test_utf16_needs_a_mark_or_an_order(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, b"a\0b\0"), encoding="utf-16")
    assert message.endswith("no byte order mark; try --encoding utf-16-le or utf-16-be")


@pytest.mark.parametrize("encoding", ["nonsense", "", "hex", "rot13", "idna", "undefined", "a\0"])
def test_an_unknown_encoding_is_an_option_error(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(OptionError, match="is unknown; try utf-8"):
        open_text([written(tmp_path, b"a")], encoding)


@pytest.mark.usefixtures("small")
def test_lone_surrogates_are_refused_by_character(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"^text holds a lone surrogate, U\+D83D at character 7;"):
        text_of("abcdefg\ud83d")
    path = written(tmp_path, rb"abcdefg\ud83d")
    assert "U+D83D at character 7;" in refusal(path, encoding="unicode_escape")


# What cannot be opened


def test_nothing_to_read(tmp_path: Path) -> None:
    assert "is empty" in refusal(written(tmp_path, b""))
    assert "is empty" in refusal(written(tmp_path, b"\xef\xbb\xbf"))
    assert "is empty" in refusal(written(tmp_path, b""), encoding="utf-16")
    assert f"{tmp_path} is empty" in refusal(written(tmp_path, b"", "b").parent)
    assert "no text was given" in refusal()
    (tmp_path / "folder" / ".hidden").mkdir(parents=True)
    message = f"{tmp_path / 'folder'}: a folder without any file to read"
    assert refusal(tmp_path / "folder") == message
    with pytest.raises(TextError, match=r"^text is empty$"):
        text_of("")


def test_what_is_not_there(tmp_path: Path) -> None:
    missing = tmp_path / "missing.txt"
    assert refusal(missing) == f"{missing}: no such file or directory"
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "too many levels of symbolic links" in refusal(tmp_path / "loop")
    assert "null byte" in refusal("a\0b")


def test_what_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    path = written(tmp_path, b"a")
    with monkeypatch.context() as patch:
        patch.setattr(sources, "open", refuse, raising=False)
        assert refusal(path) == f"{path}: permission denied"
    monkeypatch.setattr(os, "scandir", refuse)
    assert refusal(tmp_path) == f"{tmp_path}: permission denied"


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_devices_are_refused(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is a device or a socket, not a text" in refusal(device)
    with open(device) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert "<stdin> is a device, not a text" in refusal("-")


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert "is a device or a socket" in refusal("socket")


# Streams


def test_a_pipe_is_read_once_and_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"\xef\xbb\xbfab\n" * 2,))
    writer.start()
    (document,) = open_text([path]).documents
    writer.join()
    assert whole(document) == whole(document) == "ab\n\ufeffab\n"
    assert document.name == str(path)


def test_a_stream_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"abc")))
    found = open_text(["-"])
    assert "".join(found.chunks()) == "abc"
    del found
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    assert "<stdin> is not utf-8" in refusal("-")
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_standard_input_closed_or_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert "<stdin> is empty" in refusal("-")
    sys.stdin.close()
    assert "<stdin> is closed" in refusal("-")
    monkeypatch.setattr(sys, "stdin", None)
    assert "<stdin> is closed" in refusal("-")


class Trickle(io.BytesIO):
    """Bytes that arrive a few at a time."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        super().__init__(data)
        self._sizes = itertools.cycle(sizes)

    def read1(self, _: int | None = -1) -> bytes:
        return self.read(next(self._sizes))


def found_in(read: Callable[[], tuple[str, list[str]]]) -> tuple[str, list[str]] | str:
    """The text and its notices, or the refusal."""
    try:
        return read()
    except TextError as error:
        return str(error)


def copied() -> tuple[str, list[str]]:
    found = open_text(["-"])
    return "".join(found.chunks()), found.notices


def arriving() -> tuple[str, list[str]]:
    stream = Stream("utf-8")
    return "".join(stream.pieces()), stream.notices


@settings(max_examples=150, deadline=None)
@given(
    data=MANY_LINES.map(str.encode) | st.binary(max_size=20),
    mark=st.booleans(),
    sizes=st.lists(st.integers(1, 9), min_size=1),
)
@example(data=b"", mark=False, sizes=[1])
@example(data=b"abc\xff", mark=False, sizes=[2])
@example(data="aé".encode()[:-1], mark=False, sizes=[1])
def test_what_arrives_is_what_a_copy_would_be(data: bytes, mark: bool, sizes: list[int]) -> None:
    data = MARKS["utf-8"] * mark + data
    found = []
    for read in (copied, arriving):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(Trickle(data, sizes)))
            found.append(found_in(read))
    assume("is no text but" not in found[0])  # which takes more than a byte to see
    assert found[0] == found[1]


def test_what_arrives_together_is_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "TOGETHER", 20.0)
    reader, writer = os.pipe()
    with open(reader, "rb") as pipe, open(writer, "wb", 0) as source:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
        source.write(b"ab")
        late = threading.Timer(0.05, lambda: (source.write(b"c\n"), source.close()))
        late.start()
        assert list(filter(None, Stream("utf-8").pieces())) == ["abc\n"]
        late.join()


def test_what_comes_before_bad_bytes_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, good in (("utf-8", "aé\n€"), ("shift_jis", "あい"), ("utf-16-le", "ab")):
        data = good.encode(encoding) + {"utf-16-le": b"\0\xdc\0\xdc"}.get(encoding, b"\xff\xff")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Trickle(data, [3, 2])))
        read: list[str] = []
        with pytest.raises(TextError, match=f"at byte {len(good.encode(encoding))},"):
            collections.deque(map(read.append, Stream(encoding).pieces()))
        assert "".join(read) == good


def test_standard_input_that_does_not_wait_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for read in (copied, arriving):
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        with open(reader, "rb") as pipe, open(writer, "wb", 0) as source:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
            source.write(b"ab")
            late = threading.Timer(0.2, lambda: (source.write(b"c\n"), source.close()))
            late.start()
            assert read()[0] == "abc\n"
            late.join()


def test_the_end_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal, asked again, would wait for another."""

    class Typed(io.BytesIO):
        asked = 0

        def read1(self, size: int | None = -1) -> bytes:
            found = super().read1(size)
            Typed.asked += not found
            return found

    for data, read in itertools.product((b"", b"ab\n"), (arriving, copied)):
        Typed.asked = 0
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Typed(data)))
        found_in(read)
        assert Typed.asked == 1


def test_a_stream_that_is_a_checkpoint_or_an_unknown_encoding_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = (8).to_bytes(8, "little") + b'{"a": 1}'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(head)))
    with pytest.raises(TextError, match="<stdin> is a checkpoint"):
        Stream("utf-8")
    with pytest.raises(OptionError, match="encoding"):
        Stream("klingon")


def test_no_room_for_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", Full)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"abc")))
    assert "<stdin>: cannot be copied to a temporary file" in refusal("-")


# Files that change


def test_a_file_that_changes_between_two_readings(tmp_path: Path) -> None:
    path = written(tmp_path, b"one two")
    (document,) = open_text([path]).documents
    path.write_bytes(b"one")
    with pytest.raises(TextError, match=r"a\.txt has changed since it was first read"):
        whole(document)
    path.unlink()
    with pytest.raises(TextError, match="no such file"):
        whole(document)


@pytest.mark.usefixtures("small")
def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, b"one two three")
    (document,) = open_text([path]).documents
    pieces = document.chunks()
    next(pieces)
    with open(path, "ab") as file:
        file.write(b" four")
    with pytest.raises(TextError, match="has changed"):
        list(pieces)


# Lines


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(st.text("ab\r\n", max_size=12)), kept=st.sets(st.integers(0, 9)))
def test_lines_are_kept_by_index_wherever_pieces_end(pieces: list[str], kept: set[int]) -> None:
    lines = [line for line in "".join(pieces).split("\n") if line]
    asked: list[int] = []

    def keep(index: int) -> bool:
        asked.append(index)
        return index in kept

    result = list(lines_where(pieces, keep))
    assert "".join(result) == "".join(f"{line}\n" for i, line in enumerate(lines) if i in kept)
    assert "" not in result
    assert asked == list(range(len(lines)))


def test_a_checkpoint_is_no_text(cat_path: Path) -> None:
    for encoding in ("utf-8", "latin-1"):
        with pytest.raises(TextError, match="is a checkpoint"):
            open_text([cat_path], encoding)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"\x7fELF\x02\x01\0\0\xff", "a program"), (b"\x89PNG\r\n\x1a\n\0", "a PNG picture")],
)
def test_what_is_no_text_is_named(content: bytes, kind: str, tmp_path: Path) -> None:
    with pytest.raises(TextError, match=f"is no text but {kind}"):
        open_text([written(tmp_path, content)])
