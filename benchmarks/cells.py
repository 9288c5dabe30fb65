"""The seven cells at equal parameters and equal minutes, and how fast each trains.

    python -m benchmarks.cells --seconds 180 --keep cells/
    python -m benchmarks.cells --speed

For each text and cell: `charlm train` with the hidden size that comes nearest to the parameters
asked for; everything else is as planned for that time. Writes a Markdown table, a picture and JSON
with every learning curve into benchmarks/results/; --keep leaves checkpoints and logs for
`charlm plot`, `charlm probe` and `charlm gradients`.
"""

import datetime
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks.commands import train
from benchmarks.harness import SHAKESPEARE, Spread, alternate, machine
from charlm.checkpoint import load
from charlm.config import CELLS, ModelConfig

ROOT = Path(__file__).resolve().parents[1]
TEXTS = {
    "cats (the shipped grammar)": ROOT / "corpora/cats/cats.txt",
    "tinyshakespeare": SHAKESPEARE,
}
EMBEDDING = 64
COLOURS = ("#0b3c7d", "#c2570c", "#4d8f5b", "#8d5fb0", "#6f6f6f", "#b8860b", "#000000")
STYLES = ("-", "--", ":", "-.")
COLUMNS = ["text", "cell", "hidden", "parameters", "characters/s", "steps", "bits per character"]


@click.command()
@click.option("--seconds", type=float, default=180.0, help="Time of each run.  [default: 180]")
@click.option("--parameters", type=int, default=400_000, help="Of each model.  [default: 400,000]")
@click.option("--keep", type=click.Path(path_type=Path), help="Leave checkpoints and logs here.")
@click.option("--speed", "only_speed", is_flag=True, help="Only time a step of each cell.")
def main(seconds: float, parameters: int, keep: Path | None, only_speed: bool) -> None:
    """Compare the seven cells."""
    if only_speed:
        _write("cells-speed", SPEED_COLUMNS, speeds())
        return
    with tempfile.TemporaryDirectory() as folder:
        records = compare(seconds, parameters, keep or Path(folder))
    remark = f"{seconds:g} s each; the grammar's entropy: {_entropy()}. "
    stem = _write("cells", COLUMNS, records, remark + "![the seven cells]({stem}.png) ")
    draw(records, stem.with_suffix(".png"))


def _entropy() -> str:
    """What no model of the shipped grammar can be better than."""
    command = [sys.executable, str(ROOT / "corpora/cats/generate.py"), "--entropy"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")[0]


def compare(seconds: float, parameters: int, folder: Path) -> list[dict[str, Any]]:
    """A run of each cell on each text that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for name, text in TEXTS.items():
        for cell in CELLS if text.exists() else ():
            records.append({"text": name, **_run(text, cell, seconds, parameters, folder)})
            click.echo("  ".join(str(records[-1][column]) for column in COLUMNS), err=True)
    return records


def _run(text: Path, cell: str, seconds: float, parameters: int, folder: Path) -> dict[str, Any]:
    output = folder / f"{text.stem}-{cell}.safetensors"
    hidden = hidden_size(cell, parameters, len(set(text.read_text())) + 2)
    sizes = ("--cell", cell, "--hidden-size", str(hidden), "--embedding-size", str(EMBEDDING))
    log = train(text, output, *sizes, "--minutes", str(seconds / 60), "--seed", "1")
    made = load(output)
    bits = made.corpus.bits_per_nat
    curve = [(r["seconds"], r["valid_nats"] * bits) for r in log if r["valid_nats"] is not None]
    return {
        "cell": cell,
        "hidden": hidden,
        "parameters": made.model.parameters,
        "characters/s": round(sorted(r["characters_per_second"] for r in log)[len(log) // 2]),
        "steps": log[-1]["step"],
        "bits per character": round(min(value for _, value in curve), 4),
        "training": made.training.to_json(),
        "curve": curve,
    }


def hidden_size(cell: str, parameters: int, vocabulary: int) -> int:
    """The size of one layer whose model's parameters come nearest to the number given."""

    def distance(size: int) -> int:
        return abs(ModelConfig(vocabulary, cell, 1, size, EMBEDDING).parameters - parameters)

    return min(range(1, 4096), key=distance)


def draw(records: list[dict[str, Any]], path: Path) -> None:
    """The validation's course of every cell, a panel for each text, the best named first."""
    from matplotlib.figure import Figure

    texts = list(dict.fromkeys(record["text"] for record in records))
    figure = Figure(figsize=(5.0 * len(texts), 3.8), dpi=100, layout="constrained")
    for number, text in enumerate(texts, 1):
        axes = figure.add_subplot(1, len(texts), number)
        drawn = [record for record in records if record["text"] == text]
        for record in sorted(drawn, key=lambda record: float(record["bits per character"])):
            style = CELLS.index(record["cell"])
            label = f"{record['cell']}  {record['bits per character']:.3f}"
            axes.plot(
                *zip(*record["curve"], strict=True),
                STYLES[style % len(STYLES)],
                color=COLOURS[style % len(COLOURS)],
                label=label,
            )
        least = min(record["bits per character"] for record in drawn)
        axes.set_ylim(0.97 * least, 1.5 * least)
        axes.set_title(text, fontsize=10)
        axes.set_xlabel("seconds")
        axes.set_ylabel("validation, bits per character")
        axes.grid(axis="y", color="#dddddd")
        axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, metadata={"Software": None})


