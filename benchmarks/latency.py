"""From the command to its first answer, each command in a fresh process."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.commands import CHARLM
from benchmarks.harness import Row, alternate
from benchmarks.sampling import random_weights
from charlm.checkpoint import Checkpoint, CorpusRecord, save
from charlm.config import ModelConfig, TrainConfig
from charlm.tokenizers import train_tokenizer

RUNS = 9
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,;:!?'-\n01"
SIZE = 2, 512  # layers, hidden size


def run(runs: int = RUNS) -> Iterator[Row]:
    """Seconds to the first character of each command, beside importing torch and doing nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(make_checkpoint(Path(folder) / "model.safetensors", *SIZE))
        commands = {
            "sample, its first character": (0.4, ["sample", path, "--length", "2000"]),
            "score of a sentence": (0.4, ["score", path, "The cat was full."]),
            "info": (0.3, ["info", path]),
            "--help": (0.15, ["--help"]),
        }
        imports, *spreads = alternate(
            runs,
            lambda: _first_byte([sys.executable, "-c", "import torch; print(1)"]),
            *(partial(_first_byte, [*CHARLM, *arguments]) for _, arguments in commands.values()),
        )
    for (name, (goal, _)), spread in zip(commands.items(), spreads, strict=True):
        yield Row(
            f"charlm {name} (2 × 512)",
            "s",
            f"{goal}",
            f"{imports} importing torch",
            str(spread),
            imports.median / spread.median,
            spread.median <= goal,
        )


def make_checkpoint(path: Path, layers: int, hidden_size: int) -> Path:
    """An untrained model of LETTERS; gives its path."""
    tokenizer = train_tokenizer("characters", [LETTERS])
    config = ModelConfig(tokenizer.size, layers=layers, hidden_size=hidden_size, embedding_size=64)
    about = CorpusRecord(
        name="random",
        train_characters=1,
        valid_characters=1,
        train_tokens=1,
        tokens_per_character=1.0,
        digest="",
    )
    save(path, Checkpoint(config, tokenizer, random_weights(config), TrainConfig(steps=1), about))
    return path


def _first_byte(command: list[str]) -> float:
    """Seconds from starting the command to the first byte of its output."""
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.read(1)
        spent = time.perf_counter() - begun
        process.kill()
    return spent
