"""What a training says of itself while it runs: records, and the sums that they are made of.

Knows neither models nor texts, nor how a record is shown.
"""

import dataclasses
import time
from typing import Any


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a training stands; train_nats, gradient_norm and clipped are means of the last steps.

    steps: how many since the last record; if none, the means are that record's. Losses are in nats
    per token; valid_nats is None except right after a validation.
    """

    step: int
    steps: int
    epoch: float
    seconds: float
    fraction: float
    seconds_left: float
    train_nats: float
    valid_nats: float | None
    best_nats: float | None
    gradient_norm: float
    clipped: float
    learning_rate: float
    tokens_per_second: float
    notice: str | None = None


@dataclasses.dataclass
class Tally:
    """Sums over the steps since the last record."""

    tokens: int = 0
    steps: int = 0
    nats: float = 0.0
    norm: float = 0.0
    clipped: int = 0
    since: float = dataclasses.field(
        default_factory=lambda: time.monotonic()
    )  # validations left out
    before: dict[str, Any] = dataclasses.field(default_factory=dict)

    def count(self, tokens: int, nats: float, norm: float, clip: float) -> None:
        """Adds a step: nats a token, and the gradient's norm before it was clipped."""
        self.steps += 1
        self.tokens += tokens
        self.nats += nats * tokens
        self.norm += norm
        self.clipped += norm > clip

    def means(self) -> dict[str, Any]:
        """The fields of a Progress that are of the steps since the last record.

        Where no step was made since then the means are those of the last record.
        """
        if not self.steps and self.before:
            return self.before | {"steps": 0}
        steps = max(self.steps, 1)
        return {
            "steps": self.steps,
            "train_nats": self.nats / max(self.tokens, 1),
            "gradient_norm": self.norm / steps,
            "clipped": self.clipped / steps,
            "tokens_per_second": self.tokens / max(time.monotonic() - self.since, 1e-9),
        }

    def following(self) -> "Tally":
        """The tally for the next record."""
        return Tally(before=self.means())
