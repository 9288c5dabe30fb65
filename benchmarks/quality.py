"""How good a model the minutes make: `charlm train --minutes M` alone, then `charlm eval`."""

import bz2
import lzma
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands import best_nats, evaluation, train
from benchmarks.harness import (
    CORPORA,
    NO_BFLOAT16,
    SHAKESPEARE,
    Row,
    Spread,
    not_measured,
    seconds,
)
from benchmarks.results import recorded
from charlm.api import load
from charlm.corpus import tokenize
from charlm.devices import has_bfloat16
from charlm.scoring import evaluate

SMALL_GPT = 1.4697  # nats: what nanoGPT's README reports after 3 minutes of an A100
SMALL_GPT_ON_CPU = 1.8857  # nats: what its recipe for a CPU reaches
GOALS = {1.0: SMALL_GPT, 10.0: 1.40}  # minutes → nats per character
FIRST = 8.0  # seconds of training to SMALL_GPT_ON_CPU
SHORTEST = 0.2  # minutes of the run that is to reach it
PTB_MINUTES, PTB_GOAL = 30.0, 1.28  # bits per character of the test text
PUBLISHED = "1.175 (AWD-LSTM, 500 epochs)"
BFLOAT16_ERROR = 0.002  # bits per character, at most
SEEDS = 3
WINDOWS, WINDOW = 400, 256
LONG = "it takes long: make bench-long"


def run(minutes: float = 1.0, shortest: float = SHORTEST, seeds: int = SEEDS) -> Iterator[Row]:
    """tinyshakespeare in a minute and in seconds; what the long runs gave when they were made."""
    if SHAKESPEARE.exists():
        with tempfile.TemporaryDirectory() as folder:
            yield from shakespeare(Path(folder), minutes, seeds)
            yield _time_to_small_gpt(Path(folder), shortest, seeds)
    else:
        yield _absent(_named(minutes))
    nats, bits = "nats/character", "bits/character"
    long = ((_named(10), nats, _goal(10)), (_treebank_named(PTB_MINUTES), bits, f"{PTB_GOAL}"))
    for what, unit, goal in long:
        yield recorded(what) or not_measured(what, unit, goal, LONG)


def run_long(minutes: float = 10.0, ptb_minutes: float = PTB_MINUTES) -> Iterator[Row]:
    """tinyshakespeare in 10 minutes, Penn Treebank by characters in 30."""
    if not SHAKESPEARE.exists():
        yield _absent(_named(minutes))
        return
    with tempfile.TemporaryDirectory() as folder:
        yield from shakespeare(Path(folder), minutes, 1)
        yield _treebank(Path(folder), ptb_minutes)


def _named(minutes: float) -> str:
    return f"tinyshakespeare, last 10 %, --minutes {minutes:g}, state carried"


def _goal(minutes: float) -> str:
    return f"{GOALS[minutes]} within {60 * minutes:g} s" if minutes in GOALS else "–"


def _treebank_named(minutes: float) -> str:
    return f"Penn Treebank, characters, test, --minutes {minutes:g}"


def _absent(what: str) -> Row:
    return not_measured(what, "nats/character", "–", "../shared/corpora is not here")


def shakespeare(folder: Path, minutes: float, seeds: int) -> Iterator[Row]:
    """The last tenth's nats per character after the minutes, by both protocols."""
    text = SHAKESPEARE.read_text()
    learned, held = text[: int(len(text) * 0.9)], text[int(len(text) * 0.9) :]
    tenth = folder / "last-tenth.txt"
    tenth.write_text(held)
    outputs = [folder / f"shakespeare-{seed}.safetensors" for seed in range(1, seeds + 1)]
    spent = [
        seconds(lambda: train(SHAKESPEARE, output, *_budget(minutes, seed)))  # noqa: B023
        for seed, output in enumerate(outputs, 1)
    ]
    carried = Spread.of([evaluation(output, tenth)["nats_per_token"] for output in outputs])
    yield _carried(minutes, carried, Spread.of(spent))
    yield _cold(minutes, Spread.of([_cold_nats(output, held) for output in outputs]))
    yield _compressors(minutes, carried, learned, held)
    yield _in_bfloat16(minutes, outputs[0], held)


def _budget(minutes: float, seed: int) -> list[str]:
    return ["--minutes", f"{minutes:g}", "--seed", str(seed)]


def _carried(minutes: float, nats: Spread, wall: Spread) -> Row:
    goal = GOALS.get(minutes)
    return Row(
        _named(minutes),
        "nats/character",
        _goal(minutes),
        f"{SMALL_GPT} (a small GPT, 3 minutes of an A100)",
        f"{nats}; the command took {wall} s",
        None if goal is None else nats.median / goal,
        None if goal is None else nats.median <= goal,
    )


