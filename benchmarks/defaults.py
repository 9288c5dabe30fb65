"""The plan's choices beside hand-made ones: the same text and minutes, one thing changed at a time.

    python -m benchmarks.defaults --text plays --text ptb --minutes 1

The planned run makes as many steps as the plan takes the budget to hold on this machine when it is
quiet, a larger or smaller model fewer or more by its speed, measured in turns with the planned
one's. Runs have one thread each, as many at a time as there are cores: what else the machine does
makes them longer and no different.

Every run is written into the results file as soon as it ends and is not repeated while it stands
there, so that the table can be completed in several sittings; each kind of machine has a file of
its own. --redo repeats what is chosen (after a change of the plan, say). The alternatives are made
from what was planned in the recorded run.
"""

import datetime
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks.commands import best_nats, train
from benchmarks.harness import CORPORA, Row, alternate, described, machine, markdown
from benchmarks.results import RESULTS, replace
from charlm.corpus import Corpus, build_corpus
from charlm.planning import Machine, plan
from charlm.run import begin
from charlm.text import open_text

MINUTES = (1.0, 3.0, 10.0)
TEXTS: dict[str, tuple[Path, tuple[str, ...]]] = {
    "plays": (CORPORA / "tinyshakespeare.txt", ()),
    "tunes": (CORPORA / "irish.abc", ()),
    "names": (CORPORA / "names.txt", ("--per-line",)),
    "molecules": (CORPORA / "zinc-smiles.txt", ("--per-line",)),
    "ptb": (CORPORA / "ptb" / "train.txt", ("--valid", str(CORPORA / "ptb" / "valid.txt"))),
}
PLANNED = "planned"
ALTERNATIVES = (
    "larger",  # the hidden size × 1.5
    "smaller",  # the hidden size / 1.5
    "faster",  # the learning rate × 2
    "slower",  # the learning rate / 2
    "more dropout",  # + 0.15
    "less dropout",  # − 0.15, where there is any
)
WITHIN = 1.01  # of the best alternative's validation
CHOSEN = (
    *("hidden_size", "layers", "batch_size", "bptt"),
    *("learning_rate", "dropout", "weight_decay", "precision"),
)
RUNS, LEAST = 9, 0.5  # times that a speed is measured, and seconds of one
PROBES = 5  # of the machine's speed, of which the best counts
IN_STEPS = 0.95  # the share of a budget that goes into steps, start and validations aside
Cell = dict[str, Any]
Cells = dict[str, Cell]


class Grid:
    """The finished runs in a file, by "text, minutes, choice"."""

    def __init__(self, path: Path | None = None) -> None:
        here = machine()
        self.path = path = path or _file_of(here)
        record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.machine: dict[str, str] = record.get("machine") or here
        self.cells: Cells = record.get("cells", {})
        for name in ("processor", "cores"):
            if here[name] != self.machine[name]:
                raise click.UsageError(
                    f"{path.name} is from another machine ({name}: {self.machine[name]}, here "
                    f"{here[name]}); give --file another name"
                )

    def get(self, text: str, minutes: float, choice: str, options: list[str]) -> Cell | None:
        """The finished run of that choice, if it was made with these options."""
        cell = self.cells.get(_key(text, minutes, choice))
        return cell if cell and cell["options"] == options else None

    def put(self, text: str, minutes: float, choice: str, cell: Cell) -> None:
        """Keeps a finished run, in the file too, with the table beside it."""
        self.cells[_key(text, minutes, choice)] = cell
        self.path.parent.mkdir(parents=True, exist_ok=True)
        record = {"machine": self.machine, "cells": self.cells}
        replace(self.path, json.dumps(record, indent=1) + "\n")
        table = f"Measured on: {described(self.machine)}.\n\n{markdown(self.rows())}"
        replace(self.path.with_suffix(".md"), table)

    def rows(self) -> list[Row]:
        """A row for each text and budget whose planned run is there."""
        found = [(text, minutes) for text in TEXTS for minutes in self._minutes(text)]
        return [self.row(text, minutes) for text, minutes in found]

    def _minutes(self, text: str) -> list[float]:
        keys = [key.split(", ") for key in self.cells]
        return sorted(
            float(minutes) for name, minutes, choice in keys if (name, choice) == (text, PLANNED)
        )

    def row(self, text: str, minutes: float) -> Row:
        """The planned run beside the best of the grid, which may be the planned one itself."""
        planned = self.cells[_key(text, minutes, PLANNED)]
        wanted = {PLANNED: [], **alternatives(planned)}
        found = {name: self.get(text, minutes, name, wanted[name]) for name in wanted}
        done = {name: cell for name, cell in found.items() if cell}
        best = min(done, key=lambda name: float(done[name]["nats"]))
        ratio = planned["nats"] / done[best]["nats"]
        missing = len(wanted) - len(done)
        return Row(
            f"defaults, {text}, --minutes {minutes:g}",
            "nats/token",
            "within 1 % of the grid's best",
            f"{done[best]['nats']:.4f} {best}" + f", {missing} runs missing" * (missing > 0),
            f"{planned['nats']:.4f} ({_described(planned)}), {ratio - 1:+.2%}",
            ratio,
            ratio <= WITHIN if not missing else None,
        )


