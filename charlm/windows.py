"""From tokens to what a step of training sees: windows of (time, batch) tokens.

A window belongs to one sequence a stream: the state goes on from window to window and never from
one sequence into the next. Knows nothing about text or networks.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from charlm.corpus import Ids, Tokens, places_of
from charlm.tokenizers import EOS

IGNORED = -100  # a target that is padding


@dataclasses.dataclass(frozen=True)
class Window:
    """What one step of training sees.

    inputs and targets: (time, batch) integers, padding being <EOS> and IGNORED; starts: (batch,)
    booleans, true where the stream's state is to be zero before the first step.
    """

    inputs: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    starts: npt.NDArray[np.bool_]


class Streams:
    """Long sequences as `batch` parallel streams, cut into windows of at most `bptt` steps.

    A stream goes on from window to window with its state. Where one sequence ends and the next
    begins the window ends too (what is left of it is padding), so that no state is carried over.
    Each epoch turns the text by a random offset, so that windows and streams are cut elsewhere,
    and every stream has equally many of its windows. A window depends on the seed, the epoch and
    its index alone.
    """

    def __init__(
        self, tokens: Tokens, batch: int, bptt: int, seed: int, reset_probability: float
    ) -> None:
        self._ids, self._events = tokens.ids, tokens.events
        self.batch = max(1, min(batch, tokens.events // bptt))
        self.bptt = min(bptt, tokens.events // self.batch)
        self._seed, self._reset_probability = seed, reset_probability
        begins = places_of(EOS, tokens.ids[:-1])
        self._sequences = np.concatenate([begins, begins + self._events])  # the text goes round
        self._epoch = -1

    def windows(self, epoch: int) -> int:
        """How many windows the epoch has: those of all sequences, shared out among the streams.

        What is left over, fewer than there are streams, is left out.
        """
        self._plan(epoch)
        return int(self._first[-1]) // self.batch

    def window(self, epoch: int, index: int) -> Window:
        """Window `index` of the epoch: each stream goes on where it was in the window before."""
        self._plan(epoch)
        random = np.random.default_rng([self._seed, epoch, index + 1])  # 0 is the turn's
        number = np.arange(self.batch) * self.windows(epoch) + index  # of all the epoch's windows
        part = np.searchsorted(self._first, number, side="right") - 1
        begins = self._begins[part] + (number - self._first[part]) * self.bptt
        ends = np.minimum(begins + self.bptt, self._ends[part])
        at = begins + np.arange((ends - begins).max())[:, None]  # (time, batch)
        inside, index_of = at < ends, at % self._events
        inputs = np.where(inside, self._ids[index_of], EOS).astype(np.int64)
        targets = np.where(inside, self._ids[index_of + 1].astype(np.int64), IGNORED)
        starts = (number == self._first[part]) | (index == 0)
        starts |= random.random(self.batch) < self._reset_probability
        inputs[0, starts] = EOS
        return Window(inputs, targets, starts)

    def _plan(self, epoch: int) -> None:
        """Cuts the text at the turn and at sequences; counts the windows before each part."""
        if epoch == self._epoch:
            return
        turn = int(np.random.default_rng([self._seed, epoch, 0]).integers(self._events))
        end = turn + self._events
        inside = (self._sequences > turn) & (self._sequences < end)
        cuts = np.concatenate([[turn], self._sequences[inside], [end]])
        self._begins, self._ends = cuts[:-1], cuts[1:]
        windows = -(-(self._ends - self._begins) // self.bptt)
        self._first = np.concatenate([[0], np.cumsum(windows)])
        self._epoch = epoch


class Lines:
    """One sequence a line: batches of lines of about the same length, in random order.

    Lines longer than `bptt` go on in the next window, with their state.
    """

    POOL = 50  # batches that are sorted by length together

    def __init__(self, tokens: Tokens, batch: int, bptt: int, seed: int) -> None:
        self._ids = tokens.ids
        ends = places_of(EOS, tokens.ids)
        self._begins, self._lengths = ends[:-1], np.diff(ends)
        self.batch, self.bptt = min(batch, len(self._begins)), bptt
        self._seed, self._epoch = seed, -1

    def windows(self, epoch: int) -> int:
        """How many windows the epoch has."""
        self._plan(epoch)
        return int(self._ends[-1])

    def window(self, epoch: int, index: int) -> Window:
        """Window `index` of the epoch."""
        self._plan(epoch)
        batch = int(np.searchsorted(self._ends, index, side="right"))
        first = int(self._ends[batch - 1]) if batch else 0
        return self._cut(self._batches[batch], (index - first) * self.bptt)

    def _plan(self, epoch: int) -> None:
        """Shuffles, sorts pools of batches by length, shuffles the batches."""
        if epoch == self._epoch:
            return
        random = np.random.default_rng([self._seed, epoch])
        order = random.permutation(len(self._begins))
        pool = self.batch * self.POOL
        batches = []
        for at in range(0, len(order), pool):
            lines = order[at : at + pool]
            lines = lines[np.argsort(self._lengths[lines], kind="stable")]
            batches += [lines[k : k + self.batch] for k in range(0, len(lines), self.batch)]
        self._batches = [batches[k] for k in random.permutation(len(batches))]
        longest = np.array([self._lengths[lines].max() for lines in self._batches])
        self._ends = np.cumsum(-(-longest // self.bptt))
        self._epoch = epoch

    def _cut(self, lines: Ids, offset: int) -> Window:
        """Steps offset to offset + bptt of the given lines."""
        lengths = self._lengths[lines]
        steps = min(self.bptt, int(lengths.max()) - offset)
        at = offset + np.arange(steps)[:, None]  # (time, 1)
        inside = at < lengths  # (time, batch)
        index = np.where(inside, self._begins[lines] + at, 0)
        inputs = np.where(inside, self._ids[index], EOS).astype(np.int64)
        targets = np.where(inside, self._ids[index + 1].astype(np.int64), IGNORED)
        return Window(inputs, targets, np.full(len(lines), offset == 0))


def windows_of(
    tokens: Tokens, batch: int, bptt: int, seed: int, reset_probability: float
) -> Streams | Lines:
    """The windows that the kind of sequence asks for."""
    if tokens.per_line:
        return Lines(tokens, batch, bptt, seed)
    return Streams(tokens, batch, bptt, seed, reset_probability)
