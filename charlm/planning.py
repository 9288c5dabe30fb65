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

from charlm.config import ModelConfig, TrainConfig, check_value
from charlm.corpus import Tokens
from charlm.devices import device_of, has_bfloat16
from charlm.errors import OptionError

SIZES = (32, 48, 64, 96, 128, 192, 256, 384, 512, 640, 768, 896, 1024, 1280, 1536, 2048)
TOKENS_PER_PARAMETER = 4.5  # what the best model for a budget has seen when it is spent
PARAMETERS_PER_TOKEN = 8.0  # of the text, at most
TOKENS_PER_STEP = 1152  # of a step over lines, about, and of one where FEW_TOKENS are seen in all
FEW_TOKENS = 4e6
COUNTED = 512  # tokens of a vocabulary, at most, when parameters are counted to choose a size
WIDEST_EMBEDDING = 128  # of a small vocabulary
LARGE_VOCABULARY = 2_000  # from here on the softmax layer shares the embedding's weights
REACHED = 0.6  # the share of the measured matrix-product rate that training reaches
SLOWER = {  # how much less of it cells without a library's kernel reach
    "rnn": 2.2,
    "rnn-relu": 2.2,
    "gru-simple": 1.7,
    "gru-reset-before": 1.8,
    "gru": 1.7,
    "lstm": 1.0,
    "lstm-peephole": 1.75,
}
ROWS, FEW, SLOW = 1536, 8, 2.0  # of a product that is timed; seconds that are too many
WIDE = 512  # hidden size
REMEMBERED, REMEMBERED_STEPS = 1.5, 800  # passes over the text; steps at least, if unpressed
UNPRESSED, MOST_DROPOUT = 2.0, 0.5  # passes × parameters a token without dropout; its rate
TYPICAL_MINUTES = 3.0
BUDGETS = ("minutes", "epochs", "steps")


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
        """Times matrix products for some tens of milliseconds.

        Raises OptionError for a device that is not there, or not able to train in the precision.
        """
        threads = threads or _cores()
        torch.set_num_threads(threads)
        device = device_of(device)

        def rate(precision: str) -> float:
            return _product_rate(torch.device(device), getattr(torch, precision))

        if precision == "bfloat16" and not has_bfloat16(device):
            raise OptionError(
                "--precision bfloat16: this processor cannot train in it; give auto or float32"
            )
        if precision != "auto":
            return cls(device, precision, threads, rate(precision))
        full, half = rate("float32"), rate("bfloat16")
        if half > 1.3 * full:
            return cls(device, "bfloat16", threads, half)
        return cls(device, "float32", threads, full)


def _cores() -> int:
    """The cores this process may use; where the system does not say (macOS), those there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of (ROWS, 512) × (512, 2048), the best of several.

    Of a FEW rows where all of them would take seconds: a processor without instructions for
    bfloat16 is a hundred times slower in it.
    """
    weight = torch.ones(512, 2048, device=device, dtype=dtype)

    def seconds(rows: int, times: int) -> float:
        left, best = torch.ones(rows, 512, device=device, dtype=dtype), math.inf
        for _ in range(times):
            begun = time.perf_counter()
            float((left @ weight)[0, 0])
            best = min(best, time.perf_counter() - begun)
        return best

    few = seconds(FEW, 2)
    if few * ROWS / FEW > SLOW:
        return 2 * weight.numel() * FEW / few
    return 2 * weight.numel() * ROWS / seconds(ROWS, 6)


def plan(
    tokens: Tokens,
    vocabulary_size: int,
    machine: Machine,
    chosen: Mapping[str, Any],
) -> tuple[ModelConfig, TrainConfig]:
    """The two configurations: what the user chose, and for the rest what suits the budget.

    The number of parameters grows with the square root of the arithmetic that the budget allows
    (as in Hoffmann et al. 2022).
    chosen: fields of both configurations by name; None is not chosen. Raises OptionError for a
    value that cannot be used.
    """
    chosen = {name: value for name, value in chosen.items() if value is not None}
    fields = {**ModelConfig.__dataclass_fields__, **TrainConfig.__dataclass_fields__}
    for name, value in chosen.items():
        check_value(fields[name], value)
    if not any(name in chosen for name in BUDGETS):
        chosen["minutes"] = TYPICAL_MINUTES
    model = _model(tokens, vocabulary_size, machine, chosen)
    return model, _training(tokens, model, machine, chosen)


def _model(
    tokens: Tokens, vocabulary_size: int, machine: Machine, chosen: Mapping[str, Any]
) -> ModelConfig:
    """The model whose parameters come nearest to those wanted."""
    given = _fields(ModelConfig, chosen)
    sizes = [given["hidden_size"]] if "hidden_size" in given else SIZES
    if given.get("tie_weights") and "hidden_size" not in given and "embedding_size" in given:
        sizes = [given["embedding_size"]]

    def candidate(hidden_size: int) -> ModelConfig:
        embedding_size = given.get("embedding_size")
        fits = embedding_size in (None, hidden_size)
        tied = given.get("tie_weights", fits and vocabulary_size > LARGE_VOCABULARY)
        if embedding_size is None:
            embedding_size = hidden_size if tied else min(hidden_size, WIDEST_EMBEDDING)
        fixed = {"hidden_size": hidden_size, "embedding_size": embedding_size, "tie_weights": tied}
        return ModelConfig(
            **{"vocabulary_size": vocabulary_size, "per_line": tokens.per_line, **given, **fixed}
        )

    def size(model: ModelConfig) -> int:
        """Parameters, of a large vocabulary only some: most of its words are rare."""
        return _products(model) - max(0, vocabulary_size - COUNTED) * model.hidden_size

    wanted = _wanted(tokens, machine, chosen)
    return min(map(candidate, sizes), key=lambda model: abs(math.log(size(model) / wanted)))


