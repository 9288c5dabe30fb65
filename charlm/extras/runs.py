"""The course of trainings, read from checkpoints and from the logs that `charlm train` writes.

Knows files and numbers; knows nothing about how they are drawn.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from charlm.checkpoint import Checkpoint, load
from charlm.container import SUFFIX
from charlm.errors import OptionError
from charlm.logs import ADVICE, read_log
from charlm.sources import is_checkpoint

FIELDS = ("step", "seconds", "train_nats")  # that every record of a log has
Points = list[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: its records in order, of validations alone where they are a checkpoint's.

    bits: what turns nats per token into bits per character; a log does not say it.
    """

    name: str
    records: Sequence[Mapping[str, Any]]
    bits: float | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint, name: str) -> "Run":
        """The history that a checkpoint keeps."""
        return cls(name, checkpoint.history, checkpoint.corpus.bits_per_nat)

    def points(self, field: str, over: str = "step", scale: float = 1.0) -> Points:
        """(step or seconds, value × scale) of every record that has the field.

        Raises OptionError if none has it.
        """
        found = [
            (float(record[over]), float(record[field]) * scale)
            for record in self.records
            if record.get(field) is not None
        ]
        if not found:
            raise OptionError(
                f"{self.name}: keeps no {field.replace('_', ' ')}; "
                "give the file that charlm train --log wrote"
            )
        return found


def read_run(path: str | os.PathLike[str]) -> Run:
    """A checkpoint's history or a training log, whichever the file is.

    Raises CheckpointError, or TextError with the file, the line and what is wrong there.
    """
    name = os.path.basename(os.fspath(path))
    if name.endswith(SUFFIX) or is_checkpoint(os.fspath(path)):
        return Run.of(load(path), name.removesuffix(SUFFIX))
    with open(path, encoding="utf-8", errors="replace") as file:
        advice = f"{ADVICE}, or a checkpoint (*{SUFFIX})"
        return Run(os.path.splitext(name)[0], read_log(file, os.fspath(path), FIELDS, advice))
