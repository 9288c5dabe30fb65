"""The terminal: what is shown, where, and how it is made safe. The only module that imports rich.

Results go to stdout, everything else to stderr. Text from a model or a file reaches a terminal
with its control characters made visible, and a pipe byte for byte, as UTF-8.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Literal, TextIO

from charlm.cli import widths
from charlm.figures import bar, duration, on_one_line, visible

if TYPE_CHECKING:
    from rich.console import Console


REDRAWN = 0.1  # seconds between two drawings of a line that changes
BESIDE = 12  # columns of values, at least, that stand beside their names
SHORTEST = 5  # columns of a bar that still says something
NAME = "cyan"  # the style of labels; figures keep the terminal's own colour


def symbol(piece: str) -> str:
    """A token's text on one line: space as ␣, newline as ␊, tab as ␉."""
    return on_one_line(piece).replace(" ", "␣")


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes that has no line end."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, columns: int) -> str:
    """The text, or as much of it as so many columns of a terminal have room for, and …"""
    from rich.text import Text

    shown = Text(text if columns > 0 else "")
    shown.truncate(columns, overflow="ellipsis")
    return shown.plain


def write(text: str, raw: bool = False) -> None:
    """Writes text of a model or a file to stdout at once: safe on a terminal, exact into a pipe."""
    if sys.stdout.isatty() and not raw:
        sys.stdout.write(visible(text))
        sys.stdout.flush()
        return
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    buffer.write(text.encode("utf-8", "surrogateescape"))
    buffer.flush()


def write_json(record: Mapping[str, Any]) -> None:
    """Writes one JSON object on one line to stdout at once."""
    sys.stdout.write(json_of(record) + "\n")
    sys.stdout.flush()


def json_of(value: Any) -> str:
    """JSON on one line, in which what could act on a terminal is escaped, which changes nothing."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def notice(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(visible(text) + "\n")
    sys.stderr.flush()


def draws() -> bool:
    """Whether stderr is a terminal whose lines can be drawn anew."""
    return sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def narrow() -> bool:
    """Whether stdout is a terminal of fewer than 80 columns."""
    return sys.stdout.isatty() and shutil.get_terminal_size().columns < 80


def console(stream: TextIO | None = None) -> "Console":
    """A rich console on a stream, stdout by default, that reads no markup.

    Into a pipe its lines are as long as they are.
    """
    from rich.console import Console

    stream = stream or sys.stdout
    return Console(
        file=stream,
        markup=False,
        highlight=False,
        emoji=False,
        width=None if stream.isatty() else 1_000_000,
        no_color="NO_COLOR" in os.environ or None,
    )


def room(most: int, taken: int, least: int = 1) -> int:
    """How many columns a picture has: `most`, or what is left beside `taken` on a terminal."""
    if not sys.stdout.isatty():
        return most
    return max(least, min(most, shutil.get_terminal_size().columns - taken))


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    right: Iterable[int] = (),
    whole: Iterable[int] = (),
    spare: Sequence[int] = (),
) -> None:
    """A plain table on stdout; columns in `right` (by number) are aligned to the right.

    Where the terminal is too narrow, titles and the cells of columns that are neither in `right`
    nor in `whole` go on in the next line; where that is not enough, those in `spare` are left out,
    the first named first; where that is not enough either the table is wider than it.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    numbers = set(right)
    cells = [[visible(cell) for cell in row] for row in rows]
    shown = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        header_style=NAME,
        border_style="dim",
    )
    needed = _needed(columns, cells, numbers.union(whole))
    kept = widths.kept(needed, spare, console().width)
    fitted = widths.widths([needed[k] for k in kept], console().width)
    for number, width in zip(kept, fitted, strict=True):
        justify: Literal["left", "right"] = "right" if number in numbers else "left"
        shown.add_column(columns[number], justify=justify, width=width, overflow="fold")
    for row in cells:
        shown.add_row(*(Text(row[number]) for number in kept))
    _print_trimmed(shown, sys.stdout, sum(fitted) + widths.between(kept))


