"""`make torture`: every trial, in two hours on two cores; prints a table of counts and failures.

`--share 0.02` makes 2 % of each row's trials, `--rows kill resume` some rows alone.
"""

import argparse
import os
import random
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

    return stops(part(200, share), 1, folder)


def kill(share: float, folder: Path) -> Result:
    from torture.crashes import kills

    return kills(part(1000, share), 1, folder)


def save_faults(share: float, folder: Path) -> Result:
    from conftest import random_checkpoint

    from torture.crashes import FAULTS, faults
    from torture.saving import save_faults

    folder.mkdir()
    alone = save_faults(random_checkpoint(), random_checkpoint(tokenizer="words"), folder)
    kinds = FAULTS if share == 1 else FAULTS[:1]
    training = faults(folder / "training", kinds)
    return alone[0] + training[0], alone[1] + training[1]


def signals(share: float, folder: Path) -> Result:
    from torture.crashes import signals

    return signals(part(200, share), 1, folder)


def damage(share: float, folder: Path) -> Result:
    from torture.damage import refusals

    folder.mkdir()
    tried, failures = 0, []
    for golden in goldens()[:1] if share < 1 else goldens()[:2]:
        more, found = refusals(golden, folder, share, 1)
        tried, failures = tried + more, failures + found
    return tried, failures


def malformed(share: float, folder: Path) -> Result:
    from torture.fuzz import read
    from torture.malformed import crafted, crafted_subwords, foreign

    del share
    folder.mkdir()
    files = dict(foreign())
    for golden in goldens():
        if b"resume.state.0.0" in golden and b"unigram" not in golden and b"lstm" in golden:
            files |= dict(crafted(golden))
        if b"tokenizer.sentencepiece" in golden:
            files |= dict(crafted_subwords(golden))
    failures = [
        f"{name}: {wrong}" for name, made in files.items() if (wrong := read(made, folder / "x"))
    ]
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
    of_lengths, of_bytes = lengths(share, 1), fuzzed(part(50_000, share), 1, folder)
    return of_lengths[0] + of_bytes[0], of_lengths[1] + of_bytes[1]


def tokenizers(share: float, folder: Path) -> Result:
    from conftest import TOKENIZER_TEXT

    from charlm.tokenizers import train_tokenizer

    del folder
    draw, failures, tried = random.Random(1), [], 0
    scalars = [*range(0xD800), *range(0xE000, 0x110000)]
    sizes = {"unigram": 330, "bpe": 330}
    known = {
        kind: train_tokenizer(kind, [TOKENIZER_TEXT], 1, sizes.get(kind))
        for kind in ("bytes", "unigram", "bpe")
    }
    known["characters"] = train_tokenizer("characters", ["".join(map(chr, scalars))])
    special = ["<EOS>", "<UNK>", "\u2581", "\ufeff", "\0", "\r\n", "  "]
    texts = [chr(code) for code in scalars[:: max(1, round(1 / share))]]
    texts += [f"a {character}b" for character in texts]
    for _ in range(part(100_000, share)):
        pieces = [chr(draw.choice(scalars)) for _ in range(draw.randrange(12))]
        texts.append("".join([*pieces, *draw.choices(special, k=draw.randrange(3))]))
    for kind, tokenizer in known.items():
        for string in texts:
            tried += 1
            ids = tokenizer.encode(string).tolist()
            decoder = tokenizer.decoder()
            fed = "".join(map(decoder.feed, ids)) + decoder.finish()
            if not string == fed == tokenizer.decode(ids):
                failures.append(f"{kind}: {string!r} became {fed!r}")
    return tried, failures


def memory(share: float, folder: Path) -> Result:
    from torture.memory import growth

    folder.mkdir()
    sizes = (1.0, 2.0, 4.0) if share == 1 else (0.05, 0.1, 0.2)
    return growth(folder, sizes, 90)


