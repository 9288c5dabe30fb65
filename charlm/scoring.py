"""Log-probabilities of texts by the chain rule, and the measures made from them.

Internally natural logarithms, summed in float64. Knows engines, tokenizers and token files; knows
nothing about checkpoints or terminals.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.corpus import Tokens, places_of
from charlm.inference import Array, Engine, Ids, State, finite, ln_softmax
from charlm.sequences import WINDOW, predictions, sequence_nats, state_after
from charlm.threads import threads_for
from charlm.tokenizers import EOS, UNK, Tokenizer

TIE = 1e-5  # nats: what rounding alone may make of two equal probabilities
LONG = 2**14  # tokens of a line that is not read side by side with others
FEW = 0.005  # of the tokens: with more unseen, figures per character look better than they are
WARM_UP = 256  # steps read before a stream's own, so that its state is not cold


@dataclasses.dataclass(frozen=True)
class Score:
    """What a model says of a text.

    log_probability is in nats. characters and bytes (of UTF-8) are the text's, plus one for the
    sequence's end where it is counted (`eos_counted`): the newline that it stands for.
    """

    log_probability: float
    tokens: int
    characters: int
    bytes: int
    unseen_tokens: int
    unseen_log_probability: float
    eos_counted: bool

    @property
    def log10_probability(self) -> float:
        """log10 P(text)."""
        return self.log_probability / math.log(10)

    @property
    def probability(self) -> float:
        """P(text), 0.0 where it is too small for a float."""
        return math.exp(self.log_probability)

    @property
    def bits_per_character(self) -> float:
        """−log2 P(text) over its characters; can be compared across tokenizers."""
        return self._nats / math.log(2) / self.characters if self.characters else 0.0

    @property
    def bits_per_byte(self) -> float:
        """−log2 P(text) over the bytes of its UTF-8; can be compared across tokenizers."""
        return self._nats / math.log(2) / self.bytes if self.bytes else 0.0

    @property
    def bits_per_token(self) -> float:
        """nats_per_token in bits."""
        return self.nats_per_token / math.log(2)

    @property
    def nats_per_token(self) -> float:
        """Cross-entropy per token; differs from tokenizer to tokenizer."""
        return self._nats / self.tokens if self.tokens else 0.0

    @property
    def perplexity(self) -> float:
        """exp(nats per token): among how many equally likely tokens the model wavers.

        Infinite where no float can hold it.
        """
        return math.exp(self.nats_per_token) if self.nats_per_token < 700 else math.inf

    @property
    def _nats(self) -> float:
        """−ln P(text), and 0.0 rather than −0.0."""
        return 0.0 - self.log_probability

    def to_json(self) -> dict[str, Any]:
        """Every figure in full precision, under its name; None for an infinite perplexity."""
        names = (
            *(field.name for field in dataclasses.fields(Score)),
            "log10_probability",
            "probability",
            "bits_per_character",
            "bits_per_byte",
            "bits_per_token",
            "nats_per_token",
            "perplexity",
        )
        record = {name: getattr(self, name) for name in names}
        return record | {"perplexity": None} if math.isinf(self.perplexity) else record


@dataclasses.dataclass(frozen=True)
class TokenScore:
    """One token of a text: how it is written, −ln P given what came before, and its rank from 1.

    unseen: of <UNK>, the character or word of the text that it stands for.
    """

    token: int
    piece: str
    nats: float
    rank: int
    unseen: str = ""


def score(
    engine: Engine,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    *,
    given: str = "",
    eos: bool,
) -> list[Score]:
    """Scores each text as a sequence that starts from the zero state after <EOS> and `given`.

    The probability of `given`, which is read once, is not counted; with `eos` the sequence's end
    after the text is. What is equal in tokens, also read once, gets the very same figures. Raises
    OverflowingError where the network's numbers are not finite, as all here do.
    """
    *context, last = np.concatenate([[EOS], tokenizer.encode(given)]).astype(np.intp)
    encoded = [tokenizer.encode(text).astype(np.intp) for text in texts]
    different = {tokens.tobytes(): tokens for tokens in encoded}
    end = np.full(int(eos), EOS)
    sequences = [np.concatenate([[last], tokens, end]) for tokens in different.values()]
    with threads_for(engine.config.parameters):
        nats = sequence_nats(engine, sequences, state_after(engine, np.array(context)))
    found = dict(zip(different, nats, strict=True))
    return [
        _score(eos, text, tokens, found[tokens.tobytes()])
        for text, tokens in zip(texts, encoded, strict=True)
    ]


def _score(eos: bool, text: str, tokens: Ids, nats: Array) -> Score:
    """What the nats of a text's tokens (and of its end, if that is counted) come to."""
    counted = -finite(nats, text).astype(np.float64)
    unseen = tokens == UNK
    return Score(
        log_probability=float(counted.sum()) + 0.0,
        tokens=len(counted),
        characters=len(text) + eos,
        bytes=len(text.encode("utf-8", "surrogatepass")) + eos,
        unseen_tokens=int(unseen.sum()),
        unseen_log_probability=float(counted[: len(tokens)][unseen].sum()) + 0.0,
        eos_counted=eos,
    )


Watch = Callable[[float], object]  # is told the share of a task that is done


