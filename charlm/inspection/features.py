"""Features of a text that a cell might keep track of, one value for each character.

Each is what is so *after* the character: the opening quotation mark is inside, the closing one is
not. A token of several characters has what one of them has (a capital), and is where its last one
is (inside quotation marks). Knows text alone.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.errors import OptionError
from charlm.inspection.passage import Passage

Labels = npt.NDArray[Any]  # bool, or float64 for what is counted
QUOTES = frozenset('"“”„«»')
BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


def line_position(text: str) -> Labels:
    """How many characters of the line have been read; 0 after its newline."""
    places = np.arange(len(text))
    newlines = np.where(_each(text, lambda character: character == "\n"), places, -1)
    return (places - np.maximum.accumulate(newlines)).astype(np.float64)


def quotes(text: str) -> Labels:
    """Inside quotation marks: every mark opens or closes, an empty line closes."""
    inside, previous, labels = False, "", []
    for character in text:
        if character in QUOTES:
            inside = not inside
        elif character == previous == "\n":
            inside = False
        labels.append(inside)
        previous = character
    return np.array(labels, bool)


def bracket_depth(text: str) -> Labels:
    """How many brackets of ( [ { are open; one that closes nothing counts nothing."""
    depth, labels = 0, []
    for character in text:
        depth = max(0, depth + BRACKETS.get(character, 0))
        labels.append(depth)
    return np.array(labels, np.float64)


def brackets(text: str) -> Labels:
    """Inside brackets."""
    inside: Labels = bracket_depth(text) > 0
    return inside


def word_start(text: str) -> Labels:
    """The first letter or digit of a word."""
    inside = _each(text, str.isalnum)
    starts: Labels = inside & ~np.concatenate([np.zeros(1, bool), inside[:-1]])
    return starts


FEATURES: dict[str, Callable[[str], Labels]] = {
    "line-position": line_position,
    "quotes": quotes,
    "brackets": brackets,
    "bracket-depth": bracket_depth,
    "capital": lambda text: _each(text, str.isupper),
    "space": lambda text: _each(text, str.isspace),
    "vowel": lambda text: _each(text, _is_vowel),
    "digit": lambda text: _each(text, str.isdigit),
    "word-start": word_start,
}
OF_CHARACTERS = {
    FEATURES[name] for name in ("capital", "space", "vowel", "digit", "word-start")
}  # which a token has if one of its characters has it


def matches(pattern: str) -> Callable[[str], Labels]:
    """A feature of one's own: inside a match of a regular expression; OptionError if it is none."""
    try:
        compiled = re.compile(pattern, re.MULTILINE)
    except re.error as error:
        raise OptionError(f"--find-regex {pattern!r}: not a regular expression, {error}") from None
    except (OverflowError, RecursionError, ValueError):
        raise OptionError(
            f"--find-regex {pattern!r:.40}: its numbers or nesting are too great; give less"
        ) from None

    def inside(text: str) -> Labels:
        labels = np.zeros(len(text), bool)
        for match in compiled.finditer(text):
            labels[match.start() : match.end()] = True
        return labels

    return inside


def of_tokens(feature: Callable[[str], Labels], passage: Passage) -> Labels:
    """The feature of each token: whether a character has it (OF_CHARACTERS), else its last one's.

    A byte that completes no character has what the character before it has. Per line, every line
    is its own.
    """
    if passage.per_line:
        lines = passage.text.split("\n")[:-1]
        labels = np.concatenate([feature(line + "\n") for line in lines])
    else:
        labels = feature(passage.text)
    begins, ends = passage.offsets()[:-1], passage.offsets()[1:]
    of_last: Labels = labels[np.maximum(ends - 1, 0)]
    if feature in OF_CHARACTERS:
        filled = ends > begins
        of_last[filled] = np.logical_or.reduceat(labels, begins[filled])
    return of_last


def _is_vowel(character: str) -> bool:
    return unicodedata.normalize("NFD", character.casefold())[0] in "aeiou"


def _each(text: str, has: Callable[[str], bool]) -> Labels:
    """Whether each character has something; each different one is asked once."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    kinds, where = np.unique(codes, return_inverse=True)
    return np.array([has(chr(code)) for code in kinds], bool)[where]
