"""charlm's own training loop on random tokens: its speed alone, nothing read or validated."""

import math
import time
from collections.abc import Callable

import numpy as np
import torch

from charlm.config import ModelConfig, TrainConfig
from charlm.corpus import Corpus, Tokens
from charlm.model import LanguageModel
from charlm.tokenizers import train_tokenizer
from charlm.training import Training

VOCABULARY, EMBEDDING = 67, 64
LEAST = 0.3  # seconds of one measurement
FORWARD_AND_BACKWARD = 3  # the way back has two products for each one of the way forward


def network(cell: str, layers: int, hidden_size: int) -> ModelConfig:
    """A character model of that size."""
    return ModelConfig(VOCABULARY, cell, layers, hidden_size, EMBEDDING)


def operations(model: ModelConfig) -> int:
    """Floating-point operations of the matrix products of one token, forward."""
    products = (
        math.prod(shape)
        for name, shape in model.weight_shapes().items()
        if "weight" in name and name != "embedding.weight"  # which is looked up
    )
    return 2 * sum(products)


def _corpus(events: int) -> Corpus:
    ids = np.random.default_rng(1).integers(2, VOCABULARY, events + 1).astype(np.uint8)
    tokens = Tokens(ids, events, events, per_line=False)
    return Corpus("random", train_tokenizer("characters", ["random"]), tokens, tokens)


def trainer(
    model: ModelConfig,
    batch: int,
    bptt: int,
    precision: str,
    threads: int,
    *,
    device: str = "cpu",
    least: float = LEAST,
) -> Callable[[], float]:
    """A function that trains on for at least so many seconds and gives characters a second."""
    config = TrainConfig(
        steps=10**8,  # so that no validation comes
        batch_size=batch,
        bptt=bptt,
        dropout=0.2,
        precision=precision,
        threads=threads,
    )
    training = Training(
        LanguageModel(model).to(device), _corpus(max(200_000, 8 * batch * bptt)), config
    )
    records = training.run()

    def some() -> float:
        before, begun = training.place["step"], time.perf_counter()
        while True:
            next(records)
            if device == "cuda":
                torch.cuda.synchronize()
            spent = time.perf_counter() - begun
            if spent >= least:
                return float((training.place["step"] - before) * batch * bptt / spent)

    return some
