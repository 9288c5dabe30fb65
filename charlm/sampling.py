"""From logits to text: choosing the next token, and writing with a model token by token.

Knows engines and token numbers; knows nothing about checkpoints or terminals.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from charlm.errors import OptionError
from charlm.inference import Array, Engine, Ids, State
from charlm.tokenizers import EOS, UNK, Tokenizer

WINDOW = 256  # tokens of a prompt that are read at once
DRAWS = 64  # random numbers of a text that are drawn at once
Sampler = Callable[[Array, npt.NDArray[np.float64]], Ids]


def never_written(tokenizer: Tokenizer, per_line: bool, allow_unk: bool = False) -> set[int]:
    """Tokens to forbid: <UNK>, unless allowed, and in a line the newline, whose place <EOS> has."""
    tokens = {tokenizer.newline} if per_line else set()
    return tokens - {UNK} if allow_unk else tokens | {UNK}


def make_sampler(
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    forbidden: Collection[int] = (),
) -> Sampler:
    """A function (logits (batch, vocabulary), uniform numbers (batch,)) → tokens (batch,).

    temperature divides the logits; 0 takes the likeliest token. top_k keeps the k likeliest,
    top_p the fewest that together reach probability p (Holtzman et al. 2020), min_p those at
    least min_p times as likely as the likeliest (Nguyen et al. 2024); several are applied in this
    order. Raises OptionError for values out of range.
    """
    if not 0 <= temperature < float("inf"):
        raise OptionError(f"--temperature: {temperature:g} cannot be used; give 0 or more")
    if top_k is not None and top_k < 1:
        raise OptionError(f"--top-k: {top_k} cannot be used; give 1 or more")
    for name, share in (("--top-p", top_p), ("--min-p", min_p)):
        if share is not None and not 0 < share <= 1:
            raise OptionError(f"{name}: {share:g} cannot be used; give more than 0, at most 1")
    never = np.array(sorted(forbidden), np.intp)

    def sample(logits: Array, uniforms: npt.NDArray[np.float64]) -> Ids:
        if len(never):
            logits = logits.copy()
            logits[:, never] = -np.inf
        if temperature == 0:
            greedy: Ids = np.argmax(logits, axis=1)
            return greedy
        scaled = (logits - logits.max(axis=1, keepdims=True)).astype(np.float64)
        weights = np.exp(scaled / max(temperature, 1e-300))
        if top_k is not None and top_k < weights.shape[1]:
            weights = _keep_likeliest(weights, top_k)
        if top_p is not None and top_p < 1:
            weights = _keep_nucleus(weights, top_p)
        if min_p is not None:
            weights[weights < min_p * weights.max(axis=1, keepdims=True)] = 0.0
        return _draw(weights, uniforms)

    return sample


def _keep_likeliest(weights: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    least = np.argpartition(-weights, count - 1, axis=1)[:, count:]
    np.put_along_axis(weights, least, 0.0, axis=1)
    return weights


def _keep_nucleus(weights: npt.NDArray[np.float64], share: float) -> npt.NDArray[np.float64]:
    order = np.argsort(-weights, axis=1, kind="stable")
    ordered = np.take_along_axis(weights, order, axis=1)
    before = np.cumsum(ordered, axis=1) - ordered
    ordered[before >= share * ordered.sum(axis=1, keepdims=True)] = 0.0
    np.put_along_axis(weights, order, ordered, axis=1)
    return weights


def _draw(weights: npt.NDArray[np.float64], uniforms: npt.NDArray[np.float64]) -> Ids:
    """One token a row with probability proportional to its weight, by the inverse of the sum."""
    sums = np.cumsum(weights, axis=1)
    tokens: Ids = (sums <= (uniforms * sums[:, -1])[:, None]).sum(axis=1)
    if tokens.max() == weights.shape[1]:  # rounding passed the last one
        last = weights.shape[1] - 1 - (weights[:, ::-1] > 0).argmax(axis=1)
        tokens = np.minimum(tokens, last)
    return tokens


def read_prompt(engine: Engine, prompt: Ids, batch: int) -> tuple[Array, State]:
    """Reads <EOS> and the prompt once; gives `batch` copies of the last logits and the state."""
    tokens = np.concatenate([np.array([EOS]), prompt.astype(np.intp)])[:, None]
    state = engine.initial_state(1)
    for at in range(0, len(tokens), WINDOW):
        logits, state = engine.logits(tokens[at : at + WINDOW], state)
    copies = np.zeros(batch, np.intp)
    return logits[-1][copies], [tuple(part[copies] for part in layer) for layer in state]


def generate(
    engine: Engine, sampler: Sampler, prompt: Ids, seeds: Sequence[Sequence[int]], length: int
) -> Iterator[Ids]:
    """Writes one text for each seed, all in one batch: yields the next token of each, (batch,).

    A text ends at <EOS>; what is yielded for it afterwards is <EOS> again. Ends when all texts
    have ended, or after `length` tokens. A text depends on its seed, not on its neighbours.
    """
    if length < 0:
        raise OptionError(f"--length: {length} cannot be used; give 0 or more")
    uniforms = _uniforms(seeds)
    logits, state = read_prompt(engine, prompt, len(seeds))
    rows = np.arange(len(seeds))  # the texts that have not ended
    for at in range(length):
        drawn = sampler(logits, next(uniforms)[rows])
        tokens = np.full(len(seeds), EOS)
        tokens[rows] = drawn
        yield tokens
        going = drawn != EOS
        if not going.all():
            rows, drawn = rows[going], drawn[going]
            state = [tuple(part[going] for part in layer) for layer in state]
        if not len(rows) or at == length - 1:
            return
        next_logits, state = engine.logits(drawn[None], state)
        logits = next_logits[0]


def _uniforms(seeds: Sequence[Sequence[int]]) -> Iterator[npt.NDArray[np.float64]]:
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
