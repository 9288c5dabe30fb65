"""`make torture`: every trial, in two hours on two cores; prints a table of counts and failures.

A failure is something lost (a model, a step), silent (damage that nobody was told of), a crash (a
traceback, a dead process, memory without bound) or wrong (a figure, a text, a message).
`--share 0.02` makes 2 % of each row's trials, `--rows kill resume` some rows alone.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the trials run side by side
sys.path.insert(0, str(Path(__file__).parent.parent))

Result = tuple[int, list[str]]


def resume(share: float, folder: Path) -> Result:
    from torture.crashes import stops
    from torture.stopping import every_step

    processes = stops(part(200, share), 1, folder)
    return added(processes, every_step(share, folder))


def kill(share: float, folder: Path) -> Result:
    from torture.crashes import kills

    return kills(part(1000, share), 1, folder)


def save_faults(share: float, folder: Path) -> Result:
    from conftest import random_checkpoint

    from torture.crashes import FAULTS, faults
    from torture.saving import save_faults

    folder.mkdir()
    alone = save_faults(random_checkpoint(), random_checkpoint(tokenizer="words"), folder)
    kinds, most = (FAULTS, 5) if share == 1 else (FAULTS[:1], 1)
    return added(alone, faults(folder / "training", kinds, most=most))


def signals(share: float, folder: Path) -> Result:
    from torture.crashes import signals

    return signals(part(200, share), 1, folder)


def damage(share: float, folder: Path) -> Result:
    from torture.damage import refusals

    folder.mkdir()
    resumable = next(golden for golden in goldens() if b"resume.state.0.0" in golden)
    return added(refusals(goldens()[0], folder, share, 1), refusals(resumable, folder, share, 1))


def malformed(share: float, folder: Path) -> Result:
    from torture.fuzz import read
    from torture.malformed import crafted, crafted_subwords, foreign

    del share
    folder.mkdir()
    files = dict(foreign())
    for golden in goldens():
        if b"resume.state.0.0" in golden and b'\\"lstm\\"' in golden:
            files |= dict(crafted(golden))
        if b"tokenizer.sentencepiece" in golden:
            files |= dict(crafted_subwords(golden))
    failures = []
    for name, made in files.items():
        before, began = most_memory(), time.monotonic()
        if wrong := read(made, folder / "x"):
            failures.append(f"{name}: {wrong}")
        if time.monotonic() - began > 1 or most_memory() - before > 500e6:
            failures.append(f"{name}: more than a second or 500 MB")
    return len(files), failures


def fuzz(share: float, folder: Path) -> Result:
    """Guided by coverage where atheris is installed, else at random."""
    import importlib.util
    import re
    import subprocess

    from torture.fuzz import fuzz

    folder.mkdir()
    if importlib.util.find_spec("atheris") is None:
        return fuzz(3600 * share, goldens(), folder)
    seconds = str(max(5, round(3600 * share)))
    command = [sys.executable, "-m", "tests.torture.fuzz", seconds]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    tried = re.search(r"Done (\d+) runs", done.stderr)
    failures = [] if done.returncode == 0 and tried else [done.stderr[-500:]]
    return int(tried[1]) if tried else 0, failures


def text(share: float, folder: Path) -> Result:
    from torture.text import fuzzed, lengths

    folder.mkdir()
    return added(lengths(share, 1), fuzzed(part(50_000, share), 1, folder))


def tokenizers(share: float, folder: Path) -> Result:
    from torture.unicode import round_trips

    del folder
    return round_trips(share, part(100_000, share), 1)


def memory(share: float, folder: Path) -> Result:
    from torture.memory import growth, one_line

    folder.mkdir()
    sizes = (1.0, 2.0, 4.0) if share == 1 else (0.05, 0.1, 0.2)
    return added(growth(folder, sizes, 40), one_line(folder, sizes[0], 40))


def not_finite(share: float, folder: Path) -> Result:
    from torture.injections import injections

    folder.mkdir()
    return injections(part(50, share), part(20, share), folder)


def two_at_once(share: float, folder: Path) -> Result:
    from conftest import random_checkpoint

    from torture.crashes import two_at_once
    from torture.saving import read_while_saving

    starts = two_at_once(part(100, share), 1, folder)
    checkpoints = random_checkpoint(), random_checkpoint(tokenizer="words")
    reads = read_while_saving(*checkpoints, part(1000, share), folder)
    return added(starts, reads)


def figures(share: float, folder: Path) -> Result:
    from torture.figures import laws

    del folder
    return laws(part(2000, share), 1)


def locales(share: float, folder: Path) -> Result:
    from torture.streams import every_way

    folder.mkdir()
    return every_way(max(share, 0.02), 1, folder)


def pytest_rows(*paths: str) -> Callable[[float, Path], Result]:
    """Rows that are whole as they stand among the tests."""

    def row(share: float, folder: Path) -> Result:
        import re
        import subprocess

        del share, folder
        command = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", *paths]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        counts = re.findall(r"[.FEsx]", "".join(re.findall(r"^[.FEsx]+ ", done.stdout, re.M)))
        return len(counts), re.findall(r"^(?:FAILED|ERROR) .*", done.stdout, re.M)

    return row


# The longest two come first, so that they run side by side.
ROWS: dict[str, tuple[str, Callable[[float, Path], Result]]] = {
    "kill": ("lost", kill),
    "fuzz": ("crashes", fuzz),
    "memory": ("crashes", memory),
    "resume": ("lost", resume),
    "signals": ("lost", signals),
    "save-faults": ("lost", save_faults),
    "two-at-once": ("lost", two_at_once),
    "tokenizers": ("wrong", tokenizers),
    "locales": ("crashes", locales),
    "figures": ("wrong", figures),
    "damage": ("silent", damage),
    "malformed": ("silent", malformed),
    "text": ("crashes", text),
    "not-finite": ("lost", not_finite),
    "order-and-folders": ("lost", pytest_rows("tests/test_reliability.py")),
    "messages": ("wrong", pytest_rows("tests/cli/test_errors.py", "tests/test_text.py")),
    "terminal": ("crashes", pytest_rows("tests/cli/test_terminal.py")),
    "older-files": ("lost", pytest_rows("tests/test_golden.py")),
}


def part(count: int, share: float) -> int:
    """A share of a count, at least 2."""
    return max(2, round(count * share))


def added(*results: Result) -> Result:
    """The trials and the failures of several kinds."""
    return sum(tried for tried, _ in results), [one for _, failed in results for one in failed]


def most_memory() -> int:
    """The most that this process has taken so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def goldens() -> list[bytes]:
    """The small checkpoints that are kept, the smallest first."""
    folder = Path(__file__).parent.parent / "golden"
    return sorted((path.read_bytes() for path in folder.glob("*.safetensors")), key=len)


