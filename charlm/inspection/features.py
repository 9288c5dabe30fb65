"""Features of a text that a cell might keep track of, one value for each character.

Each is what is so *after* the character: the opening quotation mark is inside, the closing one is
not. A token of several characters has what one of them has (a capital), and is where its last one
is (inside quotation marks). Knows text alone.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.errors import OptionError
from charlm.inspection.passage import Passage
from charlm.tokenizers.characters import code_points

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


@dataclass(frozen=True)
class Feature:
    """How characters are labelled, and whether a token has what any of them has, or its last."""

    labels: Callable[[str], Labels]
    of_any: bool = False


FEATURES = {
    "line-position": Feature(line_position),
    "quotes": Feature(quotes),
    "brackets": Feature(brackets),
    "bracket-depth": Feature(bracket_depth),
    "capital": Feature(lambda text: _each(text, str.isupper), of_any=True),
    "space": Feature(lambda text: _each(text, str.isspace), of_any=True),
    "vowel": Feature(lambda text: _each(text, _is_vowel), of_any=True),
    "digit": Feature(lambda text: _each(text, str.isdigit), of_any=True),
    "word-start": Feature(word_start, of_any=True),
}


def matches(pattern: str) -> Feature:
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

    return Feature(inside)


def of_tokens(feature: Feature, passage: Passage) -> Labels:
    """The feature of each token: that of any of its characters or of its last one.

    A byte that completes no character has what the character before it has. Per line, every line
    is its own.
    """
    if passage.per_line:
        lines = passage.text.split("\n")[:-1]
        labels = np.concatenate([feature.labels(line + "\n") for line in lines])
    else:
        labels = feature.labels(passage.text)
    begins, ends = passage.offsets()[:-1], passage.offsets()[1:]
    of_last: Labels = labels[np.maximum(ends - 1, 0)]
    if feature.of_any:
        filled = ends > begins
        of_last[filled] = np.logical_or.reduceat(labels, begins[filled])
    return of_last


def _is_vowel(character: str) -> bool:
    return unicodedata.normalize("NFD", character.casefold())[0] in "aeiou"


def _each(text: str, has: Callable[[str], bool]) -> Labels:
    """Whether each character has something; each different one is asked once."""
    kinds, where = np.unique(code_points(text), return_inverse=True)
    return np.array([has(chr(code)) for code in kinds], bool)[where]
