"""How much of what a model wrote stands word for word in its corpus.

Spans are compared exactly, by numbering them: the spans of 2w characters of the texts are
numbered by the numbers of their two halves (R. Karp, R. Miller and A. Rosenberg, "Rapid
identification of repeated patterns", 1972), and number 0 is any span that no text has. The
corpus goes by once, piece by piece. Knows texts and a corpus, nothing about models or tokens.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.figures import on_one_line
from charlm.text import Text
from charlm.tokenizers.characters import code_points

LENGTHS = (8, 16, 32)  # of the spans that are counted, powers of two
SHOWN = 60  # characters of the longest copied span that are shown

Numbers = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

_NO_CHARACTER = 2**32 - 1  # before and after each text: no span crosses to the next
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: spreads keys over a table


@dataclass(frozen=True)
class Novelty:
    """What of some texts is copied from a corpus. Shares are from 0 to 1, and repeats count.

    A span lies within one text; it is new where it occurs nowhere in the corpus. A share is None
    where there is nothing to share: no text as long as the span, no lines.
    """

    texts: int
    longest: str  # the longest copied span; of several, the first in the corpus
    new_spans: dict[int, float | None]  # by the length of the span
    new_lines: float | None  # of per-line texts, those that are no line of the corpus
    distinct_lines: float | None
    known: frozenset[str]  # texts that are a line of the corpus; not per line, that occur in it

    @classmethod
    def of(cls, texts: Sequence[str], corpus: Text, per_line: bool) -> "Novelty":
        """Compares texts with a corpus, which is read once and in bounded memory.

        Per line, a text is known if it is a whole line. An empty text is never new.
        """
        wanted = list(dict.fromkeys(texts))
        lines = _Lines(wanted)
        spans = _Spans(texts, [] if per_line else wanted)
        for document in corpus.to_read(per_line):
            for piece in document:
                spans.read(piece)
                if per_line:
                    lines.read(piece)
            spans.end()
        known = frozenset({*spans.known, *lines.known, *({""} & set(wanted))})
        of_lines = len(texts) if per_line else 0
        return cls(
            texts=len(texts),
            longest=spans.longest,
            new_spans={length: spans.share_new(length) for length in LENGTHS},
            new_lines=sum(text not in known for text in texts) / of_lines if of_lines else None,
            distinct_lines=len(wanted) / of_lines if of_lines else None,
            known=known,
        )

    def to_json(self) -> dict[str, Any]:
        """Every figure in full precision; None where it is not known."""
        return {
            "texts": self.texts,
            "new_lines": self.new_lines,
            "distinct_lines": self.distinct_lines,
            "longest_copied_span": self.longest,
            "new_spans": {str(length): share for length, share in self.new_spans.items()},
        }

    def in_words(self) -> str:
        """The figures for people, on one to three lines."""
        words = []
        if self.new_lines is not None and self.distinct_lines is not None:
            new, distinct = _percent(self.new_lines), _percent(self.distinct_lines)
            words.append(f"lines: {new} new, {distinct} distinct (of {self.texts:,})")
        shares = [
            f"of {length} characters: {_percent(share)}"
            for length, share in self.new_spans.items()
            if share is not None  # as it is where no text is so long
        ]
        copied = f'{len(self.longest):,} characters, "{_short(self.longest)}"'
        words.append(f"longest copied span: {copied if self.longest else 'none'}")
        if shares:
            words.append(f"new spans {', '.join(shares)}")
        return "\n".join(words)


def _percent(share: float) -> str:
    """100.0 % means all and 0.0 % none."""
    return f"{min(max(share, 0.001), 0.999) if 0 < share < 1 else share:.1%}".replace("%", " %")


def _short(span: str) -> str:
    if len(span) > SHOWN:
        span = f"{span[: SHOWN * 2 // 3]} … {span[-SHOWN // 3 :]}"
    return on_one_line(span)


class _Lines:
    """Which of some texts are lines of a corpus; a line may be longer than memory."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.known: set[str] = set()
        self._texts = set(texts)
        self._enough = 1 + max(map(len, texts), default=0)  # of a line, to be no text
        self._line = ""

    def read(self, piece: str) -> None:
        *lines, rest = (self._line + piece).split("\n")
        self.known |= self._texts.intersection(lines)
        self._line = rest[: self._enough]


class _Table:
    """Numbers keys from 1; a key that was not given has number 0."""

    def __init__(self, keys: Keys) -> None:
        keys = np.sort(keys)  # np.unique hashes, up to ten times slower for keys such as these
        self._keys = keys[np.append(True, keys[1:] != keys[:-1])[: len(keys)]]
        bits = min(max(10, (16 * len(self._keys)).bit_length()), 22)
        self._shift = np.uint64(64 - bits)
        self._numbers = np.zeros(2**bits, np.int32)  # of one key of each slot
        self._numbers[self._slots(self._keys)] = np.arange(1, len(self))

    def __len__(self) -> int:
        return len(self._keys) + 1

    def numbers(self, keys: Keys) -> Numbers:
        if not len(self._keys):
            return np.zeros(len(keys), np.int32)
        numbers: Numbers = self._numbers[self._slots(keys)]
        others = np.flatnonzero((self._keys[numbers - 1] != keys) & (numbers > 0))
        keys = keys[others]  # that share a slot with the one whose number is there
        found = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        numbers[others] = np.where(self._keys[found] == keys, found + 1, 0)
        return numbers

    def _slots(self, keys: Keys) -> Places:
        slots: Places = ((keys * _GOLDEN) >> self._shift).view(np.int64)
        return slots


