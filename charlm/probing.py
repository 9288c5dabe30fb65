"""Does a model remember? Minimal pairs: how often the better of two texts is the likelier.

Scores pairs and counts, by group and by the distance that has to be remembered. Knows engines and
tokenizers; knows nothing about checkpoints or terminals.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from charlm.inference import Array, Engine, Ids, finite
from charlm.pairs import Pair
from charlm.scoring import TIE
from charlm.sequences import pair_nats
from charlm.tokenizers import EOS, UNK, Tokenizer

DISTANCES = 9  # at most so many ranges of distances, of about equally many pairs
Z = 1.959964  # standard deviations that hold 95 % of a normal distribution
BLOCK = 2**12  # pairs that are read together


@dataclasses.dataclass(frozen=True)
class Measured:
    """A pair and how much likelier its better text is, in nats or in nats per character.

    tied: the margin is no more than rounding may make; unseen: texts that hold <UNK>.
    """

    pair: Pair
    margin: float
    tied: bool
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
    """The margin of every pair: ln P(better) − ln P(worse); what both begin with is read once.

    normalise "character" divides each ln P by the number of characters counted.
    """
    by_character = normalise == "character"
    given = np.concatenate([[EOS], tokenizer.encode(start.given)])
    end = np.full(int(start.eos), EOS)

    def sequence(text: str) -> Ids:
        return np.concatenate([given, tokenizer.encode(text + start.end), end]).astype(np.intp)

    def units(text: str) -> int:
        return len(text) + len(start.end) + start.eos if by_character else 1

    def measured(pair: Pair, better: Ids, worse: Ids, *nats: Array) -> Measured:
        better_nats, worse_nats = (
            float(finite(of[len(given) - 1 :]).astype(np.float64).sum()) for of in nats
        )
        each = units(pair.better), units(pair.worse)
        margin = worse_nats / each[1] - better_nats / each[0]
        unseen = sum(bool((ids[len(given) :] == UNK).any()) for ids in (better, worse))
        return Measured(pair, margin, abs(margin) * max(each) <= TIE, unseen)

    found: list[Measured] = []
    for at in range(0, len(pairs), BLOCK):
        block = pairs[at : at + BLOCK]
        betters = [sequence(pair.better) for pair in block]
        worses = [sequence(pair.worse) for pair in block]
        found += map(measured, block, betters, worses, *pair_nats(engine, betters, worses))
    return found


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """How many of the pairs a model gets right; a tie is not right. margin: the mean."""

    pairs: int
    right: int
    ties: int
    margin: float
    unseen: int

    @classmethod
    def of(cls, measured: Sequence[Measured]) -> "Accuracy":
        """Counts pairs whose better text is the likelier, and ties."""
        return cls(
            pairs=len(measured),
            right=sum(one.margin > 0 and not one.tied for one in measured),
            ties=sum(one.tied for one in measured),
            margin=sum(one.margin for one in measured) / len(measured),
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

    def to_json(self, normalise: str = "none") -> dict[str, Any]:
        """Every figure under its name, which says the margin's unit."""
        figures = dataclasses.asdict(self)
        unit = "nats_per_character" if normalise == "character" else "nats"
        figures[f"margin_{unit}"] = figures.pop("margin")
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
