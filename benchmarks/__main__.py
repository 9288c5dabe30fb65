"""`python -m benchmarks [NAME…]`: runs benchmarks, writes dated JSON and a Markdown table."""

import dataclasses
import datetime
import importlib
import json
from pathlib import Path

import click

from benchmarks.harness import Row, machine, markdown

SHORT = ("latency", "sampling", "training", "scoring", "reading")
LONG = ("quality", "defaults")
RESULTS = Path(__file__).parent / "results"


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(SHORT + LONG), metavar="[NAME...]")
@click.option("--long", "is_long", is_flag=True, help="Run the long ones: minutes of training.")
def main(names: tuple[str, ...], is_long: bool) -> None:
    """Measure charlm beside its references; all short benchmarks unless NAMEs are given."""
    rows: list[Row] = []
    for name in names or (LONG if is_long else SHORT):
        click.echo(f"{name} …", err=True)
        found = importlib.import_module(f"benchmarks.{name}").run()
        click.echo(markdown(found))
        rows += found
    _write(rows, "-".join(names) or ("long" if is_long else "short"))


def _write(rows: list[Row], name: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    stem = RESULTS / f"{datetime.date.today().isoformat()}-{name}"
    about = machine()
    record = {"machine": about, "rows": [dataclasses.asdict(row) for row in rows]}
    stem.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    described = ", ".join(f"{key} {value}" for key, value in about.items())
    stem.with_suffix(".md").write_text(f"Measured on: {described}.\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
