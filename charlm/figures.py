"""Figures and texts as people read them: probabilities, times, small curves and bars.

Knows nothing about models or terminals.
"""

import math
import unicodedata
from collections.abc import Sequence


def probability(log10: float) -> str:
    """A probability from its decimal logarithm: 0.0123, 3.1e-07 or 10^-57.3."""
    if log10 < -30:
        return f"10^{log10:.1f}"
    return f"{10**log10:.3g}"


def scientific(log10: float) -> str:
    """The same for programs: 1.2300e-2, 4.7863e-119, also what no float can hold."""
    from decimal import MIN_EMIN, Context, Decimal

    return f"{Context(prec=28, Emin=MIN_EMIN).power(10, Decimal(log10)):.4e}"


def on_one_line(text: str) -> str:
    """The text as `visible` shows it, its newlines as ␊ and its tabs as ␉."""
    return visible(text).replace("\n", "␊").replace("\t", "␉")


def visible(text: str) -> str:
    """The text with all that a screen would hide or obey shown: ESC as ␛, U+202E as <U+202E>.

    Line ends and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    code = ord(character)
    if not hidden(character):
        return character
    if code < 32:
        return chr(0x2400 + code)
    if code == 127:
        return "␡"
    return f"<U+{code:04X}>"


def hidden(character: str) -> bool:
    """Whether a screen would hide or obey it: no text, no space, neither newline nor tab."""
    spaces = character in "\n\t" or unicodedata.category(character) == "Zs"
    return not (spaces or character.isprintable())


SPARKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """A small curve, a character a value; of more than `width` (2 or more) every few are shown."""
    if not values:
        return ""
    step = max(1, math.ceil((len(values) - 1) / (width - 1)))  # between the first and the last
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


def perplexity(nats: float | None, digits: int = 2) -> str:
    """exp(nats) as a number or 10^57.3, – where there is none."""
    if nats is None:
        return "–"
    return f"{math.exp(nats):,.{digits}f}" if nats < 30 else f"10^{nats / math.log(10):.1f}"


def bar(fraction: float, width: int) -> str:
    """How much is done, as a bar."""
    full = round(min(max(fraction, 0.0), 1.0) * width)
    return "━" * full + "╌" * (width - full)
