"""The defaults beside hand-made choices: the same minutes, other sizes, dropouts and rates."""

import tempfile
from pathlib import Path

from benchmarks.harness import CORPORA, Row
from benchmarks.quality import train
from charlm.api import load

MINUTES = (1,)  # of each run; (1, 3, 10) takes a day
TEXTS = {
    "plays": ("tinyshakespeare.txt", []),
    "tunes": ("irish.abc", []),
    "names by line": ("names.txt", ["--per-line"]),
    "molecules by line": ("zinc-smiles.txt", ["--per-line"]),
}
HIDDEN = (0.5, 0.75, 1.5)  # times the planned size
OTHERS = (["--learning-rate", "0.002"], ["--learning-rate", "0.005"], ["--dropout", "0.05"])


def run() -> list[Row]:
    """For each text the plan's best validation beside the best of the grid around it."""
    present = {name: kind for name, kind in TEXTS.items() if (CORPORA / kind[0]).exists()}
    with tempfile.TemporaryDirectory() as folder:
        return [
            _row(Path(folder), name, CORPORA / file, options, minutes)
            for name, (file, options) in present.items()
            for minutes in MINUTES
        ]


def _row(folder: Path, name: str, text: Path, options: list[str], minutes: int) -> Row:
    output = folder / "model.safetensors"
    given = [*options, "--minutes", str(minutes)]
    planned = _best(train(text, output, *given))
    size = load(output).checkpoint.model.hidden_size
    grid = [["--hidden-size", str(int(size * share))] for share in HIDDEN] + [*OTHERS]
    figures = {" ".join(more): _best(train(text, output, *given, *more)) for more in grid}
    best = min(figures, key=figures.__getitem__)
    ratio = planned / figures[best]
    return Row(
        f"defaults, {name}, --minutes {minutes}",
        "nats/token",
        "within 1 % of the grid's best",
        f"{figures[best]:.4f} with {best}",
        f"{planned:.4f} (hidden size {size})",
        ratio,
        ratio <= 1.01,
    )


def _best(records: list[dict[str, float]]) -> float:
    return min(record["valid_nats"] for record in records if record["valid_nats"])
