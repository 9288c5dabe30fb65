"""Runs stopped after each of their steps and gone on with from the file: nothing differs."""

import itertools
from pathlib import Path

from conftest import corpus_of, fixed_machine

from charlm import run
from charlm.checkpoint import load, save
from charlm.config import CELLS
from charlm.run import Run
from torture.children import without_times

TEXT = "".join(f"The {noun} {verb}.\n" for noun in ("cat", "dog", "bird") for verb in ("is", "was"))
SMALL = {"hidden_size": 6, "embedding_size": 4, "batch_size": 3, "bptt": 8, "dropout": 0.3}
BUDGETS = ({"steps": 24}, {"epochs": 1.7})


def begun(cell: str, number: int, per_line: bool) -> Run:
    """Cells with one layer and two, budgets in steps and epochs, by turns."""
    corpus = corpus_of(TEXT * 8, per_line=per_line)
    chosen = {"cell": cell, "layers": 1 + number % 2, **BUDGETS[number % 2]}
    return run.begin(corpus, fixed_machine(), {**SMALL, **chosen})


def stop_after(running: Run, steps: int) -> Run:
    """Stops as a signal does: within a step, whose end and validation are still awaited."""
    advance, taken = running.training._advance, itertools.count(1)

    def advance_and_stop() -> None:
        advance()
        if next(taken) == steps:
            running.training.stop()

    running.training._advance = advance_and_stop  # type: ignore[method-assign]
    return finish(running)


def finish(running: Run) -> Run:
    for _ in running.training.run():
        pass
    return running


def every_step(share: float, folder: Path) -> tuple[int, list[str]]:
    """Each cell, whole-file and per line; every step at share 1, else only some."""
    tried, failures = 0, []
    one, other = folder / "one", folder / "other"
    for number, (cell, per_line) in enumerate(itertools.product(CELLS, (False, True))):
        whole = begun(cell, number, per_line)
        finish(whole)
        save(one, whole.checkpoint())
        wanted = without_times(one)
        for stop in range(1, whole.training.place["step"], max(1, round(1 / share))):
            tried += 1
            stopped = begun(cell, number, per_line)
            stop_after(stopped, stop)
            save(other, stopped.checkpoint())
            again = run.resume(load(other), stopped.corpus, fixed_machine(), {})
            finish(again)
            save(other, again.checkpoint())
            if without_times(other) != wanted:
                failures.append(f"{cell}, per line {per_line}, stopped after step {stop}")
    return tried, failures
