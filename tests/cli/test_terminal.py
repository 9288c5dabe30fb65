"""Whatever a model or a file holds, a terminal shows it and does nothing else, as pyte sees it."""

import io
import json
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyte
import pytest

from charlm.api import Model
from charlm.cli import expectation_views, gradients, terminal
from charlm.figures import sparkline, visible
from charlm.gradients import Flow
from charlm.inspection.passage import Passage
from charlm.inspection.surprise import expectations

CONTROLS = [chr(code) for code in (*range(32), *range(127, 160))]
SEQUENCES = [
    "\x1b[2J",  # clear
    "\x1b[H",  # home
    "\x1b[31m",  # red
    "\x1b[0;1;5;7m",
    "\x1b[8m",  # hidden
    "\x1b[10;10H",
    "\x1b[A",
    "\x1b[99D",
    "\x1b[K",
    "\x1b[1K",
    "\x1b[5L",
    "\x1b[5M",
    "\x1b[3S",
    "\x1b[3T",
    "\x1b[2;5r",  # scroll region
    "\x1b[?25l",  # hide the cursor
    "\x1b[?1049h",  # alternate screen
    "\x1b[?7l",
    "\x1b[?5h",  # reverse
    "\x1b[4h",  # insert
    "\x1b[6n",  # asks the terminal to write into our input
    "\x1b[c",
    "\x1b[21t",  # reports the title
    "\x1b[s\x1b[u",
    "\x1b7\x1b8",
    "\x1bc",  # reset
    "\x1bD\x1bM\x1bE",
    "\x1bH",
    "\x1b(0",  # line drawing
    "\x1b#8",  # fills the screen
    "\x1b=\x1b>",
    "\x1bPq#0\x1b\\",  # sixel
    "\x1b_Gf=100;AAAA\x1b\\",  # kitty
    "\x1b^secret\x1b\\",
    "\x1b]0;title\x07",
    "\x1b]2;title\x1b\\",
    "\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;AAAA\x07",  # the clipboard
    "\x1b]4;1;rgb:00/00/00\x07",
    "\x9b31m",
    "\x9d0;title\x9c",
    "\x90q\x9c",
    "\u202eevil\u202c",
    "\u2066x\u2069",
    "\u200e\u200f\u061c",
    "\u2028\u2029\ufeff\u200b\u00ad",
    "\U000e0001\U000e0041",  # tags
    "a\rb",
    "a\bb",
    "\x0e\x0f",
    "%\x1b",
]
MARKUP = ["[bold]x[/bold]", "[/x]", "[red", ":smile:", "[link=http://example.org]x[/link]", "[]"]


