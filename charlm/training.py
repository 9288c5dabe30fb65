"""Training by truncated back-propagation through time: an iterator of Progress.

Prints nothing, writes nothing and knows no terminal: who runs it draws the progress and saves the
snapshots.
"""

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from charlm.config import TrainConfig
from charlm.corpus import Corpus
from charlm.errors import CheckpointError, TrainingError
from charlm.memory import keep_freed
from charlm.model import LanguageModel
from charlm.optimiser import Optimiser, copies, rate_share, tensor_of
from charlm.progress import Progress, Tally
from charlm.stepping import Stepper
from charlm.validation import Validation
from charlm.windows import windows_of

SOON = 15.0  # seconds that a stopped run may take to measure its last weights
MOST_FAILURES = 3
ADVICE = "try a lower --learning-rate or a lower --clip"
REPORT_SECONDS = 0.2
LOOK_EVERY = 16  # steps on a GPU between two looks at the figures, as each waits for it


class Training:
    """One run: the model, its optimiser, its averaged weights and its place in the text.

    Given the same model, corpus and configuration (and a budget in steps or epochs), a run that is
    stopped, saved with `snapshot` and resumed by `restore` computes the same numbers, bit
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
        keep_freed()
        self.config, self.model = config, model
        self.best = copies(model)  # the weights of the best validation so far
        self.history: list[dict[str, Any]] = []
        self._device = model.output.bias.device
        self._optimiser = Optimiser(model, config)
        self._windows = windows_of(
            corpus.train, config.batch_size, config.bptt, config.seed, config.reset_probability
        )
        self.windows = self._windows.windows(0)  # of the first epoch; of others about as many
        self._train_events = corpus.train.events
        self._validation = Validation(corpus.valid)
        self.look_every = 1 if self._device.type == "cpu" else LOOK_EVERY
        self._stepper = Stepper(model, self._optimiser, config)
        self._tally, self._stopping, self._outside = Tally(), False, 0.0
        self._began = time.monotonic() if started is None else started
        self._notice: str | None = None  # what the next record is to say
        self.place: dict[str, Any] = {
            "step": 0,
            "epoch": 0,
            "window": 0,
            "training_from": time.monotonic() - self._began,
            "best_nats": None,
            "validations_since_best": 0,
            "next_validation": 1.0,
            "validation_seconds": 0.0,
            "failures": 0,
            "tokens": 0,  # these two: since the last validation
            "nats": 0.0,
        }
        self.place["next_validation"] = self._interval()

    def stop(self) -> None:
        """Ends the run after the step in progress; a validation under way is given up."""
        self._stopping = True

    def run(self) -> Iterator[Progress]:
        """Trains until the budget is spent, patience is over or `stop` is called.

        Raises TrainingError when the loss, the gradient or the weights stay not finite.
        """
        while not self._stopping:
            if self._due():
                if (nats := self._validate()) is not None:
                    yield from self._told(nats)
                if self.place["validations_since_best"] >= self.config.patience:
                    return
            elif self.complete:
                return
            else:
                self._advance()
                waited = time.monotonic() - self._tally.since
                if not self._due() and (self._notice or self.complete or waited >= REPORT_SECONDS):
                    yield from self._told(None)

    def _told(self, nats: float | None) -> Iterator[Progress]:
        """A record; the time that the caller spends on it (a checkpoint, a sample) is not ours."""
        yield (progress := self._progress(nats))
        spent = self.seconds() - progress.seconds
        self._tally.since += spent
        self._outside = max(self._outside, spent * (nats is not None))

    def last_validation(self) -> Progress | None:
        """Of a stopped run by minutes: how good its last weights are, if that is soon known.

        By steps or epochs a run ends as if it had never stopped: nothing else is validated there.
        """
        new = self.history and self.history[-1]["step"] < self.place["step"]
        if self.config.minutes is None or not new or self.place["validation_seconds"] > SOON:
            return None
        self._stopping = False  # which would end a validation
        nats = self._validate()
        return None if nats is None else self._progress(nats)

    @property
    def complete(self) -> bool:
        """Whether the budget is spent and nothing is left to do."""
        return self.place["step"] > 0 and self.fraction() >= 1 and not self._due()

    def _due(self) -> bool:
        """Whether to validate before the next step: not twice at one step, not without a text."""
        last = self.history[-1]["step"] if self.history else 0
        new = self.place["step"] > last and self._validation.events > 0
        return bool(new and self.fraction() >= self.place["next_validation"])

    def _advance(self) -> None:
        """Trains on the window in turn."""
        place = self.place
        window = self._windows.window(place["epoch"], place["window"])
        pending = self._stepper.step(window, place["step"], self.learning_rate())
        if pending >= self.look_every:
            self._look()
        place["step"] += 1
        place["window"] += 1
        if place["window"] >= self._windows.windows(place["epoch"]):
            place["epoch"], place["window"] = place["epoch"] + 1, 0

    def result(self) -> dict[str, npt.NDArray[np.float32]]:
        """The weights to keep: those of the best validation, before any the averaged ones."""
        return copies(self._optimiser.averaged) if self.place["best_nats"] is None else self.best

    def seconds(self) -> float:
        """Seconds spent on this run, earlier parts of it included."""
        return time.monotonic() - self._began

    def fraction(self) -> float:
        """The share of the budget that is spent, at most 1."""
        config, place = self.config, self.place
        if config.steps is not None:
            return float(min(place["step"] / config.steps, 1.0))
        if config.epochs is not None:
            epoch = place["epoch"] + place["window"] / self._windows.windows(place["epoch"])
            return float(min(epoch / config.epochs, 1.0))
        assert config.minutes is not None
        last = 1.1 * place["validation_seconds"] + self._outside
        end = config.minutes * 60 - last  # room for the last one, and what the caller does with it
        spent = self.seconds() - place["training_from"]
        return float(min(spent / max(end - place["training_from"], 1e-9), 1.0))

    def learning_rate(self) -> float:
        """The share of the peak that the schedule gives, halved after each failure."""
        share = rate_share(self.fraction(), self.config.warmup)
        return float(self.config.learning_rate * share * 0.5 ** self.place["failures"])

    def _look(self) -> None:
        """Counts the steps since the last look; those that were not finite are undone."""
        steps = self._stepper.collect()
        finite = [step for step in steps if step.finite]
        for step in finite:
            self._tally.count(step.tokens, step.nats, step.norm, self.config.clip)
            self.place["tokens"] += step.tokens
            self.place["nats"] += step.nats * step.tokens
        if len(finite) < len(steps):
            self._optimiser.updates -= len(steps) - len(finite)
            self._undo()

    def _undo(self) -> None:
        """Leaves the weights as they were, halves the learning rate; gives up after a few times.

        Weights that are not finite themselves go back to those of the best validation.
        """
        self._stepper.state = None
        self._notice = "a step was not finite: undone, the learning rate halved"
        if not self._optimiser.finite():
            self._optimiser.reset(self.best)
            self._notice = "the weights were not finite: back to the best, the learning rate halved"
        self.place["failures"] += 1
        if self.place["failures"] > MOST_FAILURES:
            raise TrainingError(
                f"the loss is not finite at step {self.place['step']}, after halving the learning "
                f"rate {MOST_FAILURES} times; {ADVICE}"
            )

    def _mend(self) -> None:
        """Makes sure that what is validated or kept is finite."""
        self._look()
        state = [part for layer in self._stepper.state or [] for part in layer]
        if not (self._optimiser.finite() and all(bool(part.isfinite().all()) for part in state)):
            self._undo()

    def _validate(self) -> float | None:
        """Nats per token of the validation text under the averaged weights; keeps the best.

        None if the run was stopped meanwhile.
        """
        self._mend()
        place, begun = self.place, time.monotonic()
        nats = self._validation.nats(
            self._optimiser.averaged, self.config.precision, lambda: self._stopping
        )
        if nats is None:
            return None
        if not math.isfinite(nats):
            where = f"at step {place['step']}; {ADVICE}"
            raise TrainingError(f"the validation loss is not finite {where}")
        if place["best_nats"] is None or nats < place["best_nats"]:
            place["best_nats"], place["validations_since_best"] = nats, 0
            self.best = copies(self._optimiser.averaged)
        else:
            place["validations_since_best"] += 1
        place["validation_seconds"] = time.monotonic() - begun
        self._tally.since += place["validation_seconds"]
        place["next_validation"] = self._next_validation()
        return nats

    def _next_validation(self) -> float:
        """The share of the budget at which to validate next, the last time at 1."""
        now = self.fraction()
        later = now + self._interval()
        return later if now >= 1 else min(later, 1.0)

    def _interval(self) -> float:
        seconds = self.place["validation_seconds"]
        return self._validation.interval(self.config, seconds, self.windows, self._train_events)

    def _progress(self, valid_nats: float | None) -> Progress:
        self._look()
        place, fraction, seconds = self.place, self.fraction(), self.seconds()
        spent = seconds - place["training_from"]
        progress = Progress(
            step=place["step"],
            epoch=place["epoch"] + place["window"] / self._windows.windows(place["epoch"]),
            seconds=seconds,
            fraction=fraction,
            seconds_left=spent * (1 - fraction) / max(fraction, 1e-9),
            valid_nats=valid_nats,
            best_nats=place["best_nats"],
            learning_rate=self.learning_rate(),
            notice=self._notice,
            **self._tally.means(),
        )
        self._tally, self._notice = self._tally.following(), None
        if valid_nats is not None:
            names = ("step", "epoch", "seconds", "valid_nats", "learning_rate")
            record = {name: getattr(progress, name) for name in names}
            record["train_nats"] = place["nats"] / max(place["tokens"], 1)
            self.history.append(record)
            place["nats"], place["tokens"] = 0.0, 0
        return progress

    def snapshot(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """What `restore` needs: numbers for the header and arrays (copies) for the tensors."""
        self._mend()
        arrays: dict[str, npt.NDArray[Any]] = dict(self._optimiser.arrays())
        for k, layer in enumerate(self._stepper.state or []):
            for j, part in enumerate(layer):
                arrays[f"state.{k}.{j}"] = part.cpu().numpy().copy()
        updates, seconds = self._optimiser.updates, self.seconds()
        return {**self.place, "updates": updates, "seconds": seconds}, arrays

    def restore(
        self,
        progress: Mapping[str, Any],
        arrays: Mapping[str, npt.NDArray[Any]],
        best: Mapping[str, npt.NDArray[np.float32]],
        history: list[dict[str, Any]],
    ) -> None:
        """Goes back to where a snapshot was taken; CheckpointError if the text ends before it."""
        self.place = {name: progress[name] for name in self.place}
        if self.place["window"] >= self._windows.windows(self.place["epoch"]):
            raise CheckpointError("the place where this checkpoint stood is not in the text")
        self._began = time.monotonic() - progress["seconds"]
        self.best, self.history = dict(best), list(history)
        self._optimiser.restore(arrays, progress["updates"])
        self.place["next_validation"] = min(self.place["next_validation"], self._next_validation())
        if "state.0.0" in arrays:
            parts = self.model.config.state_parts
            self._stepper.state = [
                tuple(tensor_of(arrays[f"state.{k}.{j}"], self._device) for j in range(parts))
                for k in range(self.model.config.layers)
            ]
