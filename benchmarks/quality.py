"""How good a model the minutes make: `charlm train --minutes M` alone, then `charlm eval`."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.harness import CORPORA, SHAKESPEARE, Row
from charlm.api import load
from charlm.scoring import sequence_nats
from charlm.tokenizers import EOS

SMALL_GPT = 1.4697  # nats: what nanoGPT's README reports after 3 minutes of an A100
SMALL_GPT_ON_CPU = 1.8857  # nats: what its recipe for a CPU reaches
GOALS = {1: SMALL_GPT, 3: 1.52, 10: 1.40}  # minutes → nats per character
PTB_MINUTES, PTB_GOAL = 30, 1.28  # bits per character of the test text


def run() -> list[Row]:
    """tinyshakespeare in 1, 3 and 10 minutes; Penn Treebank by characters in 30."""
    if not SHAKESPEARE.exists():
        return []
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for minutes in GOALS for row in _shakespeare(Path(folder), minutes)]
        return [*rows, _treebank(Path(folder))]


def train(text: Path, output: Path, *options: str) -> list[dict[str, float]]:
    """Runs `charlm train`; gives the records of its log."""
    log = output.with_suffix(".jsonl")
    arguments = ["train", str(text), "-o", str(output), "--log", str(log), "--quiet", "--force"]
    subprocess.run([sys.executable, "-m", "charlm", *arguments, *options], check=True)
    return [json.loads(line) for line in log.read_text().splitlines()]


def evaluation(checkpoint: Path, text: Path, *options: str) -> dict[str, float]:
    """What `charlm eval --json` prints."""
    command = [sys.executable, "-m", "charlm", "eval", str(checkpoint), str(text), "--json"]
    printed = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(printed.stdout)
    return figures


def _shakespeare(folder: Path, minutes: int) -> list[Row]:
    text = SHAKESPEARE.read_text()
    held = folder / "last-tenth.txt"
    held.write_text(text[int(len(text) * 0.9) :])
    output = folder / f"shakespeare-{minutes}.safetensors"
    records = train(SHAKESPEARE, output, "--minutes", str(minutes))
    carried = evaluation(output, held)["nats_per_token"]
    goal = GOALS[minutes]
    name = f"tinyshakespeare, last 10 %, --minutes {minutes}"
    rows = [
        _nats(f"{name}, state carried", goal, carried),
        Row(
            f"{name}, cold windows of 256",
            "nats/character",
            "–",
            f"{SMALL_GPT}",
            f"{_cold(output, text[int(len(text) * 0.9) :]):.4f}",
            None,
            None,
        ),
    ]
    return rows if minutes > 1 else [*rows, _time_to_small_gpt(records)]


def _nats(name: str, goal: float, measured: float) -> Row:
    reached = measured <= goal
    return Row(name, "nats/character", f"{goal}", "–", f"{measured:.4f}", measured / goal, reached)


def _time_to_small_gpt(records: list[dict[str, float]]) -> Row:
    """Seconds of training until the first validation that is as good."""
    begun = records[0]["seconds"]
    good = [r for r in records if r["valid_nats"] and r["valid_nats"] <= SMALL_GPT_ON_CPU]
    spent = good[0]["seconds"] - begun if good else float("inf")
    return Row(
        f"training until {SMALL_GPT_ON_CPU} nats",
        "s",
        "8",
        "123 (the small GPT's recipe for a CPU)",
        f"{spent:.1f}",
        spent / 8,
        spent <= 8,
    )


def _cold(checkpoint: Path, text: str) -> float:
    """Nats per character over random windows, each from the zero state, its first not counted."""
    model = load(checkpoint)
    ids = model.tokenizer.encode(text).astype(np.intp)
    starts = np.random.default_rng(1).integers(0, len(ids) - 257, 400)
    windows = [np.concatenate([[EOS], ids[start : start + 257]]) for start in starts]
    engine = model.engine_for(10**9)
    return float(np.mean([nats[1:].mean() for nats in sequence_nats(engine, windows)]))


def _treebank(folder: Path) -> Row:
    output = folder / "ptb.safetensors"
    options = ["--valid", str(CORPORA / "ptb" / "valid.txt"), "--minutes", str(PTB_MINUTES)]
    train(CORPORA / "ptb" / "train.txt", output, *options)
    bits = evaluation(output, CORPORA / "ptb" / "test.txt")["bits_per_character"]
    return Row(
        f"Penn Treebank, characters, test, --minutes {PTB_MINUTES}",
        "bits/character",
        f"{PTB_GOAL}",
        "1.175 (AWD-LSTM, 500 epochs)",
        f"{bits:.4f}",
        bits / PTB_GOAL,
        bits <= PTB_GOAL,
    )