def _needed(
    titles: Sequence[str], rows: Sequence[Sequence[str]], whole: AbstractSet[int]
) -> list[widths.Column]:
    return [
        widths.Column(
            cell=max((columns_of(line) for row in rows for line in row[k].split("\n")), default=0),
            title=columns_of(title),
            word=max(map(columns_of, title.split()), default=0),
            whole=k in whole,
        )
        for k, title in enumerate(titles)
    ]


def pairs(rows: Iterable[tuple[str, str]], stream: TextIO | None = None) -> None:
    """Lines of `name   value` on a stream, stdout by default; a long value goes on below itself.

    Where a terminal has little room beside the names, each value stands below its name.
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    stream = stream or sys.stdout
    lines = [(Text(name, NAME), Text(visible(value))) for name, value in rows]
    names = max((name.cell_len for name, _ in lines), default=0)
    if console(stream).width - names - widths.BETWEEN < BESIDE:
        below = [Group(name, Padding(value, (0, 0, 0, 2))) for name, value in lines]
        _print_trimmed(Group(*below), stream)
        return
    shown = Table.grid(padding=(0, 2, 0, 0))
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for line in lines:
        shown.add_row(*line)
    _print_trimmed(shown, stream)


def _print_trimmed(shown: Any, stream: TextIO, least: int = 0) -> None:
    """Prints, at least so wide, without the spaces that rich puts at the ends of lines."""
    to = console(stream)
    to.width = max(to.width, least)
    with to.capture() as captured:
        to.print(shown)
    lines = captured.get().split("\n")
    stream.write("\n".join(line.rstrip(" ") for line in lines))
    stream.flush()


Spans = Sequence[tuple[str, str]]  # pieces of one line, each with its style


class LiveBlock:
    """A few lines at the bottom of stderr that are drawn anew; `say` puts a line above them.

    Where stderr cannot draw (`live` is false) only `say` shows anything.
    """

    def __init__(self) -> None:
        self.live = draws()
        self._live: Any = None

    def say(self, line: str) -> None:
        """One line that stays."""
        if self._live:
            self._live.console.print(visible(line), soft_wrap=True)
        else:
            notice(line)

    def update(self, lines: Sequence[Spans]) -> None:
        """Draws the lines; each is cut at the terminal's width."""
        from rich.live import Live
        from rich.text import Text

        drawn = Text("\n").join(
            Text.assemble(*((on_one_line(text), style) for text, style in line)) for line in lines
        )
        drawn.no_wrap, drawn.overflow = True, "ellipsis"
        if self._live is None:
            self._live = Live(console=console(sys.stderr), auto_refresh=False, transient=False)
            self._live.start()
        self._live.update(drawn, refresh=True)

    def close(self) -> None:
        """Leaves the last lines standing."""
        if self._live:
            self._live.stop()
            self._live = None


def waiting_line(task: str, share: float, left: float, room: int) -> str:
    """A task, a bar, the share done and the seconds left, in so many columns.

    Where they are too few the bar is shorter or left out, and then the task cut.
    """
    task, figures = on_one_line(task), f" {share:4.0%}  {duration(left)} left"
    beside = room - columns_of(figures)
    across = min(20, beside - columns_of(task) - 2)
    if across >= SHORTEST:
        return f"{task}  {bar(share, across)}{figures}"
    return cut(cut(task, beside) + figures, room)


class Waiting:
    """One line on stderr that says how far a task is, only on a terminal and after a second.

    A context manager; the line is gone when it ends. writes: the task writes to stdout as it goes,
    and on a terminal that tells how far it is.
    """

    def __init__(self, task: str, writes: bool = False) -> None:
        self._task = task
        self._began = self._drawn = time.monotonic()
        self._live = draws() and not (writes and sys.stdout.isatty())

    def __enter__(self) -> "Waiting":
        return self

    def tell(self, share: float) -> None:
        """This share of the task is done."""
        now = time.monotonic()
        if not self._live or now - self._began < 1 or now - self._drawn < REDRAWN:
            return
        self._drawn = now
        left = (now - self._began) * (1 - share) / max(share, 1e-9)
        line = waiting_line(self._task, share, left, console(sys.stderr).width - 1)
        sys.stderr.write(f"\r\x1b[2K{line}")
        sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self._drawn > self._began:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
