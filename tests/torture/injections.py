"""NaN and infinity in weights, gradients and losses: undone, told once, never kept."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from conftest import corpus_of, fixed_machine
from torch import Tensor

from charlm.checkpoint import load, save
from charlm.run import Run, begin

STEPS = 40
CHOSEN = {
    "hidden_size": 8,
    "embedding_size": 4,
    "batch_size": 3,
    "bptt": 8,
    "steps": STEPS,
    "patience": STEPS,
}


def into_weights(run: Run, value: float, draw: random.Random) -> None:
    """One weight, between two steps."""
    weights = draw.choice(list(run.training.model.parameters())).view(-1)
    with torch.no_grad():
        weights[draw.randrange(len(weights))] = value


def into_gradients(run: Run, value: float, draw: random.Random) -> None:
    """One gradient of the next step."""
    parameter = draw.choice(list(run.training.model.parameters()))

    def poison(gradient: Tensor) -> Tensor:
        handle.remove()
        gradient = gradient.clone()
        gradient.view(-1)[0] = value
        return gradient

    handle = parameter.register_hook(poison)


def into_loss(run: Run, value: float, draw: random.Random) -> None:
    """The next step's logits, and so its loss."""
    del draw

    def poison(module: Any, given: Any, made: Any) -> Any:
        del module, given
        handle.remove()
        return made[0] + value, made[1]

    handle = run.training.model.register_forward_hook(poison)


WAYS: tuple[Callable[[Run, float, random.Random], None], ...] = (
    into_weights,
    into_gradients,
    into_loss,
)


def injections(injected: int, healthy: int, folder: Path) -> tuple[int, list[str]]:
    """So many runs with one fault each, which is told once; and so many without, and no alarm."""
    draw, failures = random.Random(1), []
    for number in range(injected + healthy):
        way = WAYS[number % len(WAYS)]
        when = draw.randrange(1, STEPS - 4) if number < injected else STEPS + 1
        value = draw.choice([math.nan, math.inf, -math.inf])
        corpus = corpus_of("The cat was full.\n" * 30)
        run = begin(corpus, fixed_machine(), {**CHOSEN, "seed": number})
        for _ in run.training.run():  # which tells of some steps, not of each
            if run.training.place["step"] >= when:
                way(run, value, draw)
                when = STEPS + 1
            save(folder / "model", run.checkpoint())
        load(folder / "model")
        if run.training.place["failures"] != (number < injected):
            told = run.training.place["failures"]
            failures.append(f"{way.__name__}, {value}, run {number}: {told} failures told")
    return injected + healthy, failures
