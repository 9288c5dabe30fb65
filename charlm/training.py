"""Training by truncated back-propagation through time: an iterator of Progress.

Prints nothing, writes nothing and knows no terminal: who runs it draws the progress and saves the
snapshots.
"""

import copy
import dataclasses
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from charlm.bulk import TorchEngine
from charlm.config import TrainConfig
from charlm.corpus import IGNORED, Corpus, Tokens, Window, windows_of
from charlm.errors import TrainingError
from charlm.model import LanguageModel, State
from charlm.scoring import evaluate
from charlm.tokenizers import EOS

FINAL_RATE = 0.02  # the cosine ends at this share of the peak learning rate
AVERAGING = 12  # the averaged weights are about those of the last 1/12 of the run
VALIDATIONS = 40  # at most, in a run
VALIDATION_COST = 0.05  # at most this share of a time budget
VALIDATION_STREAMS = 32
VALIDATION_EVENTS = 2**18  # of a longer validation text the beginning is used
MOST_FAILURES = 3
REPORT_SECONDS = 0.2


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a training stands; train_nats and gradient_norm are means since the last record.

    Losses are in nats per token; valid_nats is None but right after a validation.
    """

    step: int
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
class _Tally:
    """Sums over the steps since the last record."""

    tokens: int = 0
    steps: int = 0
    nats: float = 0.0
    norm: float = 0.0
    clipped: int = 0
    since: float = dataclasses.field(default_factory=time.monotonic)


class Training:
    """One run: the model, its optimiser, its averaged weights and its place in the text.

    Given the same model, corpus and configuration (and a budget in steps or epochs), a run that is
    stopped, saved with `snapshot` and gone on with from `restore` computes the same numbers, bit
    for bit, as one that never stopped: everything random depends on the seed and the place alone.
    """

    def __init__(
        self,
        model: LanguageModel,
        corpus: Corpus,
        config: TrainConfig,
        started: float | None = None,
    ) -> None:
        torch.set_num_threads(config.threads)
        self.config, self.model = config, model
        self.averaged = copy.deepcopy(model)
        self.best = _arrays(model)  # the weights of the best validation so far
        self.history: list[dict[str, Any]] = []
        self._parameters: list[Tensor] = list(model.parameters())
        self._averages: list[Tensor] = list(self.averaged.parameters())
        self._device = model.output.bias.device
        self._optimiser = _optimiser(model, config)
        self._windows = windows_of(
            corpus.train, config.batch_size, config.bptt, config.seed, config.reset_probability
        )
        self._valid = _beginning(corpus.valid)
        self._state: State | None = None
        self._masks = torch.Generator()
        self._tally = _Tally()
        self._began = time.monotonic() if started is None else started
        self._stopping = False
        self.place: dict[str, Any] = {
            "step": 0,
            "epoch": 0,
            "window": 0,
            "training_from": time.monotonic() - self._began,
            "best_nats": None,
            "validations_since_best": 0,
            "next_validation": 1 / VALIDATIONS,
            "validation_seconds": 0.0,
            "failures": 0,
        }

    def stop(self) -> None:
        """Ends the run after the step in progress, without another validation."""
        self._stopping = True

    def run(self) -> Iterator[Progress]:
        """Trains until the budget is spent, patience is over or `stop` is called.

        Raises TrainingError when the loss or the gradient stays not finite.
        """
        place = self.place
        while not self._stopping and self.fraction() < 1:
            notice = self._step(self._windows.window(place["epoch"], place["window"]))
            place["step"] += 1
            place["window"] += 1
            if place["window"] >= self._windows.windows(place["epoch"]):
                place["epoch"], place["window"] = place["epoch"] + 1, 0
            over = self.fraction() >= 1
            if (over or self.fraction() >= place["next_validation"]) and not self._stopping:
                yield self._progress(self._validate(), notice)
                if place["validations_since_best"] >= self.config.patience:
                    return
            elif notice or time.monotonic() - self._tally.since >= REPORT_SECONDS:
                yield self._progress(None, notice)

    def result(self) -> dict[str, npt.NDArray[np.float32]]:
        """The weights to keep: those of the best validation, before any the averaged ones."""
        return self.best if self.place["best_nats"] is not None else _arrays(self.averaged)

    def seconds(self) -> float:
        """Seconds spent on this run, earlier parts of it included."""
        return time.monotonic() - self._began

    def fraction(self) -> float:
        """The share of the budget that is spent."""
        config, place = self.config, self.place
        if config.steps is not None:
            return float(place["step"] / config.steps)
        if config.epochs is not None:
            epoch = place["epoch"] + place["window"] / self._windows.windows(place["epoch"])
            return float(epoch / config.epochs)
        assert config.minutes is not None
        end = config.minutes * 60 - 1.1 * place["validation_seconds"]  # room for the last one
        spent = self.seconds() - place["training_from"]
        return float(spent / max(end - place["training_from"], 1e-9))

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine down to 2 % over the budget."""
        fraction, warmup = min(self.fraction(), 1.0), self.config.warmup
        if fraction < warmup:
            share = max(fraction, 1e-3) / warmup
        else:
            cosine = (1 + math.cos(math.pi * (fraction - warmup) / max(1 - warmup, 1e-9))) / 2
            share = FINAL_RATE + (1 - FINAL_RATE) * cosine
        return float(self.config.learning_rate * share * 0.5 ** self.place["failures"])

    def _step(self, window: Window) -> str | None:
        """One window: forward, backward, clip, update; a step that is not finite is undone."""
        config = self.config
        inputs = torch.from_numpy(window.inputs).to(self._device)
        targets = torch.from_numpy(window.targets).to(self._device)
        self._masks.manual_seed(config.seed << 31 ^ self.place["step"])
        masks = self.model.dropout_masks(inputs.shape[1], config.dropout, self._masks)
        with torch.autocast(
            self._device.type, torch.bfloat16, enabled=config.precision == "bfloat16"
        ):
            logits, state = self.model(
                inputs, self._state_before(window), masks if config.dropout else None
            )
        loss = functional.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED
        )
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters, config.clip))
        if not (math.isfinite(norm) and math.isfinite(float(loss.detach()))):
            return self._undo()
        self._optimiser.param_groups[0]["lr"] = self.learning_rate()
        self._optimiser.param_groups[1]["lr"] = self.learning_rate()
        self._optimiser.step()
        self._optimiser.zero_grad()
        self._average()
        self._state = [tuple(part.detach() for part in layer) for layer in state]
        self._count(int((window.targets != IGNORED).sum()), float(loss.detach()), norm)
        return None

    def _state_before(self, window: Window) -> State:
        """The carried state, zero for the streams that start."""
        batch = window.inputs.shape[1]
        if self._state is None or window.starts.all():
            return self.model.initial_state(batch)
        if not window.starts.any():
            return self._state
        kept = torch.from_numpy(~window.starts).to(self._device)[:, None]
        return [tuple(part * kept for part in layer) for layer in self._state]

    def _undo(self) -> str:
        """Leaves the weights as they were, halves the learning rate; gives up after a few times."""
        self._optimiser.zero_grad()
        self._state = None
        self.place["failures"] += 1
        if self.place["failures"] > MOST_FAILURES:
            raise TrainingError(
                f"the loss is not finite at step {self.place['step']}, after halving the learning "
                f"rate {MOST_FAILURES} times; try a lower --learning-rate or a lower --clip"
            )
        return "a step was not finite: undone, the learning rate halved"

    @torch.no_grad()
    def _average(self) -> None:
        """ā ← ā + (w − ā)(γ + 1) / (t + γ), polynomial-decay averaging (Shamir and Zhang 2013)."""
        weight = min(1.0, (AVERAGING + 1) / (self.place["step"] + 1 + AVERAGING))
        torch._foreach_lerp_(self._averages, self._parameters, weight)

    def _count(self, tokens: int, nats: float, norm: float) -> None:
        tally = self._tally
        tally.steps += 1
        tally.tokens += tokens
        tally.nats += nats * tokens
        tally.norm += norm
        tally.clipped += norm > self.config.clip

    def _validate(self) -> float:
        """Nats per token of the validation text under the averaged weights; keeps the best."""
        place, begun = self.place, time.monotonic()
        engine = TorchEngine(self.averaged, self.config.precision)
        nats = evaluate(engine, self._valid, VALIDATION_STREAMS).nats_per_token
        if place["best_nats"] is None or nats < place["best_nats"]:
            place["best_nats"], place["validations_since_best"] = nats, 0
            self.best = _arrays(self.averaged)
        else:
            place["validations_since_best"] += 1
        cost = place["validation_seconds"] = time.monotonic() - begun
        interval = 1 / VALIDATIONS
        if self.config.minutes is not None:
            interval = max(interval, cost / VALIDATION_COST / (self.config.minutes * 60))
        place["next_validation"] = self.fraction() + interval
        return nats

    def _progress(self, valid_nats: float | None, notice: str | None) -> Progress:
        tally, place, fraction = self._tally, self.place, min(self.fraction(), 1.0)
        windows = self._windows.windows(place["epoch"])
        seconds = self.seconds()
        spent = seconds - place["training_from"]
        steps = max(tally.steps, 1)
        progress = Progress(
            step=place["step"],
            epoch=place["epoch"] + place["window"] / windows,
            seconds=seconds,
            fraction=fraction,
            seconds_left=spent * (1 - fraction) / max(fraction, 1e-9),
            train_nats=tally.nats / max(tally.tokens, 1),
            valid_nats=valid_nats,
            best_nats=place["best_nats"],
            gradient_norm=tally.norm / steps,
            clipped=tally.clipped / steps,
            learning_rate=self.learning_rate(),
            tokens_per_second=tally.tokens / max(time.monotonic() - tally.since, 1e-9),
            notice=notice,
        )
        self._tally = _Tally()
        if valid_nats is not None:
            names = ("step", "epoch", "seconds", "train_nats", "valid_nats", "learning_rate")
            self.history.append({name: getattr(progress, name) for name in names})
        return progress

    def snapshot(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """What `restore` needs: numbers for the header and arrays (copies) for the tensors."""
        arrays = {f"weights.{name}": value for name, value in _arrays(self.model).items()}
        arrays |= {f"average.{name}": value for name, value in _arrays(self.averaged).items()}
        for name, parameter in self.model.named_weights().items():
            moments = self._optimiser.state.get(parameter, {})
            for moment in ("exp_avg", "exp_avg_sq"):
                if moment in moments:
                    arrays[f"{moment}.{name}"] = moments[moment].cpu().numpy().copy()
        for k, layer in enumerate(self._state or []):
            for j, part in enumerate(layer):
                arrays[f"state.{k}.{j}"] = part.cpu().numpy().copy()
        updates = next((int(moments["step"]) for moments in self._optimiser.state.values()), 0)
        return {**self.place, "updates": updates, "seconds": self.seconds()}, arrays

    def restore(
        self,
        progress: Mapping[str, Any],
        arrays: Mapping[str, npt.NDArray[Any]],
        best: Mapping[str, npt.NDArray[np.float32]],
        history: list[dict[str, Any]],
    ) -> None:
        """Goes back to where a snapshot was taken."""
        self.place = {name: progress[name] for name in self.place}
        self._began = time.monotonic() - progress["seconds"]
        self.best, self.history = dict(best), list(history)
        names = self.model.named_weights()
        for prefix, model in (("weights.", self.model), ("average.", self.averaged)):
            model.load_weights({name: arrays[prefix + name] for name in names})
        for name, parameter in names.items():
            if f"exp_avg.{name}" in arrays:
                self._optimiser.state[parameter] = {
                    "step": torch.tensor(float(progress["updates"])),
                    "exp_avg": self._tensor(arrays[f"exp_avg.{name}"]),
                    "exp_avg_sq": self._tensor(arrays[f"exp_avg_sq.{name}"]),
                }
        if "state.0.0" in arrays:
            parts = 2 if self.model.config.cell == "lstm" else 1
            self._state = [
                tuple(self._tensor(arrays[f"state.{k}.{j}"]) for j in range(parts))
                for k in range(self.model.config.layers)
            ]

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array.copy()).to(self._device)


def _arrays(model: LanguageModel) -> dict[str, npt.NDArray[np.float32]]:
    """Copies of a model's weights."""
    return {
        name: weight.detach().cpu().numpy().copy() for name, weight in model.named_weights().items()
    }


def _optimiser(model: LanguageModel, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019); matrices decay, biases do not."""
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    biases = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": biases, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99), fused=True)


def _beginning(tokens: Tokens) -> Tokens:
    """The tokens, or their beginning where they are many."""
    if tokens.events <= VALIDATION_EVENTS:
        return tokens
    ids = tokens.ids[: VALIDATION_EVENTS + 1]
    if tokens.per_line:
        ids = ids[: np.flatnonzero(ids == EOS)[-1] + 1]
    return Tokens(ids, 0, 0, tokens.per_line)
