"""From logits to text: choosing the next token, and writing with a model token by token.

Knows engines and token numbers; knows nothing about checkpoints or terminals.
"""

import dataclasses
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from charlm.config import check_limits
from charlm.inference import Array, Choice, Engine, Exact, Ids, State, finite, rows_of
from charlm.sequences import state_after
from charlm.tokenizers import EOS, UNK, Tokenizer

DRAWS = 64  # random numbers of a text that are drawn at once
COLDEST = 1e-300  # what a temperature above 0 counts as, at least


def never_written(tokenizer: Tokenizer, per_line: bool, allow_unk: bool = False) -> set[int]:
    """Tokens to forbid: <UNK>, unless allowed, and in a line the newline, whose place <EOS> has."""
    tokens = {tokenizer.newline} if per_line else set()
    return tokens - {UNK} if allow_unk else tokens | {UNK}


@dataclasses.dataclass(frozen=True)
class Sampler:
    """How a token is chosen: called with logits (batch, vocabulary) and uniform numbers (batch,).

    temperature divides the logits; 0 takes the likeliest token. top_k keeps the k likeliest,
    top_p the fewest that together reach probability p (Holtzman et al. 2020), min_p those at
    least min_p times as likely as the likeliest (Nguyen et al. 2024); several are applied in this
    order. forbidden are tokens never chosen. Raises OptionError for values out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    forbidden: Collection[int] = ()

    def __post_init__(self) -> None:
        check_limits("--temperature", self.temperature, minimum=0)
        if self.top_k is not None:
            check_limits("--top-k", self.top_k, minimum=1)
        for name, share in (("--top-p", self.top_p), ("--min-p", self.min_p)):
            if share is not None:
                check_limits(name, share, above=0, maximum=1)

    def __call__(self, logits: Array, uniforms: Exact) -> Ids:
        """Tokens (batch,); raises OverflowingError where the logits are not finite."""
        if self.forbidden:
            logits = logits.copy()
            logits[:, list(self.forbidden)] = -np.inf
        most = finite(logits.max(axis=1, keepdims=True))
        if self.temperature == 0:
            greedy: Ids = np.argmax(logits, axis=1)
            return greedy
        scaled = (logits - most).astype(np.float64)
        weights = np.exp(scaled / max(self.temperature, COLDEST))
        if self.top_k is not None and self.top_k < weights.shape[1]:
            weights = _keep_likeliest(weights, self.top_k)
        if self.top_p is not None and self.top_p < 1:
            weights = _keep_nucleus(weights, self.top_p)
        if self.min_p is not None:
            weights[weights < self.min_p * weights.max(axis=1, keepdims=True)] = 0.0
        return _draw(weights, uniforms)


def _keep_likeliest(weights: Exact, count: int) -> Exact:
    least = np.argpartition(-weights, count - 1, axis=1)[:, count:]
    np.put_along_axis(weights, least, 0.0, axis=1)
    return weights


def _keep_nucleus(weights: Exact, share: float) -> Exact:
    order = np.argsort(-weights, axis=1, kind="stable")
    ordered = np.take_along_axis(weights, order, axis=1)
    before = np.cumsum(ordered, axis=1) - ordered
    ordered[before >= share * ordered.sum(axis=1, keepdims=True)] = 0.0
    np.put_along_axis(weights, order, ordered, axis=1)
    return weights


def _draw(weights: Exact, uniforms: Exact) -> Ids:
    """One token a row with probability proportional to its weight, by the inverse of the sum."""
    sums = np.cumsum(weights, axis=1)
    tokens: Ids = (sums <= (uniforms * sums[:, -1])[:, None]).sum(axis=1)
    if tokens.max() == weights.shape[1]:  # rounding passed the last one
        last = weights.shape[1] - 1 - (weights[:, ::-1] > 0).argmax(axis=1)
        tokens = np.minimum(tokens, last)
    return tokens


def read_prompt(engine: Engine, prompt: Ids, batch: int) -> tuple[Array, State]:
    """Reads <EOS> and the prompt once; gives `batch` copies of the last logits and the state."""
    *context, last = np.concatenate([[EOS], prompt]).astype(np.intp)
    logits, state = engine.logits(np.array([[last]]), state_after(engine, np.array(context)))
    copies = np.zeros(batch, np.intp)
    return logits[0][copies], rows_of(state, copies)


def generate(
    engine: Engine, choice: Choice, prompt: Ids, seeds: Sequence[Sequence[int]], length: int
) -> Iterator[Ids]:
    """Writes one text for each seed, all in one batch: yields the next token of each, (batch,).

    A text ends at <EOS>; what is yielded for it afterwards is <EOS> again. Ends when all texts
    have ended, or after `length` tokens. A text depends on its seed, not on its neighbours.
    """
    uniforms = _uniforms(seeds)
    logits, state = read_prompt(engine, prompt, len(seeds))
    rows = np.arange(len(seeds))  # the texts that have not ended
    drawn = choice(logits, next(uniforms))
    for left in reversed(range(length)):
        tokens = np.full(len(seeds), EOS)
        tokens[rows] = drawn
        yield tokens
        going = drawn != EOS
        if not going.all():
            rows, drawn = rows[going], drawn[going]
            state = rows_of(state, going)
        if not left or not len(rows):
            return
        drawn, state = engine.draw(drawn, state, choice, next(uniforms)[rows])


def _uniforms(seeds: Sequence[Sequence[int]]) -> Iterator[Exact]:
    """Without end: the next number of each seed's own generator, between 0 and 1, (seeds,)."""
    randoms = [np.random.default_rng(list(seed)) for seed in seeds]
    while True:
        yield from np.stack([random.random(DRAWS) for random in randoms], axis=1)


def until(pieces: Iterator[str], stop: str | None) -> Iterator[str]:
    """The pieces of a text up to the first `stop` in it, however the pieces divide it.

    >>> list(until(iter(["ab", "c", "d"]), "bc"))
    ['a']
    """
    if not stop:
        yield from pieces
        return
    held = ""
    for piece in pieces:
        held += piece
        if (found := held.find(stop)) >= 0:
            held = held[:found]
            break
        ready = len(held) - len(stop) + 1
        if ready > 0:
            yield held[:ready]
            held = held[ready:]
    if held:
        yield held
