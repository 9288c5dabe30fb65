"""The terminal: what is shown, where, and how it is made safe. The only module that imports rich.

Results go to stdout, everything else to stderr. Text from a model or a file reaches a terminal
with its control characters made visible, and a pipe byte for byte, as UTF-8.
"""

import json
import math
import os
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def visible(text: str) -> str:
    """The text with all that could act on a terminal shown instead: ESC as ␛, U+202E as <U+202E>.

    Line ends and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    code = ord(character)
    if character in "\n\t" or character.isprintable():
        return character
    if code < 32:
        return chr(0x2400 + code)
    if code == 127:
        return "␡"
    if unicodedata.category(character) in ("Zs", "Mn", "Mc", "Me"):
        return character
    return f"<U+{code:04X}>"


def symbol(piece: str) -> str:
    """A token's text on one line: space as ␣, newline as ␊."""
    return visible(piece).replace("\n", "␊").replace("\t", "␉").replace(" ", "␣")


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
    """One JSON object on one line of stdout."""
    sys.stdout.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def notice(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(visible(text) + "\n")
    sys.stderr.flush()


def console(stream: TextIO | None = None) -> "Console":
    """A rich console on a stream, stdout by default, that reads no markup."""
    from rich.console import Console

    stream = stream or sys.stdout
    width = None if stream.isatty() else 200
    return Console(
        file=stream,
        markup=False,
        highlight=False,
        emoji=False,
        width=width,
        no_color="NO_COLOR" in os.environ or None,
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> None:
    """A plain table on stdout; columns in `right` (by number) are aligned to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    numbers = set(right)
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        shown.add_column(column, justify="right" if number in numbers else "left", no_wrap=True)
    for row in rows:
        shown.add_row(*(Text(visible(cell)) for cell in row))
    console().print(shown)


def pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Lines of `name   value` on stdout."""
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        sys.stdout.write(visible(f"{name:<{width}}  {value}") + "\n")


def probability(log10: float) -> str:
    """A probability from its decimal logarithm: 0.0123, 3.1e-07 or 10^-57.3."""
    if log10 < -30:
        return f"10^{log10:.1f}"
    return f"{10**log10:.3g}"


SPARKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """A small curve, one character a value; of more than `width` values every few are shown."""
    if not values:
        return ""
    step = max(1, math.ceil(len(values) / width))
    shown = [*values[:-1:step], values[-1]]
    low, high = min(shown), max(shown)
    scale = (len(SPARKS) - 1) / (high - low) if high > low else 0.0
    return "".join(SPARKS[round((value - low) * scale)] for value in shown)


def duration(seconds: float) -> str:
    """42 s, 3:05 or 2:10:00."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def perplexity(nats: float | None) -> str:
    """exp(nats) as a short number, – where there is none."""
    return "–" if nats is None else f"{math.exp(min(nats, 50)):,.2f}"


def bar(fraction: float, width: int = 20) -> str:
    """How much is done, as a bar."""
    full = round(min(max(fraction, 0.0), 1.0) * width)
    return "━" * full + "╌" * (width - full)


class LiveBlock:
    """A few lines at the bottom of stderr that are drawn anew; `say` puts a line above them.

    Where stderr is no terminal only `say` shows anything (`live` is false).
    """

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self._live: Any = None

    def say(self, line: str) -> None:
        """One line that stays."""
        if self._live:
            self._live.console.print(visible(line), soft_wrap=True)
        else:
            notice(line)

    def update(self, lines: Sequence[str]) -> None:
        """Draws the lines; each is cut at the terminal's width."""
        from rich.live import Live
        from rich.text import Text

        text = Text("\n".join(visible(line).replace("\n", "␊") for line in lines))
        text.no_wrap, text.overflow = True, "ellipsis"
        if self._live is None:
            self._live = Live(console=console(sys.stderr), auto_refresh=False, transient=False)
            self._live.start()
        self._live.update(text, refresh=True)

    def close(self) -> None:
        """Leaves the last lines standing."""
        if self._live:
            self._live.stop()
            self._live = None


def live_block() -> LiveBlock:
    """A block of live lines on stderr."""
    return LiveBlock()