def evaluate(engine: Engine, tokens: Tokens, streams: int = 1, watch: Watch | None = None) -> Score:
    """Scores a whole file of tokens.

    Every sequence starts from the zero state. A file is read from its beginning to its end with
    the state carried, or, for speed, as `streams` parts side by side (fewer if they were shorter
    than 256 tokens), each of which first reads the 256 tokens before it.
    """
    parts = (
        _line_nats(engine, tokens.ids)
        if tokens.per_line
        else _file_nats(engine, tokens.ids, streams)
    )
    total = unseen_total = 0.0
    unseen = done = 0
    counted = tokens.counted  # looked for once, not at every window
    with threads_for(engine.config.parameters):
        for nats, targets in parts:
            exact = -finite(nats).astype(np.float64)
            total += float(exact.sum())
            unseen += int((targets == UNK).sum())
            unseen_total += float(exact[targets == UNK].sum())
            done += len(targets)
            if watch:
                watch(done / counted)
    return Score(
        log_probability=total,
        tokens=done,
        characters=tokens.characters,
        bytes=tokens.bytes,
        unseen_tokens=unseen,
        unseen_log_probability=unseen_total,
        eos_counted=tokens.per_line,
    )


NatsAndTargets = Iterator[tuple[Array, Ids]]


def _file_nats(engine: Engine, ids: Ids, streams: int) -> NatsAndTargets:
    """One file after the other, without their ends, for which no character stands."""
    begins = places_of(EOS, ids).tolist() or [0]
    for begin, end in itertools.pairwise([*begins, len(ids)]):
        yield from _stream_nats(engine, ids[begin:end], streams)


def _line_nats(engine: Engine, ids: Ids) -> NatsAndTargets:
    """Sequences of a per-line file, many at a time; a very long one as a file is read."""
    ends = places_of(EOS, ids)
    for at in range(0, len(ends) - 1, 2**12):
        block = ends[at : at + 2**12 + 1]
        sequences = [ids[a : b + 1] for a, b in itertools.pairwise(block)]
        together = [sequence for sequence in sequences if len(sequence) <= LONG]
        for sequence, nats in zip(together, sequence_nats(engine, together), strict=True):
            yield nats, sequence[1:]
        for sequence in sequences:
            if len(sequence) > LONG:
                yield from _stream_nats(engine, sequence, 1)


def parts_of(events: int, streams: int) -> int:
    """As how many parts a sequence of so many events is read: none is shorter than WARM_UP."""
    return max(1, min(streams, events // WARM_UP))


def _stream_nats(engine: Engine, ids: Ids, streams: int) -> NatsAndTargets:
    """One long sequence; the last stream's length is the longest, the others stop before it."""
    events = max(0, len(ids) - 1)
    streams = parts_of(events, streams)
    bounds = np.linspace(0, events, streams + 1).astype(np.int64)
    state = _warm_states(engine, ids, bounds[:-1])
    longest = int(np.diff(bounds).max())
    for at in range(0, longest, WINDOW):
        steps = np.arange(at, min(at + WINDOW, longest))[:, None]
        inside = bounds[:-1] + steps < bounds[1:]  # (time, streams)
        index = np.minimum(bounds[:-1] + steps, events - 1)
        targets = ids[index + 1].astype(np.intp)
        nats, state = engine.nats(ids[index].astype(np.intp), targets, state)
        yield nats[inside], targets[inside]


def _warm_states(engine: Engine, ids: Ids, begins: npt.NDArray[np.int64]) -> State:
    """The state of each stream at its beginning, after the WARM_UP tokens before it."""
    state = engine.initial_state(len(begins))
    if len(begins) == 1:
        return state
    steps = np.arange(-WARM_UP, 0)[:, None]
    warm = engine.after(ids[np.maximum(begins + steps, 0)].astype(np.intp), state)
    for layer_warm, layer_cold in zip(warm, state, strict=True):
        for part_warm, part_cold in zip(layer_warm, layer_cold, strict=True):
            part_warm[0] = part_cold[0]  # the first stream starts where the sequence does
    return warm


def score_tokens(
    engine: Engine, tokenizer: Tokenizer, text: str, *, given: str = "", eos: bool
) -> list[TokenScore]:
    """Each token of the text with its −ln P and its rank among all tokens."""
    *context, last = np.concatenate([[EOS], tokenizer.encode(given)]).astype(np.intp)
    ids = np.concatenate([[last], tokenizer.encode(text), np.full(int(eos), EOS)]).astype(np.intp)
    unseen = (piece for _, piece in tokenizer.unseen(text))
    with threads_for(engine.config.parameters):
        state = state_after(engine, np.array(context))
        return [
            TokenScore(
                int(token),
                tokenizer.piece(int(token)),
                0.0 - float(row[token]),  # 0.0 rather than -0.0
                1 + int((row > row[token]).sum()),
                next(unseen, "") if token == UNK else "",
            )
            for rows, tokens in predictions(engine, ids, state)
            for token, row in zip(tokens, rows, strict=True)
        ]


def next_tokens(
    engine: Engine, tokenizer: Tokenizer, text: str, count: int = 10, *, given: str = ""
) -> list[TokenScore]:
    """The `count` likeliest tokens after <EOS>, `given` and the text, the likeliest first."""
    before = [tokenizer.encode(part).astype(np.intp) for part in (given, text)]
    *context, last = np.concatenate([[EOS], *before]).astype(np.intp)
    with threads_for(engine.config.parameters):
        logits, _ = engine.logits(np.array([[last]]), state_after(engine, np.array(context)))
    row = ln_softmax(logits[0, 0])
    likeliest = np.argsort(-row, kind="stable")[:count]
    return [
        TokenScore(int(token), tokenizer.piece(int(token)), 0.0 - float(row[token]), rank)
        for rank, token in enumerate(likeliest, 1)
    ]