class _Level:
    """The texts' spans of one length, `width`: their table, and the number of each by its place."""

    def __init__(self, width: int, numbers: Numbers, table: _Table) -> None:
        self.width = width
        self.numbers = numbers
        self.table = table
        self.seen: Flags = np.zeros(len(table), np.bool_)  # by number: it occurs in the corpus

    def doubled(self) -> "_Level":
        table = _Table(_pairs(self.numbers, self.width)[1])
        return _Level(2 * self.width, _doubled(self.numbers, self.width, table), table)


class _Spans:
    """What spans of the texts occur in a corpus that goes by in pieces, and which of `whole`."""

    def __init__(self, texts: Sequence[str], whole: Iterable[str]) -> None:
        self.longest = ""
        self.known: set[str] = set()
        self._texts = list(dict.fromkeys(texts))
        self._longest_text = max(map(len, texts), default=0)
        self._unfinished = ""
        end = np.array([_NO_CHARACTER], np.uint64)
        keys = np.concatenate([end, *(part for text in texts for part in (_codes(text), end))])
        table = _Table(keys[keys != _NO_CHARACTER])
        self._levels = [_Level(1, table.numbers(keys), table)]
        while 2 * self._levels[-1].width <= min(LENGTHS[-1], self._longest_text):
            self._levels.append(self._levels[-1].doubled())
        starts = accumulate((len(text) + 1 for text in texts), initial=1)
        start_of = dict(zip(texts, starts, strict=False))
        self._whole: dict[int, list[tuple[str, int]]] = {}  # by level: those not found, and starts
        for text in filter(None, whole):
            level = len(text).bit_length() - 1
            self._whole.setdefault(level, []).append((text, start_of[text]))

    def share_new(self, length: int) -> float | None:
        """The share of the texts' spans of this length that did not go by; None without any."""
        if length > self._longest_text:
            return None
        level = self._levels[length.bit_length() - 1]
        return float((~level.seen[level.numbers[level.numbers > 0]]).mean())

    def read(self, piece: str) -> None:
        """The next piece of the corpus.

        A span of a text that crosses the piece's end begins in the part that is kept: the longest
        end of what was read that stands in a text.
        """
        window = self._unfinished + piece
        deepest: tuple[_Level, Numbers, Flags] | None = None
        for depth, numbers in enumerate(self._numbers(window)):
            level = self._levels[depth]
            here = np.zeros(len(level.table), np.bool_)  # by number: it occurs in the window
            here[numbers] = True
            here[0] = False
            level.seen |= here
            self._find_whole(window, depth, here)
            deepest = level, numbers, here
        if deepest:
            self._lengthen(window, *deepest)
        self._unfinished = self._copied_end(window)

    def end(self) -> None:
        """A file of the corpus ends; no span goes on into the next."""
        self._unfinished = ""

    def _numbers(self, window: str) -> Iterator[Numbers]:
        """Of the window's spans of 1, 2, 4, … characters, as long as the texts have any of them."""
        numbers = self._levels[0].table.numbers(_codes(window))
        for depth in count(1):
            if not numbers.any():
                return
            yield numbers
            if depth == len(self._levels):
                self._levels.append(self._levels[-1].doubled())
            level = self._levels[depth]
            numbers = _doubled(numbers, level.width // 2, level.table)

    def _find_whole(self, window: str, depth: int, here: Flags) -> None:
        level = self._levels[depth]
        waiting = self._whole.get(depth, [])
        for text, start in waiting:
            first, last = level.numbers[[start, start + len(text) - level.width]]
            if here[first] and here[last] and text in window:
                self.known.add(text)
        if waiting:
            self._whole[depth] = [item for item in waiting if item[0] not in self.known]

    def _lengthen(self, window: str, level: _Level, numbers: Numbers, here: Flags) -> None:
        """A longer copied span, if the window has one: its longest is in [width, 2 width)."""
        low, high = len(self.longest), 2 * level.width - 1
        start = 0
        if low < level.width:
            low, start = level.width, int(np.argmax(numbers > 0))
            self.longest = window[start : start + low]
        in_texts = level.numbers * here[level.numbers]
        length = low + 1  # most windows have no longer one: they are done after one look
        while low < high:
            gap = length - level.width
            places, keys = _pairs(numbers, gap)
            copied = places[_Table(_pairs(in_texts, gap)[1]).numbers(keys) > 0]
            if len(copied):
                low, start = length, int(copied[0])
                self.longest = window[start : start + low]
            else:
                high = length - 1
            length = (low + high + 1) // 2

    def _copied_end(self, window: str) -> str:
        """The longest end of the window that stands in a text."""

        def foreign(length: int) -> bool:
            end = window[len(window) - length :]
            return not any(end in text for text in self._texts)

        longest = min(self._longest_text, len(window))
        length = bisect_left(range(1, longest + 1), True, key=foreign)
        return window[len(window) - length :]


def _codes(text: str) -> Keys:
    return code_points(text).astype(np.uint64)


def _pairs(numbers: Numbers, gap: int) -> tuple[Places, Keys]:
    """Where two numbers other than 0 are `gap` apart, and both as one key."""
    left, right = numbers[: max(0, len(numbers) - gap)], numbers[gap:]
    places = np.flatnonzero((left > 0) & (right > 0))
    keys = left[places].astype(np.uint64) << np.uint64(32)
    return places, keys | right[places].astype(np.uint64)


def _doubled(numbers: Numbers, width: int, table: _Table) -> Numbers:
    """From the numbers of the spans of `width` those of the spans of twice that, by place."""
    places, keys = _pairs(numbers, width)
    doubled = np.zeros(max(0, len(numbers) - width), np.int32)
    doubled[places] = table.numbers(keys)
    return doubled
