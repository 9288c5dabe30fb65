"""Does a model remember? Minimal pairs: two texts of which the first should be the likelier.

Reads pairs (the JSON lines of BLiMP, Warstadt et al. 2020, or columns), scores them and counts,
by group and by the distance that has to be remembered. Knows engines and tokenizers; knows nothing
about checkpoints or terminals.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import resources
from typing import Any

import numpy as np

from charlm.errors import TextError
from charlm.inference import Engine
from charlm.scoring import Score, score
from charlm.tokenizers import UNK, Tokenizer

COLUMNS = ("better", "worse", "group", "distance")
TIE = 1e-5  # nats: what rounding alone may make of two equal probabilities
DISTANCES = 9  # at most so many ranges of distances, of about equally many pairs
Z = 1.959964  # standard deviations that hold 95 % of a normal distribution


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two texts; group and field are BLiMP's UID and linguistics_term, empty where there is none.

    distance: characters between what decides and what is decided.
    """

    better: str
    worse: str
    group: str = ""
    field: str = ""
    distance: int | None = None


def cats_pairs() -> list[Pair]:
    """The built-in pairs, of the grammar of corpora/cats: agreement, quotation, pear."""
    file = resources.files("charlm") / "data" / "cats-pairs.tsv"
    return read_pairs(file.read_text("utf-8").splitlines(), file.name)


def read_pairs(lines: Iterable[str], name: str) -> list[Pair]:
    """Pairs from JSON lines as BLiMP has them, or from columns that tabs separate.

    The columns: better, worse and, if wanted, group and distance; their names may be the first
    line. Empty lines are left out. Raises TextError, which names the file, the line and the field.
    """
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if numbered and tuple(numbered[0][1].split("\t")) in (COLUMNS[:2], COLUMNS[:3], COLUMNS):
        del numbered[0]
    if not numbered:
        raise TextError(f"{name}: there are no pairs in it")
    read = _from_json if numbered[0][1].lstrip().startswith("{") else _from_columns
    return [read(line, f"{name}, line {number}") for number, line in numbered]


def _from_json(line: str, where: str) -> Pair:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise TextError(f"{where}: not a JSON object") from None
    if not isinstance(record, dict):
        raise TextError(f"{where}: not a JSON object")
    return Pair(
        better=_text_of(record, "sentence_good", where),
        worse=_text_of(record, "sentence_bad", where),
        group=_text_of(record, "UID", where, ""),
        field=_text_of(record, "linguistics_term", where, ""),
    )


def _text_of(record: dict[str, Any], field: str, where: str, default: str | None = None) -> str:
    value = record.get(field, default)
    if value is None:
        raise TextError(f"{where}: there is no {field!r}")
    if not isinstance(value, str) or (default is None and not value):
        raise TextError(f"{where}: {field!r} is {value!r:.40}, not a text")
    return value


def _from_columns(line: str, where: str) -> Pair:
    fields = line.split("\t")
    if not 2 <= len(fields) <= len(COLUMNS):
        raise TextError(
            f"{where}: {len(fields)} columns where 2 to 4 should be, separated by tabs: "
            f"{', '.join(COLUMNS)}"
        )
    for field, value in zip(COLUMNS, fields[:2], strict=False):
        if not value:
            raise TextError(f"{where}: {field!r} is empty")
    distance = fields[3] if len(fields) > 3 else ""
    if distance and not distance.isdecimal():
        raise TextError(f"{where}: 'distance' is {distance!r:.40}, not a whole number")
    return Pair(
        fields[0],
        fields[1],
        fields[2] if len(fields) > 2 else "",
        distance=int(distance) if distance else None,
    )


@dataclasses.dataclass(frozen=True)
class Measured:
    """A pair and how much likelier its better text is, in nats; unseen: texts that hold <UNK>."""

    pair: Pair
    margin: float
    unseen: int


@dataclasses.dataclass(frozen=True)
class Start:
    """What a text is put between: after `given`, and whether and how its end is counted.

    A per-line model ends a sequence with <EOS>, which is counted. To a whole-file model a text is
    a line: it stands after a newline, and the newline behind it is counted. (After <EOS> alone
    such a model is at the start of a file; without the end, a text is never less likely than
    the same with something appended.)
    """

    given: str
    end: str
    eos: bool

    @classmethod
    def of(
        cls, tokenizer: Tokenizer, per_line: bool, given: str | None = None, end: bool = True
    ) -> "Start":
        """What suits the model, unless `given` says otherwise."""
        newline = "" if per_line or tokenizer.newline == UNK else "\n"
        return cls(newline if given is None else given, newline if end else "", per_line and end)