def not_finite(share: float, folder: Path) -> Result:
    import math

    import torch
    from conftest import corpus_of, fixed_machine

    from charlm.checkpoint import load, save
    from charlm.run import begin

    folder.mkdir()
    draw, failures = random.Random(1), []
    injected, healthy = part(50, share), part(20, share)
    chosen = {"hidden_size": 8, "embedding_size": 4, "batch_size": 3, "bptt": 8, "steps": 40}
    for number in range(injected + healthy):
        run = begin(
            corpus_of("The cat was full.\n" * 30), fixed_machine(), {**chosen, "seed": number}
        )
        when = draw.randrange(40) if number < injected else -1
        value = draw.choice([math.nan, math.inf, -math.inf])
        for step, _ in enumerate(run.training.run()):
            if step == when:
                weights = draw.choice(list(run.training.model.parameters())).view(-1)
                with torch.no_grad():
                    weights[draw.randrange(len(weights))] = value
            save(folder / "model", run.checkpoint())
        load(folder / "model")
        if run.training.place["failures"] != (number < injected):
            failures.append(f"run {number}: {run.training.place['failures']} failures told")
    return injected + healthy, failures


def two_at_once(share: float, folder: Path) -> Result:
    from conftest import random_checkpoint

    from torture.crashes import two_at_once
    from torture.saving import read_while_saving

    starts = two_at_once(part(100, share), 1, folder)
    checkpoints = random_checkpoint(), random_checkpoint(tokenizer="words")
    reads = read_while_saving(*checkpoints, part(1000, share), folder)
    return starts[0] + reads[0], starts[1] + reads[1]


def pytest_rows(*paths: str) -> Callable[[float, Path], Result]:
    """Rows that are whole as they stand among the tests: folders, terminal, locales, figures."""

    def row(share: float, folder: Path) -> Result:
        import re
        import subprocess

        del share, folder
        command = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", *paths]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        counts = re.findall(r"[.FEsx]", "".join(re.findall(r"^[.FEsx]+ ", done.stdout, re.M)))
        return len(counts), re.findall(r"^(?:FAILED|ERROR) .*", done.stdout, re.M)

    return row


ROWS: dict[str, Callable[[float, Path], Result]] = {
    "kill": kill,
    "fuzz": fuzz,
    "resume": resume,
    "signals": signals,
    "save-faults": save_faults,
    "two-at-once": two_at_once,
    "memory": memory,
    "tokenizers": tokenizers,
    "damage": damage,
    "malformed": malformed,
    "text": text,
    "not-finite": not_finite,
    "order-and-folders": pytest_rows("tests/test_reliability.py"),
    "errors-and-locales": pytest_rows("tests/cli/test_errors.py"),
    "terminal": pytest_rows("tests/cli/test_terminal.py"),
    "figures": pytest_rows("tests/test_scoring.py", "tests/test_inference.py"),
    "older-files": pytest_rows("tests/test_golden.py"),
}


def part(count: int, share: float) -> int:
    """A share of a count, at least 2."""
    return max(2, round(count * share))


def goldens() -> list[bytes]:
    """The small checkpoints that are kept, the smallest first."""
    folder = Path(__file__).parent.parent / "golden"
    return sorted((path.read_bytes() for path in folder.glob("*.safetensors")), key=len)


def timed(name: str, share: float, folder: Path) -> tuple[str, int, list[str], float]:
    """A row's result; a row that breaks off has failed."""
    began = time.monotonic()
    try:
        tried, failures = ROWS[name](share, folder)
    except Exception as error:
        tried, failures = 0, [f"{type(error).__name__}: {error}"]
    return name, tried, failures, time.monotonic() - began


def main() -> int:
    """Runs the rows two at a time and prints the table; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    options = parser.parse_args()
    print(f"{'row':<20} {'tried':>10} {'failed':>7} {'seconds':>8}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory() as place, ProcessPoolExecutor(2) as pool:
        waiting = [
            pool.submit(timed, name, options.share, Path(place) / name) for name in options.rows
        ]
        for result in waiting:
            name, tried, failures, seconds = result.result()
            failed += len(failures)
            print(f"{name:<20} {tried:>10,} {len(failures):>7,} {seconds:>8.0f}", flush=True)
            for failure in failures[:5]:
                print(f"    {failure[:500]}", flush=True)
    print(f"{'all':<20} {'':>10} {failed:>7,}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
