"""The plan's choices beside hand-made ones: the same text and minutes, one thing changed at a time.

    python -m benchmarks.defaults --text plays --text ptb --minutes 1

Every run is written into the results file as soon as it ends and is not repeated while it stands
there, so that the table can be completed in several sittings; --redo repeats what is chosen (after
a change of the plan, say). The alternatives are made from what the plan chose in the recorded run.
"""

import datetime
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.commands import best_nats, train
from benchmarks.harness import CORPORA, Row, described, machine, markdown
from benchmarks.results import RESULTS, replace
from charlm.checkpoint import load

FILE = RESULTS / "defaults-grid.json"
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
CHOSEN = ("hidden_size", "learning_rate", "dropout", "batch_size", "bptt", "layers")
Cell = dict[str, Any]
Cells = dict[str, Cell]


class Grid:
    """The finished runs in a file, by "text, minutes, choice"."""

    def __init__(self, path: Path = FILE) -> None:
        self.path = path
        record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.machine: dict[str, str] = record.get("machine") or machine()
        self.cells: Cells = record.get("cells", {})
        here = machine()
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
    planned = grid.get(text, minutes, PLANNED, [])
    if planned is None or redo:
        planned = _train(text, minutes, [])
        grid.put(text, minutes, PLANNED, planned)
    for choice, options in alternatives(planned).items():
        if choice in choices and (redo or grid.get(text, minutes, choice, options) is None):
            grid.put(text, minutes, choice, _train(text, minutes, options))


def _train(text: str, minutes: float, more: list[str]) -> Cell:
    path, options = TEXTS[text]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "model.safetensors"
        log = train(path, output, *options, "--minutes", f"{minutes:g}", *more)
        made = load(output)
    chosen = {**made.model.to_json(), **made.training.to_json()}
    return {
        "nats": best_nats(log),
        "steps": log[-1]["step"],
        "on": datetime.date.today().isoformat(),
        "options": more,
        **{name: chosen[name] for name in CHOSEN},
    }


def run_long() -> Iterator[Row]:
    """The whole grid, or what is missing of it."""
    yield from complete(Grid(), list(TEXTS), MINUTES)


@click.command()
@click.option("--text", "texts", multiple=True, type=click.Choice(list(TEXTS)))
@click.option("--minutes", "budgets", multiple=True, type=click.FloatRange(0, min_open=True))
@click.option("--choice", "choices", multiple=True, type=click.Choice(ALTERNATIVES))
@click.option("--file", "path", type=click.Path(path_type=Path), default=FILE)
@click.option("--redo", is_flag=True, help="Repeat the runs that are there.")
def main(
    texts: tuple[str, ...],
    budgets: tuple[float, ...],
    choices: tuple[str, ...],
    path: Path,
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
