"""What a model writes at each of several temperatures: how unsure it is, how much is new.

Knows models and corpora; knows nothing about how the figures are drawn.
"""

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from charlm.api import Model
from charlm.inference import Array, Ids
from charlm.novelty import Novelty
from charlm.sampling import Sampler, generate, never_written
from charlm.text import Text
from charlm.tokenizers import EOS

Floats = npt.NDArray[np.float64]
LENGTH = 2_000  # tokens written at a temperature
LINES = 200  # that a per-line model writes instead


@dataclasses.dataclass(frozen=True)
class Written:
    """Texts written at one temperature.

    entropy: bits per character of the distributions that their tokens were drawn from.
    """

    temperature: float
    texts: list[str]
    entropy: float
    novelty: Novelty | None


def samples_at(
    model: Model, temperatures: Sequence[float], seed: int, corpus: Text | None = None
) -> list[Written]:
    """At each temperature 200 lines of a per-line model, else 2,000 tokens."""
    return [write(model, value, seed, LINES, LENGTH, corpus) for value in temperatures]


def write(
    model: Model,
    temperature: float,
    seed: int,
    lines: int,
    length: int,
    corpus: Text | None = None,
) -> Written:
    """So many lines of at most `length` tokens or, of a model of files, so many tokens in all.

    Where its files are short these are several texts: each ends where a file would.
    """
    forbidden = never_written(model.tokenizer, model.per_line)
    draw = Sampler(temperature, forbidden=forbidden)
    bits: list[Floats] = []

    def sampler(logits: Array, uniforms: Floats) -> Ids:
        bits.append(entropies(logits, temperature, forbidden))
        return draw(logits, uniforms)

    def texts_of(numbers: Sequence[int], length: int) -> list[Ids]:
        seeds = [[seed, number] for number in numbers]
        steps = list(generate(model.engine, sampler, model.encode(""), seeds, length))
        return list(np.array(steps).reshape(-1, len(numbers)).T)

    found = texts_of(range(lines), length) if model.per_line else []
    while not model.per_line and (left := length - sum(map(len, found))) > 0:
        found += texts_of([len(found)], left)
    texts = [model.tokenizer.decode(tokens[tokens != EOS].tolist()) for tokens in found]
    ended = sum(int(EOS in tokens) for tokens in found)
    characters = max(1, sum(map(len, texts)) + ended)  # an end is an event as a character is
    entropy = float(sum(part.sum() for part in bits)) / characters
    novelty = Novelty.of(texts, corpus, model.per_line) if corpus else None
    return Written(temperature, texts, entropy, novelty)


def entropies(logits: Array, temperature: float, forbidden: Collection[int]) -> Floats:
    """−Σ p log2 p of softmax(logits / temperature) without the forbidden, one for each row.

    >>> entropies(np.zeros((1, 6), np.float32), 1.0, [1]).tolist()  # four characters and <EOS>
    [2.321928094887362]
    """
    if temperature == 0:
        return np.zeros(len(logits))
    scaled = np.delete(logits.astype(np.float64), sorted(forbidden), axis=1) / max(
        temperature, 1e-300
    )
    scaled -= scaled.max(axis=1, keepdims=True)
    weights = np.exp(scaled)
    total = weights.sum(axis=1)
    nats: Floats = np.log(total) - (weights * np.where(weights > 0, scaled, 0)).sum(axis=1) / total
    bits: Floats = nats / np.log(2)
    return bits
