"""One stream beside the usual torch loop and the bandwidth limit; many streams at once."""

from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.harness import Row, alternate, seconds
from charlm.bulk import TorchEngine
from charlm.config import ModelConfig
from charlm.inference import Engine, NumpyEngine
from charlm.sampling import Sampler, generate

CONFIG = ModelConfig(vocabulary_size=67, layers=2, hidden_size=512, embedding_size=64)
STEPS = 300  # of one stream
MANY, LENGTH = 1000, 40
RUNS = 7
FASTER, SHARE, TOGETHER = 15, 0.7, 60_000
NO_PROMPT = np.zeros(0, np.intp)


def run(config: ModelConfig = CONFIG, count: int = MANY, runs: int = RUNS) -> Iterator[Row]:
    """Microseconds a step of one stream; characters a second of a thousand."""
    weights, size = random_weights(config), f"{config.layers} × {config.hidden_size}"
    numpy_engine = NumpyEngine(config, weights)
    ours, plain, limit = alternate(
        runs,
        lambda: _step(numpy_engine),
        lambda: 1e6 / _torch_rate(config, 1, STEPS // 3),
        lambda: _read(weights),
    )
    yield Row(
        f"one stream, {size}, a step of sampling",
        "µs",
        f"{FASTER} times the torch loop",
        f"{plain} torch.nn.LSTM",
        str(ours),
        plain.median / ours.median,
        plain.median >= FASTER * ours.median,
    )
    yield Row(
        "the same beside reading the weights once",
        "µs",
        f"{SHARE:.0%} of the bandwidth",
        f"{limit} reading",
        str(ours),
        limit.median / ours.median,
        limit.median >= SHARE * ours.median,
    )
    yield _many(TorchEngine.of(config, weights), size, count, max(3, runs // 2))


def _many(engine: Engine, size: str, count: int, runs: int) -> Row:
    rate, plain = alternate(
        runs,
        lambda: count * LENGTH / seconds(lambda: write(engine, count, LENGTH)),
        lambda: _torch_rate(engine.config, count, LENGTH),
    )
    return Row(
        f"{count:,} sequences at once, {size}",
        "characters/s",
        f"{TOGETHER:,}",
        f"{plain} torch.nn.LSTM",
        str(rate),
        rate.median / TOGETHER,
        rate.median >= TOGETHER,
    )


def random_weights(config: ModelConfig) -> dict[str, np.ndarray]:
    """Small random weights in which <EOS> is never drawn."""
    random = np.random.default_rng(1)
    weights = {
        name: (0.05 * random.standard_normal(shape)).astype(np.float32)
        for name, shape in config.weight_shapes().items()
    }
    weights["output.bias"][0] = -1e4
    return weights


def write(engine: Engine, count: int, length: int) -> None:
    """As many texts at once, none of which ends before its length."""
    sampler = Sampler(1.0, forbidden=[1])
    seeds = [[1, number] for number in range(count)]
    written = sum(1 for _ in generate(engine, sampler, NO_PROMPT, seeds, length))
    assert written == length


def _step(engine: Engine) -> float:
    return seconds(lambda: write(engine, 1, STEPS)) / STEPS * 1e6


def _torch_rate(config: ModelConfig, count: int, steps: int) -> float:
    """Characters a second of what a user would write, step by step.

    Embedding, nn.LSTM, linear layer, softmax, multinomial; making them is not counted.
    """
    embedding = torch.nn.Embedding(config.vocabulary_size, config.embedding_size)
    lstm = torch.nn.LSTM(config.embedding_size, config.hidden_size, config.layers)
    linear = torch.nn.Linear(config.hidden_size, config.vocabulary_size)

    @torch.inference_mode()
    def some() -> None:
        token, state = torch.zeros(1, count, dtype=torch.long), None
        for _ in range(steps):
            hidden, state = lstm(embedding(token), state)
            token = torch.multinomial(torch.softmax(linear(hidden[-1]), -1), 1).T

    return count * steps / seconds(some)


def _read(weights: dict[str, np.ndarray]) -> float:
    """Reading every recurrent weight once, in matrix-vector products that do nothing else."""
    big = [
        weights[name] for name in weights if name.startswith("rnn.weight") and "ih_l0" not in name
    ]
    vectors = [np.ones(matrix.shape[1], np.float32) for matrix in big]

    def read() -> None:
        for _ in range(STEPS):
            for matrix, vector in zip(big, vectors, strict=True):
                matrix @ vector

    return seconds(read) / STEPS * 1e6
