"""`python -m benchmarks [NAME…]`: runs benchmarks, writes dated JSON and a Markdown table.

Results are written after each row, and each benchmark runs in a process of its own: what breaks
off, or is interrupted, loses nothing that was measured before.
"""

import click

from benchmarks.child import BROKE_OFF, rows_of
from benchmarks.harness import Row, markdown
from benchmarks.results import write

# The minutes that each may take at most, well above what it takes on two quiet cores. Together
# they stay under the 30 minutes that `make bench` promises.
SHORT = {
    "quality": 6.0,
    "training": 2.0,
    "sampling": 1.5,
    "scoring": 3.5,
    "latency": 1.5,
    "reading": 2.5,
    "time_growth": 2.5,
    "memory_growth": 5.0,
    "sampling_growth": 2.0,
    "gpu": 1.5,
}
LONG = {"quality": 60.0, "time_growth": 30.0, "gpu": 30.0, "defaults": 24 * 60.0}


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME...]", type=click.Choice(sorted(SHORT | LONG)))
@click.option("--long", "is_long", is_flag=True, help="The long ones: many minutes of training.")
def main(names: tuple[str, ...], is_long: bool) -> None:
    """Measure charlm beside its references; all short benchmarks unless NAMEs are given.

    \b
    NAMEs: quality, training, sampling, scoring, latency, reading, time_growth,
    memory_growth, sampling_growth, gpu, defaults (long).

    \b
    Example:
      python -m benchmarks latency sampling
    """
    minutes = LONG if is_long else SHORT
    for name in names:
        if name not in minutes:
            raise click.UsageError(f"{name} has only a {'short' if is_long else 'long'} run")
    result = "-".join(names) + "-long" * is_long if names else "long" if is_long else "short"
    rows: list[Row] = []
    for name in names or minutes:
        click.echo(f"{name} …", err=True)
        for row in rows_of(name, "run_long" if is_long else "run", minutes[name]):
            click.echo(f"  {' | '.join(row.cells())}", err=True)
            rows.append(row)
            write(rows, result)
    click.echo(markdown(rows))
    click.echo(f"written: {write(rows, result)}", err=True)
    raise SystemExit(any(row.what.endswith(BROKE_OFF) for row in rows))


if __name__ == "__main__":
    main()