def measure(
    engine: Engine,
    tokenizer: Tokenizer,
    pairs: Sequence[Pair],
    start: Start,
    normalise: str = "none",
) -> list[Measured]:
    """The margin of every pair: ln P(better) − ln P(worse).

    normalise "character" divides each ln P by the number of characters counted.
    """
    texts = [text + start.end for pair in pairs for text in (pair.better, pair.worse)]
    scores = score(engine, tokenizer, texts, given=start.given, eos=start.eos)
    value = _per_character if normalise == "character" else _total
    return [
        Measured(
            pair,
            value(better) - value(worse),
            (better.unseen_tokens > 0) + (worse.unseen_tokens > 0),
        )
        for pair, better, worse in zip(pairs, scores[::2], scores[1::2], strict=True)
    ]


def _total(score: Score) -> float:
    return score.log_probability


def _per_character(score: Score) -> float:
    return score.log_probability / score.characters


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """How many of the pairs a model gets right; a tie is not right. margin: the mean, in nats."""

    pairs: int
    right: int
    ties: int
    margin: float
    unseen: int

    @classmethod
    def of(cls, measured: Sequence[Measured]) -> "Accuracy":
        """Counts pairs whose margin is above, or within, what rounding makes of a tie."""
        margins = np.array([one.margin for one in measured])
        return cls(
            pairs=len(measured),
            right=int((margins > TIE).sum()),
            ties=int((np.abs(margins) <= TIE).sum()),
            margin=float(margins.mean()),
            unseen=sum(one.unseen for one in measured),
        )

    @property
    def share(self) -> float:
        """The share of pairs that are right."""
        return self.right / self.pairs

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share."""
        return wilson(self.right, self.pairs)

    def to_json(self) -> dict[str, Any]:
        """Every figure under its name."""
        figures = dataclasses.asdict(self)
        figures["margin_nats"] = figures.pop("margin")
        figures["sentences_with_unseen"] = figures.pop("unseen")
        return figures | {"accuracy": self.share, "interval_95": list(self.interval)}


def wilson(right: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share, after Wilson 1927, which stays within 0 and 1.

    >>> tuple(round(end, 3) for end in wilson(9, 10))
    (0.596, 0.982)
    """
    share = right / of
    middle = (share + Z**2 / (2 * of)) / (1 + Z**2 / of)
    reach = Z / (1 + Z**2 / of) * math.sqrt(share * (1 - share) / of + Z**2 / (4 * of**2))
    return min(share, max(0.0, middle - reach)), max(share, min(1.0, middle + reach))


def groups(
    measured: Iterable[Measured], of: Callable[[Pair], str] = lambda pair: pair.group
) -> dict[str, list[Measured]]:
    """The pairs of each group, in the order in which the groups first appear."""
    found: dict[str, list[Measured]] = {}
    for one in measured:
        found.setdefault(of(one.pair), []).append(one)
    return found


def ranges(distances: Sequence[int], most: int = DISTANCES) -> list[tuple[int, int]]:
    """First and last distance of at most so many ranges, each of about equally many pairs.

    >>> ranges([1, 1, 1, 1, 5, 8, 9, 20], most=3)
    [(1, 1), (5, 8), (9, 20)]
    """
    waiting, found = sorted(distances), list[tuple[int, int]]()
    while waiting:
        size = round(len(waiting) / max(1, most - len(found)))
        last = waiting[max(size, 1) - 1]
        rest = [distance for distance in waiting if distance > last]
        found.append((waiting[0], last))
        waiting = rest
    return found


def by_distance(measured: Sequence[Measured]) -> Iterator[tuple[int, int, Accuracy]]:
    """The accuracy in each range of distances; nothing where pairs have none."""
    known = [(one.pair.distance, one) for one in measured if one.pair.distance is not None]
    for first, last in ranges([distance for distance, _ in known]):
        inside = [one for distance, one in known if first <= distance <= last]
        yield first, last, Accuracy.of(inside)
