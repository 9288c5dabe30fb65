"""The one file format: save and load a checkpoint, complete in itself.

What a checkpoint holds and what makes it sound; how the file is laid out and kept from damage is
`container`'s business. The same checks run before a file is written and while it is read. Knows
nothing about torch.
"""

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

import numpy as np
import numpy.typing as npt

from charlm.config import ModelConfig, TrainConfig
from charlm.container import Layout, check_room, layout_of, opened, write
from charlm.errors import CharlmError, CheckpointError
from charlm.tokenizers import Tokenizer, load_tokenizer

RESUME = "resume."  # prefix of the arrays that only resuming needs
TOKENIZER = "tokenizer."  # prefix of those that the tokenizer keeps
FLOAT = np.dtype(np.float32)
MOMENTS = ("exp_avg", "exp_avg_sq")  # the optimiser's, there after its first update

# The fields of the records in the header. A float may be written as a whole number.
Fields = Mapping[str, tuple[type, ...]]
RECORD: Fields = {
    "versions": (dict,),
    "model": (dict,),
    "tokenizer": (dict,),
    "training": (dict,),
    "corpus": (dict,),
    "history": (list,),
    "progress": (dict,),
}
HISTORY: Fields = {
    "step": (int,),
    "epoch": (float,),
    "seconds": (float,),
    "train_nats": (float,),
    "valid_nats": (float,),
    "learning_rate": (float,),
}
PROGRESS: Fields = {
    "step": (int,),
    "epoch": (int,),
    "window": (int,),
    "tokens": (int,),
    "nats": (float,),
    "updates": (int,),
    "failures": (int,),
    "best_nats": (float, type(None)),
    "validations_since_best": (int,),
    "next_validation": (float,),
    "validation_seconds": (float,),
    "training_from": (float,),
    "seconds": (float,),
}


@dataclasses.dataclass(frozen=True)
class CorpusRecord:
    """What a checkpoint keeps of the text that it was trained on; `digest` tells it from others.

    tokens_per_character: of the validation text where there is one.
    """

    name: str
    train_characters: int
    valid_characters: int
    train_tokens: int
    tokens_per_character: float
    digest: str

    @property
    def characters(self) -> int:
        """Of both parts."""
        return self.train_characters + self.valid_characters

    @property
    def bits_per_nat(self) -> float:
        """Bits per character for each nat per token."""
        return self.tokens_per_character / math.log(2)


CORPUS: Fields = {name: (kind,) for name, kind in get_type_hints(CorpusRecord).items()}
Config = TypeVar("Config", ModelConfig, TrainConfig)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A trained model and all that is known of it.

    `weights` are float32 arrays under the names of `ModelConfig.weight_shapes`. `history` has one
    record a validation. `progress` and `resume` (numbers and arrays) are what training goes on
    from; empty where it cannot.
    """

    model: ModelConfig
    tokenizer: Tokenizer
    weights: Mapping[str, npt.NDArray[np.float32]]
    training: TrainConfig
    corpus: CorpusRecord
    history: tuple[Mapping[str, Any], ...] = ()
    progress: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    resume: Mapping[str, npt.NDArray[Any]] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def trained(self) -> dict[str, Any] | None:
        """How long the training was: steps, epochs (None where they are not known) and seconds.

        None where nothing tells. Epochs are known of steps that were validated after.
        """
        last = self.history[-1] if self.history else {}
        at = self.progress or last
        if not at:
            return None
        epochs = last["epoch"] if last and last["step"] == at["step"] else None
        return {"steps": at["step"], "epochs": epochs, "seconds": float(at["seconds"])}

    @property
    def best(self) -> dict[str, Any] | None:
        """The best validation: its step, nats per token and bits per character; None without."""
        if not self.history:
            return None
        best = min(self.history, key=lambda record: float(record["valid_nats"]))
        nats, bits = best["valid_nats"], best["valid_nats"] * self.corpus.bits_per_nat
        return {"step": best["step"], "nats_per_token": nats, "bits_per_character": bits}


def save(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Writes the checkpoint, so that the path has the old file or the new one, never a part.

    Raises CheckpointError if it is not sound (a weight is not finite, say), OSError if the file
    cannot be written.
    """
    record = {
        "versions": dict(checkpoint.versions),
        "model": checkpoint.model.to_json(),
        "tokenizer": checkpoint.tokenizer.header(),
        "training": checkpoint.training.to_json(),
        "corpus": dataclasses.asdict(checkpoint.corpus),
        "history": [dict(entry) for entry in checkpoint.history],
        "progress": dict(checkpoint.progress),
    }
    arrays: dict[str, npt.NDArray[Any]] = {
        **checkpoint.weights,
        **checkpoint.tokenizer.tensors(),
        **{RESUME + name: array for name, array in checkpoint.resume.items()},
    }
    try:
        _check_record(record)
        _check_layout(checkpoint.model, checkpoint.progress, layout_of(arrays))
        _check_values(checkpoint.model, checkpoint.tokenizer, arrays)
        write(path, record, arrays)
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(path)}: not saved: {error}") from error


