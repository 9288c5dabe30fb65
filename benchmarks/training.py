"""Training beside the plain torch loop and beside the rate of its matrix products alone."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.harness import Row, Spread, alternate, seconds
from charlm.config import ModelConfig, TrainConfig
from charlm.corpus import Corpus, Tokens
from charlm.model import LanguageModel
from charlm.planning import Machine
from charlm.tokenizers import train_tokenizer
from charlm.training import Training

BATCH, BPTT, VOCABULARY = 32, 64, 67
STEPS = 8
GOALS = {("lstm", 1): 2.5, ("lstm", 2): 2.5, ("gru", 1): 3.0}


def run() -> list[Row]:
    """Characters a second for each network, and the share of the product rate at 1 × 512."""
    machine = Machine.probe()
    rows = [_against_plain(machine, cell, layers) for cell, layers in GOALS]
    return [_against_products(machine), *rows]


def _corpus() -> Corpus:
    ids = np.random.default_rng(1).integers(2, VOCABULARY, 200_000).astype(np.uint8)
    tokens = Tokens(ids, len(ids), len(ids), per_line=False)
    return Corpus("random", train_tokenizer("characters", ["random"]), tokens, tokens)


def _ours(machine: Machine, cell: str, layers: int) -> Callable[[], float]:
    config = TrainConfig(
        steps=10**6,
        batch_size=BATCH,
        bptt=BPTT,
        dropout=0.2,
        precision=machine.precision,
        threads=machine.threads,
    )
    model = LanguageModel(ModelConfig(VOCABULARY, cell, layers, 512, 64))
    run = Training(model, _corpus(), config).run()
    steps = iter(run)

    def some() -> float:
        """Characters a second over some steps, reports and validations left out by count."""
        training = run.gi_frame.f_locals["self"]
        place = training.place
        begun = place["step"]
        spent = seconds(lambda: next(steps))
        return (place["step"] - begun) * BATCH * BPTT / spent

    return some


def _plain(cell: str, layers: int) -> Callable[[], float]:
    """What a user would write: the usual example, in float32 with Adam."""
    torch.manual_seed(1)
    network = nn.ModuleDict(
        {
            "embedding": nn.Embedding(VOCABULARY, 64),
            "recurrent": {"lstm": nn.LSTM, "gru": nn.GRU}[cell](
                64, 512, layers, dropout=0.2 * (layers > 1)
            ),
            "output": nn.Linear(512, VOCABULARY),
        }
    )
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    tokens = torch.randint(2, VOCABULARY, (BPTT + 1, BATCH))

    def steps() -> None:
        state = None
        for _ in range(STEPS):
            hidden, state = network["recurrent"](network["embedding"](tokens[:-1]), state)
            loss = functional.cross_entropy(
                network["output"](hidden).flatten(0, 1), tokens[1:].flatten()
            )
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            state = tuple(p.detach() for p in state) if cell == "lstm" else state.detach()

    return lambda: STEPS * BATCH * BPTT / seconds(steps)


def _against_plain(machine: Machine, cell: str, layers: int) -> Row:
    ours, plain = alternate(5, _ours(machine, cell, layers), _plain(cell, layers))
    goal = GOALS[cell, layers]
    return Row(
        f"training {layers} × 512 {cell.upper()}, batch {BATCH}, BPTT {BPTT}",
        "characters/s",
        f"{goal} times the plain loop",
        str(plain),
        str(ours),
        ours.median / plain.median,
        ours.median >= goal * plain.median,
    )


def _against_products(machine: Machine) -> Row:
    """The share of the rate of one product of all steps' gates at once."""
    dtype = getattr(torch, machine.precision)
    a, b = torch.ones(BATCH * BPTT, 512, dtype=dtype), torch.ones(512, 2048, dtype=dtype)
    work = 2 * BATCH * BPTT * 512 * 2048

    def product() -> float:
        return 20 * work / seconds(lambda: [a @ b for _ in range(20)]) / 1e9

    ours, rate = alternate(5, _ours(machine, "lstm", 1), product)
    per_character = 6 * (2048 * (64 + 512) + VOCABULARY * 512) / 1e9
    reached = Spread(*(value * per_character for value in (ours.low, ours.median, ours.high)))
    return Row(
        f"training 1 × 512 LSTM in {machine.precision}, share of the product rate",
        "GFLOP/s",
        "60 %",
        str(rate),
        str(reached),
        reached.median / rate.median,
        reached.median >= 0.6 * rate.median,
    )
