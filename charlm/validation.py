"""Measuring a model while it trains, on text that it does not learn from.

Knows nothing about optimisers.
"""

import math
from collections.abc import Callable

import numpy as np

from charlm.bulk import TorchEngine
from charlm.config import TrainConfig
from charlm.corpus import Tokens, places_of
from charlm.errors import OverflowingError
from charlm.inference import Array, Ids, State
from charlm.model import LanguageModel
from charlm.scoring import evaluate
from charlm.tokenizers import EOS

STREAMS, MANY_STREAMS = 32, 256  # side by side: on a CPU, on a GPU
VALIDATIONS = 40  # at most, in a run
COST = 0.03  # at most this share of a time budget
VALIDATED = 0.5  # tokens, at most, for each one that is trained on, where steps or epochs are given
MOST_EVENTS = 2**18  # of a longer text the beginning is used


class Validation:
    """The text, and how many `events` (predictions) of it are measured."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = _beginning(tokens)
        self.events = self._tokens.events

    def nats(
        self, model: LanguageModel, precision: str, stopping: Callable[[], bool]
    ) -> float | None:
        """Nats per token, nan if they are not finite; None if `stopping` says so before the end."""
        engine = _Interruptible(model, precision, stopping)
        streams = STREAMS if model.output.bias.device.type == "cpu" else MANY_STREAMS
        try:
            return evaluate(engine, self._tokens, streams).nats_per_token
        except _Stopped:
            return None
        except OverflowingError:
            return math.nan

    def interval(self, config: TrainConfig, seconds: float, windows: int, events: int) -> float:
        """The share of the budget between two validations, more where one takes long.

        seconds: what the last one took. windows, events: of the text to train on.
        """
        if config.minutes is not None:  # otherwise the sizes tell
            cost = seconds / (config.minutes * 60) / COST
        else:
            epochs = config.epochs or (config.steps or 1) / windows
            cost = self.events / (epochs * events) / VALIDATED
        return min(max(1 / VALIDATIONS, float(cost)), 1.0)


class _Stopped(Exception):
    """The measurement was given up."""


class _Interruptible(TorchEngine):
    """An engine that gives up between two windows."""

    def __init__(self, model: LanguageModel, precision: str, stopping: Callable[[], bool]) -> None:
        super().__init__(model, precision)
        self._stopping = stopping

    def nats(self, tokens: Ids, targets: Ids, state: State) -> tuple[Array, State]:
        if self._stopping():
            raise _Stopped
        return super().nats(tokens, targets, state)


def _beginning(tokens: Tokens) -> Tokens:
    """The tokens, or their beginning where they are many."""
    if tokens.events <= MOST_EVENTS:
        return tokens
    last = MOST_EVENTS
    if tokens.per_line:  # whole lines, at least one
        ends = places_of(EOS, tokens.ids)
        last = int(ends[max(1, np.searchsorted(ends, last, side="right") - 1)])
    return Tokens(tokens.ids[: last + 1], 0, 0, tokens.per_line)