def check_vocabulary(tokenizer: Tokenizer) -> None:
    """Raises CheckpointError where a checkpoint has no room for so large a vocabulary."""
    try:
        check_room({"tokenizer": tokenizer.header()})
    except CheckpointError as error:
        raise CheckpointError(f"the vocabulary is too large for a checkpoint: {error}") from None


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Reads and checks a whole checkpoint.

    Raises CheckpointError, which names the file and what is wrong with it.
    """
    with opened(path) as container:
        record = container.record
        _check_record(record)
        model = _config(ModelConfig, record["model"])
        training = _config(TrainConfig, record["training"])
        _check_layout(model, record["progress"], container.layout)
        arrays = container.arrays()
        tokenizer = load_tokenizer(record["tokenizer"], arrays)
        _check_values(model, tokenizer, arrays)
    return Checkpoint(
        model=model,
        tokenizer=tokenizer,
        weights={name: arrays[name] for name in model.weight_shapes()},
        training=training,
        corpus=CorpusRecord(**record["corpus"]),
        history=tuple(record["history"]),
        progress=record["progress"],
        resume={
            name.removeprefix(RESUME): array
            for name, array in arrays.items()
            if name.startswith(RESUME)
        },
        versions=record["versions"],
    )


def _config(kind: type[Config], values: Mapping[str, Any]) -> Config:
    try:
        return kind.from_json(values)
    except CharlmError as error:
        raise CheckpointError(f"its configuration cannot be used: {error}") from None


def _check_record(record: Mapping[str, Any]) -> None:
    """Every field there, of its type, not below zero; no other field."""
    _check_fields("header", record, RECORD)
    _check_fields("corpus", record["corpus"], CORPUS)
    if not record["corpus"]["tokens_per_character"] > 0:
        raise CheckpointError("the 'tokens_per_character' of its corpus is 0")
    for entry in record["history"]:
        _check_fields("history", entry, HISTORY)
    if record["progress"]:
        _check_fields("progress", record["progress"], PROGRESS)
    _check_fields("versions", record["versions"], dict.fromkeys(record["versions"], (str,)))


def _check_fields(what: str, record: Any, fields: Fields) -> None:
    if not isinstance(record, dict):
        raise CheckpointError(f"its {what} is {record!r:.40}, not a record")
    if unknown := sorted(record.keys() - fields.keys()):
        raise CheckpointError(f"its {what} has an unknown key {unknown[0]!r:.40}")
    for name, types in fields.items():
        if name not in record:
            raise CheckpointError(f"its {what} has no {name!r}")
        value = record[name]
        allowed = (*types, int) if float in types else types
        sound = isinstance(value, allowed) and not isinstance(value, bool)
        if not sound or (isinstance(value, int | float) and not 0 <= value < math.inf):
            raise CheckpointError(f"the {name!r} of its {what} cannot be {value!r:.40}")


def _check_layout(model: ModelConfig, progress: Mapping[str, Any], layout: Layout) -> None:
    """Every array there, of its type and shape; no other but the tokenizer's."""
    if 4 * model.layers > len(layout):
        raise CheckpointError(f"it has weights for fewer layers than {model.layers}")
    expected = model.weight_shapes()
    if progress:
        expected |= _resume_shapes(model, progress, layout)
    for name, (dtype, shape) in layout.items():
        if name.startswith(TOKENIZER):
            continue
        if name not in expected:
            raise CheckpointError(f"it has an unknown tensor {name!r:.60}")
        if dtype != FLOAT or shape != expected[name]:
            wanted = f"{FLOAT} {list(expected[name])}"
            raise CheckpointError(f"its {name} is {dtype} {list(shape)}, not {wanted}")
    if missing := sorted(expected.keys() - layout.keys()):
        raise CheckpointError(f"it has no tensor {missing[0]!r}")


def _resume_shapes(
    model: ModelConfig, progress: Mapping[str, Any], layout: Layout
) -> dict[str, tuple[int, ...]]:
    """Shapes of what resuming needs: the optimiser's, and the recurrent state where it is kept."""
    copies = ("weights", "average", *(MOMENTS if progress["updates"] else ()))
    shapes = {
        f"{RESUME}{copy}.{name}": shape
        for copy in copies
        for name, shape in model.weight_shapes().items()
    }
    if (first := f"{RESUME}state.0.0") in layout:
        batch = (layout[first][1] + (0, 0))[1]
        parts = model.state_parts
        for layer in range(model.layers):
            for part in range(parts):
                shapes[f"{RESUME}state.{layer}.{part}"] = (1, batch, model.hidden_size)
    return shapes


def _check_values(
    model: ModelConfig, tokenizer: Tokenizer, arrays: Mapping[str, npt.NDArray[Any]]
) -> None:
    if tokenizer.size != model.vocabulary_size:
        raise CheckpointError(
            f"its vocabulary of {tokenizer.size:,} does not fit its embedding of "
            f"{model.vocabulary_size:,}"
        )
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise CheckpointError(f"{name} holds values that are not finite")