SPEED_COLUMNS = ["cell", "precision", "milliseconds", "times the lstm's speed"]


def speeds() -> list[dict[str, Any]]:
    """Forward and backward of 1 × 512, batch 32, 64 steps, all cells and torch's GRU in turn."""
    import torch

    from charlm.cells import CELL_CLASSES, initialise
    from charlm.devices import has_bfloat16

    layers = {cell: CELL_CLASSES[cell](EMBEDDING, 512) for cell in CELLS}
    for cell, layer in layers.items():
        initialise(layer, cell)
    layers["torch.nn.GRU"] = torch.nn.GRU(EMBEDDING, 512)
    records = []
    for precision in ("float32", "bfloat16") if has_bfloat16("cpu") else ("float32",):
        steps = [_step(layer, cell, precision) for cell, layer in layers.items()]
        spreads = dict(zip(layers, alternate(9, *steps), strict=True))
        records += [_speed(cell, precision, spreads) for cell in layers]
    return records


def _speed(cell: str, precision: str, spreads: dict[str, Spread]) -> dict[str, Any]:
    ratio = spreads["lstm"].median / spreads[cell].median
    return dict(
        zip(SPEED_COLUMNS, (cell, precision, str(spreads[cell]), f"{ratio:.2f}"), strict=True)
    )


def _step(layer: Any, cell: str, precision: str) -> Callable[[], float]:
    import torch

    inputs, zeros = torch.randn(64, 32, EMBEDDING), torch.zeros(1, 32, 512)
    state = (zeros, zeros) if cell.startswith("lstm") else zeros

    def step() -> float:
        begun = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            hidden, _ = layer(inputs, state)
        hidden.float().square().mean().backward()
        return 1000 * (time.perf_counter() - begun)

    return step


def _write(name: str, columns: list[str], records: list[dict[str, Any]], remark: str = "") -> Path:
    lines = [columns, ["---"] * len(columns)]
    lines += [[str(record[column]) for column in columns] for record in records]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    about = machine()
    described = ", ".join(f"{key} {value}" for key, value in about.items())
    stem = ROOT / "benchmarks" / "results" / f"{datetime.date.today().isoformat()}-{name}"
    stem.parent.mkdir(exist_ok=True)
    stem.with_suffix(".json").write_text(json.dumps({"machine": about, "rows": records}) + "\n")
    remark = remark.format(stem=stem.name)
    stem.with_suffix(".md").write_text(f"{remark}Measured on: {described}.\n\n{table}")
    click.echo(table)
    return stem


if __name__ == "__main__":
    main()
