"""A run from corpus to checkpoint: begin it anew, from another's weights, or where one stopped.

Joins planning, model and training; knows neither where files are nor how progress is shown.
"""

import dataclasses
import os
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

import charlm
from charlm.checkpoint import Checkpoint, CorpusRecord, check_vocabulary
from charlm.config import GATES, ModelConfig, TrainConfig
from charlm.corpus import Corpus
from charlm.errors import OptionError, TextError
from charlm.model import LanguageModel
from charlm.planning import BUDGETS, Machine, plan, tokens_per_second
from charlm.training import Training

COPIES = 6  # of the weights, while they are trained
CHANGEABLE = (*BUDGETS, "patience", "threads")  # when a run is resumed
ARCHITECTURE = ("cell", "layers", "hidden_size", "embedding_size", "tie_weights")


@dataclasses.dataclass
class Run:
    """A training with what its checkpoint tells of it."""

    corpus: Corpus
    model: ModelConfig
    config: TrainConfig
    training: Training
    about: CorpusRecord
    machine: Machine

    @property
    def expected_seconds(self) -> float:
        """About how long the whole budget takes, by the machine's measured speed."""
        config = self.config
        if config.minutes is not None:
            return 60 * config.minutes
        epochs = config.epochs or (config.steps or 0) / self.training.windows
        return epochs * self.corpus.train.events / tokens_per_second(self.model, self.machine)

    @property
    def expected_passes(self) -> float:
        """About how often the budget goes over the text."""
        speed = tokens_per_second(self.model, self.machine)
        return self.expected_seconds * speed / max(1, self.corpus.train.events)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do: the budget is spent, or patience is over."""
        return self.training.complete or self.out_of_patience

    @property
    def out_of_patience(self) -> bool:
        """Whether the last validations were no better, and no more are to be made."""
        return bool(self.training.place["validations_since_best"] >= self.config.patience)

    def checkpoint(self) -> Checkpoint:
        """The run as it stands: the best weights so far, and all that is needed to go on."""
        progress, resume = self.training.snapshot()
        return Checkpoint(
            model=self.model,
            tokenizer=self.corpus.tokenizer,
            weights=self.training.result(),
            training=self.config,
            corpus=self.about,
            history=tuple(self.training.history),
            progress=progress,
            resume=resume,
            versions={
                "charlm": charlm.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        )


def begin(
    corpus: Corpus,
    machine: Machine,
    chosen: Mapping[str, Any],
    started: float | None = None,
    init_from: Checkpoint | None = None,
) -> Run:
    """A new run with what the user chose (fields of both configurations) and the plan's rest.

    init_from: a checkpoint whose weights to start from; the corpus's tokenizer has grown out of
    that checkpoint's, so that known tokens keep their numbers and their rows. Raises OptionError
    for what cannot be chosen or has no room in memory, CheckpointError for a vocabulary that has
    none in a checkpoint.
    """
    check_vocabulary(corpus.tokenizer)
    if init_from is not None:
        chosen = _same_architecture(init_from.model, chosen)
    model_config, config = plan(corpus.train, corpus.tokenizer.size, machine, chosen)
    _check_memory(model_config, config, corpus, machine)
    torch.manual_seed(config.seed)
    model = LanguageModel(model_config)
    model.expect(corpus.train.frequencies(model_config.vocabulary_size))
    if init_from is not None:
        _copy_weights(init_from, model)
    training = Training(model.to(machine.device), corpus, config, started)
    return Run(corpus, model_config, config, training, _about(corpus), machine)


def resume(
    checkpoint: Checkpoint,
    corpus: Corpus,
    machine: Machine,
    chosen: Mapping[str, Any],
    started: float | None = None,
) -> Run:
    """Goes on where the run that wrote the checkpoint stood.

    chosen: new values for some of CHANGEABLE, perhaps a larger budget; None keeps the old one.
    The precision is the machine's, which is to be the run's where the machine has it.
    Raises TextError if the corpus is not the one it was trained on, CheckpointError if the place
    where it stood is not in it, OptionError if the run is complete, keeps nothing to go on from or
    has no room in memory.
    """
    about = _about(corpus)
    _check_text(about, checkpoint.corpus)
    if not checkpoint.resume:
        raise OptionError("--resume: this checkpoint keeps no state to go on from")
    config = dataclasses.replace(_later(checkpoint.training, chosen), precision=machine.precision)
    _check_memory(checkpoint.model, config, corpus, machine)
    model = LanguageModel(checkpoint.model, checkpoint.weights).to(machine.device)
    training = Training(model, corpus, config, started)
    training.restore(
        checkpoint.progress,
        checkpoint.resume,
        checkpoint.weights,
        [dict(record) for record in checkpoint.history],
    )
    run = Run(corpus, checkpoint.model, config, training, about, machine)
    other = any(getattr(config, name) != getattr(checkpoint.training, name) for name in BUDGETS)
    ended = not other and checkpoint.progress["next_validation"] > 1  # the last one was made
    if ended or training.complete or (other and training.fraction() >= 1):
        raise OptionError(
            f"--resume: this run is complete, with {checkpoint.progress['step']:,} steps; give a "
            "larger --minutes, --epochs or --steps"
        )
    if run.out_of_patience:
        raise OptionError(
            f"--resume: this run is complete, as {config.patience:,} validations were no better; "
            "give a larger --patience"
        )
    return run


def _check_text(now: CorpusRecord, known: CorpusRecord) -> None:
    """Raises TextError unless the corpus is the known one: otherwise split, or another text."""
    if now.digest == known.digest:
        return
    again = (
        "give the --valid or --valid-fraction that it began with (for another text: --init-from)"
    )
    if now.digest[:8] == known.digest[:8]:  # the training part's
        raise TextError(
            f"{now.name}: what this run was trained on is the same, what it was validated on is "
            f"not; {again}"
        )
    sizes, known_sizes = ({one.train_characters, one.characters} for one in (now, known))
    if now.train_characters != known.train_characters and sizes & known_sizes:
        raise TextError(
            f"{now.name}: {now.train_characters:,} of its characters are to train on, where "
            f"this run had {known.train_characters:,} of {known.name}; {again}"
        )
    count, known_count = now.train_characters, known.train_characters
    others = " others" * (count == known_count)
    raise TextError(
        f"{now.name} ({count:,} characters to train on) is not the text that this run was "
        f"trained on ({known.name}, {known_count:,}{others}); to train on another text use "
        "--init-from"
    )


def _later(config: TrainConfig, chosen: Mapping[str, Any]) -> TrainConfig:
    """The configuration with what was chosen; one budget takes the place of another."""
    changes = {name: chosen[name] for name in CHANGEABLE if chosen.get(name) is not None}
    if any(name in changes for name in BUDGETS):
        changes = {**dict.fromkeys(BUDGETS), **changes}
    return dataclasses.replace(config, **changes)


def _check_memory(
    model: ModelConfig, config: TrainConfig, corpus: Corpus, machine: Machine
) -> None:
    """Raises OptionError where the least that training takes is more than the machine has.

    The weights, their average, gradients and moments, a saved copy; of a window the gates in two
    bytes, and the logits in four with their gradients.
    """
    if machine.device != "cpu":
        return
    tokens = min(config.batch_size * config.bptt, corpus.train.events)
    gates = model.layers * GATES[model.cell] * model.hidden_size
    least = COPIES * 4 * model.parameters + tokens * (2 * gates + 8 * model.vocabulary_size)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if least > there:
        raise OptionError(
            f"{model.shape}, batch {config.batch_size}, BPTT {config.bptt}: this takes "
            f"{least / 1e9:,.0f} GB of memory or more, of {there / 1e9:,.0f}; give a smaller "
            "--hidden-size, --batch-size or --bptt"
        )


def _same_architecture(model: ModelConfig, chosen: Mapping[str, Any]) -> dict[str, Any]:
    for name in ARCHITECTURE:
        if chosen.get(name) not in (None, getattr(model, name)):
            raise OptionError(
                f"--{name.replace('_', '-')}: with --init-from it is the other model's, "
                f"{getattr(model, name)}"
            )
    return {**chosen, **{name: getattr(model, name) for name in ARCHITECTURE}}


@torch.no_grad()
def _copy_weights(source: Checkpoint, model: LanguageModel) -> None:
    """Known tokens keep their rows; rows of new tokens stay as they were initialised."""
    for name, parameter in model.named_weights().items():
        rows = len(source.weights[name])
        parameter[:rows].copy_(torch.from_numpy(np.array(source.weights[name])))


def _about(corpus: Corpus) -> CorpusRecord:
    train, valid = corpus.train, corpus.valid
    counted, characters = valid.counted, valid.characters  # the ratio of validation's figures
    if not counted:
        counted, characters = train.counted, train.characters
    return CorpusRecord(
        name=corpus.name,
        train_characters=train.characters,
        valid_characters=valid.characters,
        train_tokens=train.events,
        tokens_per_character=counted / characters,
        digest=corpus.digest,
    )
