"""Scoring in bulk: a long file with streams, and lines of mixed length beside equal ones."""

from functools import partial

import numpy as np
import torch

from benchmarks.harness import Row, alternate, seconds
from benchmarks.sampling import random_weights
from charlm.bulk import TorchEngine
from charlm.config import ModelConfig
from charlm.corpus import Tokens
from charlm.inference import Ids
from charlm.scoring import evaluate, sequence_nats

CONFIG = ModelConfig(vocabulary_size=67, layers=1, hidden_size=512, embedding_size=64)
EVENTS = 400_000
WORK = 2 * (2048 * (64 + 512) + 67 * 512)  # floating-point operations a token
MEAN_LENGTH = 40


def run() -> list[Row]:
    """Tokens a second in float32, as a share of the rate of a product of the same shape."""
    engine = TorchEngine.of(CONFIG, random_weights(CONFIG))
    random = np.random.default_rng(1)
    ids = random.integers(2, 67, EVENTS + 1)
    tokens = Tokens(ids, EVENTS, EVENTS, per_line=False)
    equal = [random.integers(2, 67, MEAN_LENGTH + 1) for _ in range(EVENTS // MEAN_LENGTH)]
    lengths = np.clip(random.geometric(1 / MEAN_LENGTH, EVENTS // MEAN_LENGTH), 1, 400)
    mixed = [random.integers(2, 67, length + 1) for length in lengths]
    streams, alike, unlike, rate = alternate(
        3,
        lambda: EVENTS / seconds(partial(evaluate, engine, tokens, 128)),
        lambda: _rate(engine, equal),
        lambda: _rate(engine, mixed),
        _product_rate,
    )
    possible = rate.median / WORK
    return [
        Row(
            "eval, 128 streams, 1 × 512, float32",
            "tokens/s",
            "60 % of the product rate",
            f"{possible:.4g} at the product rate",
            str(streams),
            streams.median / possible,
            streams.median >= 0.6 * possible,
        ),
        Row(
            "score -f, lines of mixed length beside equal ones",
            "tokens/s",
            "85 %",
            str(alike),
            str(unlike),
            unlike.median / alike.median,
            unlike.median >= 0.85 * alike.median,
        ),
    ]


def _rate(engine: TorchEngine, sequences: list[Ids]) -> float:
    tokens = sum(len(sequence) - 1 for sequence in sequences)
    return tokens / seconds(partial(sequence_nats, engine, sequences))


def _product_rate() -> float:
    """Operations a second of a linear layer of the same shape, in float32."""
    layer, inputs = torch.nn.Linear(576, 2048), torch.ones(4096, 576)
    with torch.inference_mode():
        return 10 * 2 * 4096 * 576 * 2048 / seconds(lambda: [layer(inputs) for _ in range(10)])