class Screen(io.TextIOWrapper):
    """A terminal: what is written to it goes to pyte's emulator."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), "utf-8", write_through=True)
        self.screen = pyte.HistoryScreen(200, 50)
        self.stream = pyte.Stream(self.screen)
        self.answers: list[str] = []
        self.screen.write_process_input = self.answers.append
        self.titles = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.stream.feed(text.replace("\n", "\r\n"))
        return len(text)

    def state(self) -> tuple[Any, ...]:
        """All of a terminal but the characters on it."""
        attributes = {
            cell._replace(data="") for row in self.screen.buffer.values() for cell in row.values()
        }
        return (
            self.screen.title,
            self.screen.icon_name,
            self.screen.mode,
            self.screen.margins,
            self.screen.charset,
            self.screen.cursor.hidden,
            tuple(self.answers),
            attributes - {pyte.screens.Char("")},
        )

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    shown = Screen()
    monkeypatch.setattr(terminal, "sys", SimpleNamespace(stdout=shown, stderr=shown))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    return shown


WAYS: dict[str, Callable[[str], None]] = {
    "write": terminal.write,
    "notice": terminal.notice,
    "pairs": lambda text: terminal.pairs([("text", text)]),
    "table": lambda text: terminal.table(["text", "more"], [[text, text]]),
    "symbol": lambda text: terminal.write(terminal.symbol(text)),
}


def untouched(screen: Screen, show: Callable[[str], None], text: str) -> str:
    """Shows a text; what is wrong then with the terminal, or ''."""
    screen.screen.reset()
    screen.answers.clear()
    show("plain")
    before = screen.state()
    screen.screen.reset()
    show(f"begin{text}")
    show("end")
    if screen.state() != before:
        return f"{text!r} changed {before} into {screen.state()}"
    shown = screen.text()
    if "begin" not in shown or "end" not in shown or shown.index("begin") > shown.index("end"):
        return f"{text!r} hid what was there: {shown!r}"
    return ""


@pytest.mark.parametrize("way", WAYS)
def test_nothing_acts_on_the_terminal(way: str, screen: Screen) -> None:
    texts = [*CONTROLS, *SEQUENCES, *MARKUP]
    failures = [wrong for text in texts if (wrong := untouched(screen, WAYS[way], text))]
    assert not failures


def test_the_check_finds_what_does(screen: Screen) -> None:
    found = [text for text in SEQUENCES if untouched(screen, screen.write, text)]
    assert len(found) > 15


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_sequences_are_harmless_at_every_split(sequence: str, screen: Screen) -> None:
    for at in range(1, len(sequence)):

        def show(text: str, at: int = at) -> None:
            head = text[: 5 + at] if text.startswith("begin") else text
            for piece in (head, text[len(head) :]):
                terminal.write(piece)
            terminal.write("\n")

        assert not untouched(screen, show, sequence)


def test_the_live_block_is_safe(screen: Screen) -> None:
    for text in (*CONTROLS, *SEQUENCES, *MARKUP):
        screen.screen.reset()
        block = terminal.LiveBlock()
        block.update([[("name ", "cyan"), (text, "")], [("second", "")]])
        block.say(f"said {text}")
        block.close()
        shown = screen.text()
        assert "second" in shown
        assert "said" in shown
        assert not screen.answers
        assert not screen.screen.title
        assert not screen.screen.cursor.hidden


@pytest.mark.parametrize(("name", "live"), [("xterm", True), ("dumb", False)])
@pytest.mark.usefixtures("screen")
def test_a_terminal_that_cannot_draw_is_told_all(
    monkeypatch: pytest.MonkeyPatch, name: str, live: bool
) -> None:
    monkeypatch.setenv("TERM", name)
    assert terminal.LiveBlock().live is live


@pytest.mark.parametrize("text", MARKUP)
@pytest.mark.parametrize("way", [way for way in WAYS if way != "symbol"])
def test_markup_is_shown_as_it_is(way: str, text: str, screen: Screen) -> None:
    WAYS[way](text)
    assert text in screen.text()


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 120])
def test_a_figure_of_a_table_is_whole_on_every_terminal(
    monkeypatch: pytest.MonkeyPatch, screen: Screen, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    texts = ["a name of many words that folds", "日本語の名前はここで次の行に続く", ""]
    figures = ["0.7358", "9.43e-05", "100 (98–100)"]
    rows = [[text, *figures] for text in texts]
    terminal.table(["name", "P", "bits per character", "A"], rows, right=[1, 2], whole=[3])
    shown = screen.text()
    assert all(shown.count(figure) == 3 for figure in figures)
    assert all(word in shown for word in ("bits", "per", "character", *texts[0].split()))
    assert set(texts[1]) <= set(shown)
    if columns >= 12 + 6 + 9 + 12 + 6:  # the least: a name, three figures, what is between
        assert max(map(terminal.columns_of, shown.splitlines())) <= columns


def test_a_table_is_no_narrower_than_it_must_be(
    monkeypatch: pytest.MonkeyPatch, screen: Screen
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    terminal.table(["word", "much longer"], [["x" * 30, "ten"], ["y", "z" * 9]], right=[1])
    header, rule, first, second, third = screen.text().splitlines()
    assert (header, rule) == (f"word{' ' * 15}much longer", "─" * 30)
    assert (first, second) == (f"{'x' * 17}{' ' * 10}ten", "x" * 13)
    assert third == f"y{' ' * 20}{'z' * 9}"


@pytest.mark.parametrize("columns", [20, 31, 32, 38, 39, 80])
def test_a_table_leaves_out_what_has_no_room(
    monkeypatch: pytest.MonkeyPatch, screen: Screen, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    titles = ["line:column", "rank", "text", "expected"]
    row = ["1:1", "1,000", "a text of several words", "d 0.13"]
    terminal.table(titles, [row], right=[0, 1], spare=[1, 0])
    shown = screen.text()
    assert max(map(terminal.columns_of, shown.splitlines())) <= columns
    assert ("rank" in shown, "line:column" in shown) == (columns >= 39, columns >= 32)
    assert "d 0.13" in shown


@pytest.mark.parametrize(
    ("columns", "shown", "norms"),
    [
        (20, {"bits"}, 0),
        (40, {"bits", "line:column", "expected,"}, 1),
        (60, {"bits", "line:column", "expected,", "rank"}, 3),
    ],
)
def test_tables_of_models_fit_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
    screen: Screen,
    cat_model: Model,
    columns: int,
    shown: set[str],
    norms: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    passage = Passage.of(cat_model.tokenizer, "The cat was full.", False)
    seen = expectations(cat_model.engine, passage, count=1)
    expectation_views._greatest(cat_model, passage, seen)
    lines = screen.text().splitlines()
    assert max(map(terminal.columns_of, lines)) <= columns
    rule = next(k for k, line in enumerate(lines) if line.startswith("─"))
    titles = set(" ".join(lines[:rule]).split())
    assert titles & {"bits", "line:column", "expected,", "rank"} == shown
    screen.screen.reset()
    steps = 0.5 ** np.arange(1, 101).reshape(1, 100, 1)
    flows = [Flow(f"{cell}, untrained", cell, steps) for cell in ("lstm", "rnn")]
    gradients._show_flows(flows, {"steps": 100})
    table = screen.text().rpartition("\n\n")[2].partition("mean norms")[0]
    assert max(map(len, table.splitlines())) <= columns
    assert table.count("× 0.500") == 2
    assert table.count("7.89e-31") == 2 * (norms > 0)
    assert table.count("0.000977") == 2 * (norms > 1)


@pytest.mark.parametrize("columns", [20, 24, 32, 40, 80])
def test_values_without_room_beside_their_names_stand_below_them(
    monkeypatch: pytest.MonkeyPatch, screen: Screen, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal.pairs([("bits per character", "12.3456"), ("ln P", "-1,234.5678 nats"), ("日本", "")])
    lines = screen.text().splitlines()
    assert max(map(terminal.columns_of, lines)) <= columns
    if columns < 18 + 2 + 12:
        value = "  -1,234.5678 nats"
        assert lines == ["bits per character", "  12.3456", "ln P", value, "日本"]
    else:
        assert lines[0] == "bits per character  12.3456"
        assert lines[1] == f"ln P{' ' * 16}-1,234.5678{' nats' * (columns > 32)}"


def test_no_line_waits_between_rows_of_the_output(
    monkeypatch: pytest.MonkeyPatch, screen: Screen
) -> None:
    clock = iter([0.0, 2.0])
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(clock))
    with terminal.Waiting("scoring", writes=True) as waiting:
        waiting.tell(0.5)
        assert not screen.text()


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 120])
@pytest.mark.parametrize(
    "task", ["reading cats.txt", "reading\ncats\t.txt", "reading 日本語の名前はここで続く.txt"]
)
def test_a_waiting_line_is_one_line(
    monkeypatch: pytest.MonkeyPatch, screen: Screen, task: str, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    clock = iter([0.0, 2.0, 4.0])
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(clock))
    with terminal.Waiting(task) as waiting:
        for share in (0.25, 0.5):
            waiting.tell(share)
            line = screen.text()
            assert terminal.columns_of(line) < columns
            assert line.endswith(f" {share:4.0%}  {'6' if share == 0.25 else '4'} s left")
            assert ("━" in line) is (columns >= 60 or (columns == 40 and task.isascii()))
            assert line.startswith("reading" if columns >= 40 else "rea…")
    assert not screen.text()


@pytest.mark.usefixtures("screen")
def test_a_picture_takes_what_its_labels_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert [terminal.room(30, 5), terminal.room(30, 15), terminal.room(30, 39, 9)] == [30, 25, 9]
    monkeypatch.setattr(terminal, "sys", SimpleNamespace(stdout=io.StringIO()))
    assert terminal.room(30, 39, 9) == 30


def test_what_is_readable_stays_as_it_is() -> None:
    for text in ("Größe", "naïve e\u0301", "日本語", "עברית", "a\u00a0b", "x\ty\nz", "😀", "𝒳"):
        assert visible(text) == text


def test_a_pipe_gets_exact_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in (*CONTROLS, *SEQUENCES, *MARKUP, "Größe\udcff"):
        pipe = io.TextIOWrapper(io.BytesIO(), "ascii", "backslashreplace")
        monkeypatch.setattr(sys, "stdout", pipe)
        terminal.write(text)
        assert pipe.buffer.getvalue() == text.encode("utf-8", "surrogateescape")  # type: ignore[attr-defined]


def test_raw_lets_everything_through(screen: Screen) -> None:
    terminal.write("\x1b]0;title\x07", raw=True)
    screen.write(screen.buffer.getvalue().decode())  # type: ignore[attr-defined]
    assert screen.screen.title == "title"


@pytest.mark.parametrize("values", [0, 1, 2, 59, 60, 61, 120, 121, 180, 1000])
def test_a_curve_is_never_wider_than_it_may_be(values: int) -> None:
    curve = sparkline(range(values), 60)
    assert min(values, 30) <= len(curve) <= 60
    assert values < 2 or (curve[0], curve[-1]) == ("▁", "█")


def test_json_says_the_same_and_acts_on_nothing() -> None:
    record = {"text": "é\u202e\x9b31m\x7f \U000e0001 ひ\ud800"}
    written = terminal.json_of(record)
    assert written.isprintable()
    assert "é" in written
    assert json.loads(written) == record