def _file_of(about: dict[str, str]) -> Path:
    """The results of machines with that processor and as many cores."""
    kind = re.sub(r"[^a-z0-9]+", "-", f"{about['processor']} {about['cores']} cores".lower())
    return RESULTS / f"defaults-grid-{kind}.json"


def _key(text: str, minutes: float, choice: str) -> str:
    return f"{text}, {minutes:g}, {choice}"


def _described(cell: Cell) -> str:
    return (
        f"{cell['layers']} × {cell['hidden_size']}, rate {cell['learning_rate']:g}, dropout "
        f"{cell['dropout']:g}, batch {cell['batch_size']} × {cell['bptt']}"
    )


def alternatives(planned: Cell) -> dict[str, list[str]]:
    """The options of each alternative to what was planned, by its name."""
    size, rate = planned["hidden_size"], planned["learning_rate"]
    dropout = planned["dropout"]
    options = {
        "larger": ["--hidden-size", f"{_rounded(size * 1.5)}"],
        "smaller": ["--hidden-size", f"{_rounded(size / 1.5)}"],
        "faster": ["--learning-rate", f"{rate * 2:.4g}"],
        "slower": ["--learning-rate", f"{rate / 2:.4g}"],
        "more dropout": ["--dropout", f"{min(dropout + 0.15, 0.9):.4g}"],
    }
    if dropout:
        options["less dropout"] = ["--dropout", f"{max(dropout - 0.15, 0):.4g}"]
    return options


def _rounded(size: float) -> int:
    """To a multiple of 16, as products like it."""
    return max(16, round(size / 16) * 16)


def complete(
    grid: Grid,
    texts: Sequence[str],
    budgets: Sequence[float],
    choices: Sequence[str] = ALTERNATIVES,
    redo: bool = False,
) -> Iterator[Row]:
    """Makes the runs that are missing, short budgets first; a row when a text's are all made."""
    for minutes in budgets:
        for text in texts:
            if TEXTS[text][0].exists():
                _complete(grid, text, minutes, choices, redo)
                yield grid.row(text, minutes)


def _complete(grid: Grid, text: str, minutes: float, choices: Sequence[str], redo: bool) -> None:
    corpus = _corpus(text)
    machine = max((Machine.probe("cpu") for _ in range(PROBES)), key=lambda probed: probed.rate)
    planned = None if redo else grid.get(text, minutes, PLANNED, [])
    if planned is None:
        planned = _planned(corpus, machine, minutes, [])
    wanted = {
        name: options
        for name, options in {PLANNED: [], **alternatives(planned)}.items()
        if name in (PLANNED, *choices) and (redo or not grid.get(text, minutes, name, options))
    }
    cells = {name: _planned(corpus, machine, minutes, wanted[name]) for name in wanted}
    if not cells:
        return
    _count_steps(corpus, machine, minutes, planned, list(cells.values()))
    with ThreadPoolExecutor(machine.threads) as pool:
        nats = pool.map(partial(_train, text), cells.values())
        for (name, cell), figure in zip(cells.items(), nats, strict=True):
            grid.put(text, minutes, name, {"nats": figure, **cell})


