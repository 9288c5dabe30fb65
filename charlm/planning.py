"""What to train when the user says only the text and the time: sizes, rates and batches.

The rules below come from measurements (benchmarks/LOG.md). Knows the corpus's size and kind and
the machine's speed; knows nothing about the command line.
"""

import dataclasses
import math
import os
import time
from collections.abc import Mapping
from typing import Any

import torch

from charlm.config import GATES, LARGEST, ModelConfig, TrainConfig
from charlm.corpus import Tokens

SIZES = [32, 48, 64, 96, 128, 192, 256, 384, 512, 640, 768, 1024, 1536, 2048]
TOKENS_PER_PARAMETER = 4.0  # of a budget in time: what the best model of that time has seen
REACHED = 0.4  # the share of the measured matrix-product rate that training reaches
SLOWER = {  # cells without a fused kernel reach less of it
    "rnn": 1.5,
    "rnn-relu": 1.5,
    "gru-simple": 1.5,
    "gru-reset-before": 1.5,
    "gru": 1.5,
    "lstm": 1.0,
    "lstm-peephole": 1.5,
}
TYPICAL_MINUTES = 3.0


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a short probe finds: device, precision, threads and floating-point operations/s."""

    device: str
    precision: str
    threads: int
    rate: float

    @classmethod
    def probe(
        cls, device: str = "auto", precision: str = "auto", threads: int | None = None
    ) -> "Machine":
        """Times matrix products in both precisions for some tens of milliseconds."""
        threads = threads or _cores()
        torch.set_num_threads(threads)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        rates = {
            name: _product_rate(torch.device(device), getattr(torch, name))
            for name in ("float32", "bfloat16")
        }
        if precision == "auto":
            precision = "bfloat16" if rates["bfloat16"] > 1.3 * rates["float32"] else "float32"
        return cls(device, precision, threads, rates[precision])


def _cores() -> int:
    """The cores this process may use; where the system does not say (macOS), those there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of (1536, 512) × (512, 2048), the best of several."""
    a = torch.ones(1536, 512, device=device, dtype=dtype)
    b = torch.ones(512, 2048, device=device, dtype=dtype)
    best = math.inf
    for _ in range(6):
        begun = time.perf_counter()
        float((a @ b)[0, 0])
        best = min(best, time.perf_counter() - begun)
    return 2 * 1536 * 512 * 2048 / best


def plan(
    tokens: Tokens,
    vocabulary_size: int,
    machine: Machine,
    chosen: Mapping[str, Any],
) -> tuple[ModelConfig, TrainConfig]:
    """The two configurations: what the user chose, and for the rest what suits the budget.

    The number of parameters grows with the square root of the arithmetic that the budget allows
    (as in Hoffmann et al. 2022), and dropout with the logarithm of the passes over the text.
    """
    chosen = dict(chosen)
    if not any(chosen.get(name) for name in ("minutes", "epochs", "steps")):
        chosen["minutes"] = TYPICAL_MINUTES
    model = _model(tokens, vocabulary_size, machine, chosen)
    training = _training(tokens, model, machine, chosen)
    return model, training


def _pick(cls: type[Any], chosen: Mapping[str, Any], defaults: Mapping[str, Any]) -> Any:
    names = {field.name for field in dataclasses.fields(cls)}
    given = {k: v for k, v in chosen.items() if k in names and v is not None}
    return cls(**{**defaults, **given})


def _model(
    tokens: Tokens, vocabulary_size: int, machine: Machine, chosen: Mapping[str, Any]
) -> ModelConfig:
    cell = chosen.get("cell") or "lstm"
    layers = chosen.get("layers") or 1
    many = vocabulary_size > 2_000
    if chosen.get("minutes"):
        work = 60 * chosen["minutes"] * REACHED * machine.rate / SLOWER[cell]
        wanted = math.sqrt(work / 6 / TOKENS_PER_PARAMETER)
    else:
        passes = chosen.get("epochs") or 10.0
        wanted = tokens.events * passes / TOKENS_PER_PARAMETER
    wanted = min(wanted, 4.0 * tokens.events + 20_000)

    def parameters(size: int) -> int:
        rows = GATES[cell] * size
        return layers * rows * 2 * size + vocabulary_size * size

    hidden = chosen.get("hidden_size") or min(
        SIZES, key=lambda size: abs(math.log(parameters(size) / wanted))
    )
    tied = chosen.get("tie_weights")
    tied = many if tied is None else tied
    embedding = hidden if tied else min(hidden, 64 if vocabulary_size <= 512 else 256)
    defaults = {
        "vocabulary_size": vocabulary_size,
        "hidden_size": hidden,
        "embedding_size": embedding,
        "tie_weights": tied and chosen.get("embedding_size") in (None, hidden),
        "per_line": tokens.per_line,
    }
    return _pick(ModelConfig, {**chosen, "tie_weights": None}, defaults)  # type: ignore[no-any-return]


def _training(
    tokens: Tokens, model: ModelConfig, machine: Machine, chosen: Mapping[str, Any]
) -> TrainConfig:
    batch_size, bptt = (32, 64) if (chosen.get("minutes") or 9) > 2 else (24, 48)
    if tokens.per_line:
        length = tokens.characters / max(1, tokens.events) * 40
        batch_size, bptt = 64 if length < 60 else 32, 128
    batch_size = min(chosen.get("batch_size") or batch_size, LARGEST)
    passes = _passes(tokens, model, machine, chosen, batch_size * (chosen.get("bptt") or bptt))
    defaults = {
        "batch_size": batch_size,
        "bptt": bptt,
        "dropout": round(min(0.6, max(0.0, 0.1 * math.log2(max(passes, 1.0)))), 2),
        "weight_decay": 0.05 if passes < 12 else 0.1,
        "precision": machine.precision,
        "threads": machine.threads,
    }
    return _pick(TrainConfig, chosen, defaults)  # type: ignore[no-any-return]


def _passes(
    tokens: Tokens,
    model: ModelConfig,
    machine: Machine,
    chosen: Mapping[str, Any],
    tokens_per_step: int,
) -> float:
    """About how often the budget goes over the text."""
    if chosen.get("epochs"):
        return float(chosen["epochs"])
    if chosen.get("steps"):
        return float(chosen["steps"] * tokens_per_step / tokens.events)
    return float(60 * chosen["minutes"] * tokens_per_second(model, machine) / tokens.events)


def tokens_per_second(model: ModelConfig, machine: Machine) -> float:
    """About how fast the machine trains the model."""
    work = 6 * (model.parameters - model.vocabulary_size * model.embedding_size)
    return float(REACHED * machine.rate / SLOWER[model.cell] / work)
