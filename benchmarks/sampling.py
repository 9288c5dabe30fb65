"""One stream beside the usual torch loop and the bandwidth limit; many streams at once."""

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.harness import Row, alternate, seconds
from charlm.bulk import TorchEngine
from charlm.config import ModelConfig
from charlm.inference import Engine, NumpyEngine
from charlm.sampling import generate, make_sampler

CONFIG = ModelConfig(vocabulary_size=67, layers=2, hidden_size=512, embedding_size=64)
STEPS = 300
NO_PROMPT = np.zeros(0, np.intp)


def run() -> list[Row]:
    """Microseconds a step of one stream; characters a second of a thousand."""
    weights = random_weights(CONFIG)
    numpy_engine = NumpyEngine(CONFIG, weights)
    ours, torchs, limit = alternate(
        7, lambda: _step(numpy_engine), _torch_loop(CONFIG), lambda: _read(weights)
    )
    engine = TorchEngine.of(CONFIG, weights)
    (many,) = alternate(3, lambda: 1000 * 40 / seconds(lambda: _write(engine, 1000, 40)))
    return [
        Row(
            "one stream, 2 × 512, a step of sampling",
            "µs",
            "15 times the torch loop",
            f"{torchs} torch.nn.LSTM",
            str(ours),
            torchs.median / ours.median,
            torchs.median >= 15 * ours.median,
        ),
        Row(
            "the same beside reading the weights once",
            "µs",
            "70 % of the bandwidth",
            f"{limit} reading",
            str(ours),
            limit.median / ours.median,
            limit.median >= 0.7 * ours.median,
        ),
        Row(
            "1,000 sequences at once, 2 × 512",
            "characters/s",
            "60,000",
            "–",
            str(many),
            many.median / 60_000,
            many.median >= 60_000,
        ),
    ]


def random_weights(config: ModelConfig) -> dict[str, np.ndarray]:
    """Small random weights in which <EOS> is never drawn."""
    random = np.random.default_rng(1)
    weights = {
        name: (0.05 * random.standard_normal(shape)).astype(np.float32)
        for name, shape in config.weight_shapes().items()
    }
    weights["output.bias"][0] = -1e4
    return weights


def _write(engine: Engine, count: int, length: int) -> None:
    sampler = make_sampler(1.0, forbidden=[1])
    seeds = [[1, number] for number in range(count)]
    written = sum(1 for _ in generate(engine, sampler, NO_PROMPT, seeds, length))
    assert written == length


def _step(engine: Engine) -> float:
    return seconds(lambda: _write(engine, 1, STEPS)) / STEPS * 1e6


def _torch_loop(config: ModelConfig) -> Callable[[], float]:
    """What a user would write: embedding, nn.LSTM, linear, softmax, multinomial, step by step."""
    embedding = torch.nn.Embedding(config.vocabulary_size, config.embedding_size)
    lstm = torch.nn.LSTM(config.embedding_size, config.hidden_size, config.layers)
    linear = torch.nn.Linear(config.hidden_size, config.vocabulary_size)

    @torch.inference_mode()
    def write() -> None:
        token, state = torch.zeros(1, 1, dtype=torch.long), None
        for _ in range(STEPS // 3):
            hidden, state = lstm(embedding(token), state)
            token = torch.multinomial(torch.softmax(linear(hidden[-1]), -1), 1)

    return lambda: seconds(write) / (STEPS // 3) * 1e6


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
