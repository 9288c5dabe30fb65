"""From the command to its first answer, each command in a fresh process."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Row
from benchmarks.sampling import random_weights
from charlm.checkpoint import Checkpoint, save
from charlm.config import ModelConfig, TrainConfig
from charlm.tokenizers import train_tokenizer

RUNS = 9
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,;:!?'-\n01"


def run() -> list[Row]:
    """Seconds to the first character of each command, beside importing torch and doing nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        _make(path)
        commands = {
            "sample, its first character": (0.4, ["sample", str(path), "--length", "2000"]),
            "score of a sentence": (0.4, ["score", str(path), "The cat was full."]),
            "info": (0.3, ["info", str(path)]),
            "--help": (0.15, ["--help"]),
        }
        imports = _first_character([sys.executable, "-c", "import torch; print(1)"])
        return [
            _row(name, goal, arguments, imports) for name, (goal, arguments) in commands.items()
        ]


def _row(name: str, goal: float, arguments: list[str], imports: list[float]) -> Row:
    times = _first_character([sys.executable, "-m", "charlm", *arguments])
    median, reference = statistics.median(times), statistics.median(imports)
    return Row(
        f"charlm {name} (2 × 512)",
        "s",
        f"{goal}",
        f"{reference:.3f} importing torch",
        f"{median:.3f} ({min(times):.3f} to {max(times):.3f})",
        reference / median,
        median <= goal,
    )


def _make(path: Path) -> None:
    tokenizer = train_tokenizer("characters", [LETTERS])
    config = ModelConfig(tokenizer.size, layers=2, hidden_size=512, embedding_size=64)
    about = {
        "name": "random",
        "train_characters": 1,
        "valid_characters": 1,
        "train_tokens": 1,
        "tokens_per_character": 1.0,
        "digest": "",
    }
    save(path, Checkpoint(config, tokenizer, random_weights(config), TrainConfig(steps=1), about))


def _first_character(command: list[str]) -> list[float]:
    """Seconds from starting the command to the first byte of its output, one run unmeasured."""
    times = []
    for _ in range(RUNS + 1):
        begun = time.perf_counter()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            assert process.stdout.read(1)
            times.append(time.perf_counter() - begun)
            process.kill()
    return times[1:]