def timed(name: str, share: float, folder: Path) -> tuple[str, int, list[str], float]:
    """A row's result; a row that breaks off has failed."""
    began = time.monotonic()
    try:
        tried, failures = ROWS[name][1](share, folder)
    except Exception as error:
        tried, failures = 0, [f"{type(error).__name__}: {error}"]
    return name, tried, failures, time.monotonic() - began


def main() -> int:
    """Runs the rows two at a time and prints the table; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    options = parser.parse_args()
    print(f"{'row':<20} {'tried':>10} {'failed':>7}          {'seconds':>8}", flush=True)
    totals = dict.fromkeys(("lost", "silent", "crashes", "wrong"), 0)
    with tempfile.TemporaryDirectory() as place, ProcessPoolExecutor(2) as pool:
        waiting = [
            pool.submit(timed, name, options.share, Path(place) / name) for name in options.rows
        ]
        for result in waiting:
            name, tried, failures, seconds = result.result()
            kind = ROWS[name][0]
            totals[kind] += len(failures)
            print(f"{name:<20} {tried:>10,} {len(failures):>7,} {kind:<8} {seconds:>8.0f}")
            print(
                *(f"    {failure[:500]}\n" for failure in failures[:5]), sep="", end="", flush=True
            )
    print(", ".join(f"{count:,} {kind}" for kind, count in totals.items()))
    return 1 if any(totals.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
