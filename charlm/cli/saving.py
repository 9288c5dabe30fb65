"""Keeps what a run has learned: when to save, and what to do where saving fails.

Knows nothing about options or what is shown.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from charlm.cli.pace import Pace
from charlm.errors import CharlmError, TrainingError

if TYPE_CHECKING:
    from charlm.run import Run

SAVE_SECONDS = 60.0
COPIES = 5  # of the weights in a checkpoint: the best, the last, their average, two moments


class Keeper:
    """Saves a run into its output at validations and each minute.

    With a budget in minutes a model too large to be saved that often is saved as `Pace` allows.
    """

    def __init__(self, run: "Run", output: Path, say: Callable[[str], None]) -> None:
        self._run, self._output, self._say = run, output, say
        self._began = self._kept = self._stand()
        self._tried = time.monotonic()
        self._pace = Pace(run.config.minutes is not None)
        self._fault = ""  # why the last save failed, said once

    def reserve(self) -> None:
        """Raises CharlmError where there is no room for a checkpoint."""
        from charlm.atomic import reserve

        size = COPIES * 4 * self._run.model.parameters + 2**16
        try:
            reserve(self._output, size)
        except OSError as error:
            raise CharlmError(
                f"{self._output}: no checkpoint can be written there, of about {size / 1e6:,.1f} "
                f"MB ({_reason(error)}); make room or give another -o"
            ) from None

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Around all of the run: a TrainingError has its best model kept, and says so."""
        try:
            yield
        except TrainingError as error:
            raise TrainingError(f"{error}{self._rescue()}") from error

    def _rescue(self) -> str:
        """Saves a run that cannot go on, if there is a best model; says what is kept of it."""
        if self._run.training.place["best_nats"] is not None:
            try:
                self._save(self._output)
                return f"; {self._output} keeps the best model so far"
            except OSError as error:
                return f"; {self._elsewhere(_reason(error))}"
            except TrainingError:  # the last save is as good as it gets
                pass
        step, _ = self._kept
        return f"; {self._output} keeps what was best at the last save" if step else ""

    def keep(self, validated: bool) -> None:
        """Saves if it is time to. A failure is said, and tried again the next time."""
        late = time.monotonic() - self._tried >= SAVE_SECONDS
        if not late and not (validated and self._pace.due()):
            return
        self._tried = time.monotonic()
        try:
            with self._pace.timed():
                self._save(self._output)
            self._kept, self._fault = self._stand(), ""
        except OSError as error:
            if self._fault != (reason := _reason(error)):
                self._say(
                    f"{self._output} could not be saved ({reason}); it is as it was, training goes "
                    "on and tries again"
                )
            self._fault = reason

    def finish(self) -> bool:
        """The last save, if it is not made; false where nothing was done.

        Raises CharlmError if it fails.
        """
        if self._stand() == self._began:
            return False
        if self._stand() != self._kept:
            try:
                self._save(self._output)
            except OSError as error:
                raise CharlmError(self._elsewhere(_reason(error))) from error
        return True

    def _stand(self) -> tuple[int, int]:
        """The steps and validations made, without which nothing that is saved changes."""
        training = self._run.training
        return training.place["step"], len(training.history)

    def _elsewhere(self, reason: str) -> str:
        """Saves among the temporary files, so that no training is lost; says so."""
        failed = f"{self._output} could not be saved ({reason})"
        try:
            refuge = Path(tempfile.mkdtemp(prefix="charlm-")) / self._output.name
            self._save(refuge)
        except OSError as error:
            return f"{failed}, nor among the temporary files ({_reason(error)}): make room"
        return f"{failed}; the model is in {refuge}: move it from there"

    def _save(self, path: Path) -> None:
        from charlm.checkpoint import save

        save(path, self._run.checkpoint())


def _reason(error: OSError) -> str:
    return (error.strerror or os.strerror(error.errno or 0)).lower()