def _products(model: ModelConfig) -> int:
    """Parameters that take part in a product at each token: all but the embedding, if not tied."""
    looked_up = 0 if model.tie_weights else model.vocabulary_size * model.embedding_size
    return model.parameters - looked_up


def _wanted(tokens: Tokens, machine: Machine, chosen: Mapping[str, Any]) -> float:
    """How many parameters the budget and the text can make use of."""
    if "minutes" in chosen:
        work = 60 * chosen["minutes"] * REACHED * machine.rate / SLOWER[chosen.get("cell", "lstm")]
        wanted = math.sqrt(work / 6 / TOKENS_PER_PARAMETER)
    elif "epochs" in chosen:
        wanted = chosen["epochs"] * tokens.events / TOKENS_PER_PARAMETER
    else:
        wanted = chosen["steps"] * TOKENS_PER_STEP / TOKENS_PER_PARAMETER
    return max(1.0, min(wanted, PARAMETERS_PER_TOKEN * tokens.events))


def _training(
    tokens: Tokens, model: ModelConfig, machine: Machine, chosen: Mapping[str, Any]
) -> TrainConfig:
    line = tokens.events / tokens.sequences if tokens.per_line else None  # tokens, in the mean
    few = _seen(tokens, model, machine, chosen, TOKENS_PER_STEP) < FEW_TOKENS
    batch_size, bptt = _window(line, model, few)
    made = {
        "batch_size": batch_size,
        "bptt": bptt,
        "learning_rate": _learning_rate(model),
        "precision": machine.precision,
        "threads": machine.threads,
        **_fields(TrainConfig, chosen),
    }
    length = min(line or math.inf, made["bptt"])
    step = min(made["batch_size"] * length, tokens.events)
    passes = _seen(tokens, model, machine, chosen, step) / tokens.events
    # Lines that are shorter than a window can be count for less: they are hardly told apart.
    pressure = _pressure(passes * model.parameters / tokens.events * length / made["bptt"])
    regular = {
        "dropout": _dropout(pressure),
        "weight_decay": _weight_decay(pressure, made["learning_rate"], tokens.events / step),
    }
    return TrainConfig(**{**regular, **made})


def _learning_rate(model: ModelConfig) -> float:
    """Larger steps for narrow layers, smaller for wide ones, the least for one gate or none."""
    if model.cell in ("rnn", "rnn-relu", "gru-simple"):
        return 0.003
    size = model.hidden_size
    return round(min(max(2.56 / size, 0.01), 0.02, 0.01 * math.sqrt(768 / size)), 4)


def _pressure(times: float) -> float:
    """How hard a text is learned by heart, from 1, not at all: by passes × parameters a token."""
    return max(times / UNPRESSED, 1.0)


def _dropout(pressure: float) -> float:
    return round(min(0.08 * math.log2(pressure), MOST_DROPOUT), 2)


def _weight_decay(pressure: float, learning_rate: float, steps: float) -> float:
    """So much that weights are averages over the steps of REMEMBERED passes over the text.

    AdamW's weights are moving averages of its steps, of 1 / (rate × decay) of them, and what suits
    a text is a number of passes, not of steps (Wang and Aitchison 2024, arXiv:2405.13698). Of
    fewer than REMEMBERED_STEPS they stay small, which suits only what is learned by heart.
    """
    least, most = 0.01, 0.5
    averaged = max(REMEMBERED * steps, REMEMBERED_STEPS / pressure)
    return float(f"{min(max(1 / (learning_rate * averaged), least), most):.2g}")


def _window(line: float | None, model: ModelConfig, few: bool) -> tuple[int, int]:
    """Batch size and BPTT: small windows for few tokens in all, for lines as many as make a step.

    On its way back each step of a window adds to the gradients of all recurrent weights, which
    of a wide layer no cache holds: then few steps of many rows are faster, and learn as much.
    """
    if line is not None:
        return min(256, max(16, round(TOKENS_PER_STEP / line / 8) * 8)), 128
    if few:
        return 24, 48
    return (64, 32) if model.hidden_size >= WIDE else (32, 64)


def _seen(
    tokens: Tokens,
    model: ModelConfig,
    machine: Machine,
    chosen: Mapping[str, Any],
    step: float,
) -> float:
    """About how many tokens the budget trains on, in steps of so many."""
    if "epochs" in chosen:
        return float(chosen["epochs"] * tokens.events)
    if "steps" in chosen:
        return float(chosen["steps"] * step)
    return float(60 * chosen["minutes"] * tokens_per_second(model, machine))


def tokens_per_second(model: ModelConfig, machine: Machine) -> float:
    """About how fast the machine trains the model: six operations a parameter and token."""
    return float(REACHED * machine.rate / SLOWER[model.cell] / (6 * _products(model)))


def _fields(cls: type[Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the chosen values that are the configuration's."""
    names = {field.name for field in dataclasses.fields(cls)}
    return {name: value for name, value in chosen.items() if name in names}
