"""Training beside the plain torch loop and beside the rate of its matrix products alone."""

from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.nn import functional

from benchmarks.harness import Row, alternate, seconds
from benchmarks.products import best, ways
from benchmarks.trainer import (
    EMBEDDING,
    FORWARD_AND_BACKWARD,
    LEAST,
    VOCABULARY,
    network,
    operations,
    trainer,
)
from charlm.planning import Machine

BATCH, BPTT, HIDDEN = 32, 64, 512
STEPS = 8
RUNS = 7
GOALS = {("lstm", 1): 2.5, ("lstm", 2): 2.5, ("gru", 1): 3.0}
SHARE = 0.6


def run(hidden: int = HIDDEN, runs: int = RUNS, least: float = LEAST) -> Iterator[Row]:
    """Characters a second for each network, and the share of the product rate of one layer."""
    machine = Machine.probe("cpu")

    def ours(cell: str, layers: int) -> Callable[[], float]:
        model = network(cell, layers, hidden)
        return trainer(model, BATCH, BPTT, machine.precision, machine.threads, least=least)

    yield _against_products(ours("lstm", 1), machine.precision, hidden, runs)
    for cell, layers in GOALS:
        yield _against_plain(ours(cell, layers), cell, layers, hidden, runs)


def _plain(cell: str, layers: int, hidden_size: int) -> Callable[[], float]:
    """What a user would write: the usual example, in float32 with Adam."""
    torch.manual_seed(1)
    network = nn.ModuleDict(
        {
            "embedding": nn.Embedding(VOCABULARY, EMBEDDING),
            "recurrent": {"lstm": nn.LSTM, "gru": nn.GRU}[cell](
                EMBEDDING, hidden_size, layers, dropout=0.2 * (layers > 1)
            ),
            "output": nn.Linear(hidden_size, VOCABULARY),
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
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            state = tuple(p.detach() for p in state) if cell == "lstm" else state.detach()

    return lambda: STEPS * BATCH * BPTT / seconds(steps)


def _against_plain(
    trained: Callable[[], float], cell: str, layers: int, hidden: int, runs: int
) -> Row:
    ours, plain = alternate(runs, trained, _plain(cell, layers, hidden))
    goal = GOALS[cell, layers]
    return Row(
        f"training {layers} × {hidden} {cell.upper()}, batch {BATCH}, BPTT {BPTT}",
        "characters/s",
        f"{goal} times the plain loop",
        f"{plain} plain loop",
        str(ours),
        ours.median / plain.median,
        ours.median >= goal * plain.median,
    )


def _against_products(trained: Callable[[], float], precision: str, hidden: int, runs: int) -> Row:
    """The share of the rate of one product of all steps' gates at once."""
    ours, *rates = alternate(runs, trained, *ways(BATCH * BPTT, hidden, 4 * hidden, precision))
    rate = best(rates).times(1e-9)
    model = network("lstm", 1, hidden)
    reached = ours.times(FORWARD_AND_BACKWARD * operations(model) * 1e-9)
    return Row(
        f"training 1 × {hidden} LSTM in {precision}, share of the product rate",
        "GFLOP/s",
        f"{SHARE:.0%}",
        f"{rate} product",
        str(reached),
        reached.median / rate.median,
        reached.median >= SHARE * rate.median,
    )