def _cold(minutes: float, nats: Spread) -> Row:
    return Row(
        f"tinyshakespeare, last 10 %, --minutes {minutes:g}, cold windows of {WINDOW}",
        "nats/character",
        "–",
        f"{SMALL_GPT} (the small GPT, measured so)",
        str(nats),
        nats.median / SMALL_GPT,
        None,
    )


def _cold_nats(checkpoint: Path, text: str) -> float:
    """Nats per character over random windows, each from the zero state, its first not counted."""
    model = load(checkpoint)
    starts = np.random.default_rng(1).integers(0, len(text) - WINDOW - 1, WINDOWS)
    windows = [text[start : start + WINDOW + 1] for start in starts]
    both = (model.scores(windows), model.scores([window[0] for window in windows]))
    whole, first = (sum(score.log_probability for score in scores) for scores in both)
    return (first - whole) / (WINDOWS * WINDOW)


def _compressors(minutes: float, nats: Spread, learned: str, held: str) -> Row:
    """What two compressors need for the last tenth once they have seen the rest."""
    bits = nats.times(1 / math.log(2))
    needed = {
        "xz": _given(lambda text: lzma.compress(text, preset=9), learned, held),
        "bz2": _given(bz2.compress, learned, held),
    }
    return Row(
        f"the same beside compressors that have seen the rest, --minutes {minutes:g}",
        "bits/character",
        "–",
        ", ".join(f"{value:.3f} {name}" for name, value in needed.items()),
        str(bits),
        bits.median / min(needed.values()),
        None,
    )


def _given(compress: Callable[[bytes], bytes], learned: str, held: str) -> float:
    both, first = len(compress((learned + held).encode())), len(compress(learned.encode()))
    return 8 * (both - first) / len(held)


def _in_bfloat16(minutes: float, checkpoint: Path, text: str) -> Row:
    """By how much scoring in bfloat16 errs, in bits per character."""
    from charlm.bulk import TorchEngine
    from charlm.model import LanguageModel

    what, goal = f"scoring it in bfloat16, the error, --minutes {minutes:g}", BFLOAT16_ERROR
    if not has_bfloat16("cpu"):
        return not_measured(what, "bits/character", f"at most {goal}", NO_BFLOAT16)
    made = load(checkpoint).checkpoint
    model = LanguageModel(made.model, made.weights)
    tokens = tokenize([[text]], made.tokenizer, per_line=False)
    exact, rounded = (
        evaluate(TorchEngine(model.eval(), precision), tokens, 32).bits_per_character
        for precision in ("float32", "bfloat16")
    )
    error = abs(rounded - exact)
    return Row(
        what,
        "bits/character",
        f"at most {goal}",
        f"{exact:.5f} in float32",
        f"{error:.5f}",
        error / goal,
        error <= goal,
    )


def _time_to_small_gpt(folder: Path, minutes: float, seeds: int) -> Row:
    """Seconds of training until the first validation that is as good, of a short run."""
    times, reached = [], []
    for seed in range(1, seeds + 1):
        output = folder / "short.safetensors"
        log = train(SHAKESPEARE, output, *_budget(minutes, seed))
        times.append(_seconds_to(SMALL_GPT_ON_CPU, log, output))
        reached.append(best_nats(log))
    spread, nats = Spread.of(times), Spread.of(reached)
    return Row(
        f"training until {SMALL_GPT_ON_CPU} nats, in a run of --minutes {minutes:g}",
        "s",
        f"{FIRST:g}",
        "123 (the small GPT's recipe for a CPU)",
        f"{spread}, {nats} nats at its end",
        spread.median / FIRST,
        spread.median <= FIRST,
    )


def _seconds_to(goal: float, log: list[dict[str, Any]], checkpoint: Path) -> float:
    """From where training began (reading and planning are not training); inf if never."""
    begun = float(load(checkpoint).checkpoint.progress["training_from"])
    good = [record for record in log if record["valid_nats"] and record["valid_nats"] <= goal]
    return good[0]["seconds"] - begun if good else math.inf


def _treebank(folder: Path, minutes: float) -> Row:
    output = folder / "ptb.safetensors"
    options = ["--valid", str(CORPORA / "ptb" / "valid.txt"), "--minutes", f"{minutes:g}"]
    train(CORPORA / "ptb" / "train.txt", output, *options)
    bits = evaluation(output, CORPORA / "ptb" / "test.txt")["bits_per_character"]
    return Row(
        _treebank_named(minutes),
        "bits/character",
        f"{PTB_GOAL}",
        PUBLISHED,
        f"{bits:.4f}",
        bits / PTB_GOAL,
        bits <= PTB_GOAL,
    )
