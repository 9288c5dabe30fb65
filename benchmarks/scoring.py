"""Scoring in bulk: a long file with streams, and lines of mixed length beside equal ones."""

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.commands import CHARLM, cost
from benchmarks.harness import NO_BFLOAT16, Row, Spread, alternate, not_measured, seconds
from benchmarks.latency import LETTERS, make_checkpoint
from benchmarks.products import best, ways
from benchmarks.sampling import random_weights
from benchmarks.trainer import network, operations
from charlm.bulk import TorchEngine
from charlm.corpus import Tokens
from charlm.devices import has_bfloat16
from charlm.model import LanguageModel
from charlm.scoring import evaluate
from charlm.tokenizers import EOS

EVENTS = 400_000  # of the long file
LINES, LENGTH = 21_000, 40  # of the file of lines: the number, their mean length
LONGEST = 400
STREAMS, HIDDEN = 128, 512
SHARE, KEPT = 0.6, 0.85


def run(
    hidden: int = HIDDEN, events: int = EVENTS, lines: int = LINES, runs: int = 3
) -> Iterator[Row]:
    """Tokens a second, as a share of the rate of a product of the same shape and precision."""
    for precision in ("float32", "bfloat16"):
        yield _long_file(hidden, events, precision, runs)
    yield from _lines(hidden, lines, min(runs, 2))


def _long_file(hidden: int, events: int, precision: str, runs: int) -> Row:
    """What `eval --streams` does of a long file."""
    name = f"eval, {STREAMS} streams, 1 × {hidden}, {precision}"
    if precision == "bfloat16" and not has_bfloat16("cpu"):
        return not_measured(name, "tokens/s", f"{SHARE:.0%} of the product rate", NO_BFLOAT16)
    config = network("lstm", 1, hidden)
    model = LanguageModel(config, random_weights(config))
    engine = TorchEngine(model.eval(), precision)
    ids = np.random.default_rng(1).integers(2, config.vocabulary_size, events + 1)
    ids[0] = EOS
    tokens = Tokens(ids, events, events, per_line=False)
    streams, *rates = alternate(
        runs,
        lambda: events / seconds(partial(evaluate, engine, tokens, STREAMS)),
        *ways(4096, 64 + hidden, 4 * hidden, precision),
    )
    return _share(name, streams, best(rates), hidden)


def _share(name: str, measured: Spread, rate: Spread, hidden: int) -> Row:
    possible = rate.times(1 / operations(network("lstm", 1, hidden)))
    return Row(
        name,
        "tokens/s",
        f"{SHARE:.0%} of the product rate",
        f"{possible} at the product rate",
        str(measured),
        measured.median / possible.median,
        measured.median >= SHARE * possible.median,
    )


def _lines(hidden: int, count: int, runs: int) -> Iterator[Row]:
    """The command `score -f`, less the time that it takes for a single line."""
    random = np.random.default_rng(1)
    lengths = np.clip(random.geometric(1 / LENGTH, count), 1, LONGEST)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = make_checkpoint(folder / "model.safetensors", 1, hidden)
        single = _write(folder / "single.txt", [LENGTH], random)
        equal = _write(folder / "equal.txt", [LENGTH] * count, random)
        mixed = _write(folder / "mixed.txt", lengths.tolist(), random)
        start = alternate(3, lambda: _score(checkpoint, single))[0].median
        alike, unlike, *rates = alternate(
            runs,
            lambda: LENGTH * count / (_score(checkpoint, equal) - start),
            lambda: int(lengths.sum()) / (_score(checkpoint, mixed) - start),
            *ways(4096, 64 + hidden, 4 * hidden, "float32"),
            unmeasured=0,
        )
    yield _share(f"score -f, lines of mixed length, 1 × {hidden}", unlike, best(rates), hidden)
    yield Row(
        f"score -f, lines of mixed length beside equal ones, 1 × {hidden}",
        "tokens/s",
        f"{KEPT:.0%}",
        f"{alike} equal",
        str(unlike),
        unlike.median / alike.median,
        unlike.median >= KEPT * alike.median,
    )


def _write(path: Path, lengths: Sequence[int], random: np.random.Generator) -> Path:
    """Lines of random letters."""
    letters = np.array([letter for letter in LETTERS if letter != "\n"])
    path.write_text("".join("".join(random.choice(letters, k)) + "\n" for k in lengths))
    return path


def _score(checkpoint: Path, lines: Path) -> float:
    return cost([*CHARLM, "score", str(checkpoint), "-f", str(lines)]).seconds