def _corpus(text: str) -> Corpus:
    path, options = TEXTS[text]
    given = dict(zip(options[::2], options[1::2], strict=False))
    valid = open_text([given["--valid"]]) if "--valid" in given else None
    return build_corpus(open_text([path]), valid, per_line="--per-line" in options)


def _planned(corpus: Corpus, machine: Machine, minutes: float, options: list[str]) -> Cell:
    """What the plan makes of a budget with these options, as a run without its result."""
    given = {
        flag[2:].replace("-", "_"): json.loads(value)
        for flag, value in zip(options[::2], options[1::2], strict=True)
    }
    model, config = plan(
        corpus.train, corpus.tokenizer.size, machine, {"minutes": minutes, **given}
    )
    chosen = {**model.to_json(), **config.to_json()}
    today = datetime.date.today().isoformat()
    return {"on": today, "options": options, **{name: chosen[name] for name in CHOSEN}}


def _count_steps(
    corpus: Corpus, machine: Machine, minutes: float, planned: Cell, cells: list[Cell]
) -> None:
    """Gives each run the budget's steps, by speeds measured in turns with the planned one's."""
    timed = {_size(cell): _trainer(corpus, machine, cell) for cell in (planned, *cells)}
    speeds = dict(zip(timed, alternate(RUNS, *timed.values()), strict=True))
    steps = planned.setdefault("steps", _steps(corpus, machine, minutes))
    for cell in cells:
        cell["steps"] = round(steps * speeds[_size(cell)].median / speeds[_size(planned)].median)


def _steps(corpus: Corpus, machine: Machine, minutes: float) -> int:
    """Of the planned run, by the speed that the plan takes it to have."""
    run = begin(corpus, machine, {"minutes": minutes})
    return round(IN_STEPS * run.expected_passes * run.training.windows)


def _size(cell: Cell) -> tuple[int, ...]:
    """What a step's time depends on."""
    return tuple(cell[name] for name in ("hidden_size", "layers", "batch_size", "bptt"))


def _trainer(corpus: Corpus, machine: Machine, cell: Cell) -> Callable[[], float]:
    """A function that trains on for a while and gives steps a second."""
    chosen = {name: cell[name] for name in CHOSEN}
    training = begin(corpus, machine, {**chosen, "steps": 10**8}).training
    records = training.run()

    def some() -> float:
        before, begun = training.place["step"], time.perf_counter()
        while (spent := time.perf_counter() - begun) < LEAST:
            next(records)
        return float((training.place["step"] - before) / spent)

    return some


def _train(text: str, cell: Cell) -> float:
    """The best validation of a run with the cell's choices and steps, on one thread."""
    path, options = TEXTS[text]
    flags = [f"--{name.replace('_', '-')}={cell[name]}" for name in (*CHOSEN, "steps")]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "model.safetensors"
        return best_nats(train(path, output, *options, *flags, "--threads", "1"))


def run_long() -> Iterator[Row]:
    """The whole grid, or what is missing of it."""
    yield from complete(Grid(), list(TEXTS), MINUTES)


@click.command()
@click.option("--text", "texts", multiple=True, type=click.Choice(list(TEXTS)))
@click.option("--minutes", "budgets", multiple=True, type=click.FloatRange(0, min_open=True))
@click.option("--choice", "choices", multiple=True, type=click.Choice(ALTERNATIVES))
@click.option("--file", "path", type=click.Path(path_type=Path))
@click.option("--redo", is_flag=True, help="Repeat the runs that are there.")
def main(
    texts: tuple[str, ...],
    budgets: tuple[float, ...],
    choices: tuple[str, ...],
    path: Path | None,
    redo: bool,
) -> None:
    """Complete the grid, or the texts, budgets and alternatives given.

    \b
    Example:
      python -m benchmarks.defaults --text names --minutes 1 --choice larger
    """
    grid = Grid(path)
    rows = complete(grid, texts or list(TEXTS), budgets or MINUTES, choices or ALTERNATIVES, redo)
    for row in rows:
        click.echo(" | ".join(row.cells()), err=True)
    click.echo(markdown(grid.rows()))


if __name__ == "__main__":
    main()
