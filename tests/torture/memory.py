"""The most memory that a command takes on files of 1, 2 and 4 GB, and on a line of 1 GB."""

import subprocess
import sys
import time
from pathlib import Path

GIGABYTE = 10**9
SMALL = "--hidden-size 16 --embedding-size 8 --threads 1 --precision float32"
LINE = b"The quick brown cat sat on the mat and was full of apples and pears, it seems.\n"


def write_text(path: Path, gigabytes: float) -> None:
    """A text of lines, so large."""
    block = LINE * (2**20 // len(LINE))
    with open(path, "wb") as file:
        for _ in range(int(gigabytes * GIGABYTE / len(block))):
            file.write(block)


def own_memory(process: int) -> int:
    """Bytes of memory that only this process holds (pages of files can be dropped at any time)."""
    status = Path(f"/proc/{process}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return 1024 * int(fields.get("RssAnon", "0").split()[0])


def most_memory(arguments: list[str], seconds: float) -> tuple[int, int]:
    """The most that `charlm` takes until it ends, or is ended after so many seconds; its code.

    The exit code is 0 for what is ended here.
    """
    nothing = subprocess.DEVNULL
    command = [sys.executable, "-m", "charlm", *arguments]
    process = subprocess.Popen(command, stdout=nothing, stderr=nothing)
    most, end = 0, time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        try:
            most = max(most, own_memory(process.pid))
        except (OSError, ValueError):
            break
        time.sleep(0.05)
    running = process.poll() is None and time.monotonic() >= end
    process.terminate()
    code = process.wait()
    return most, 0 if running else code


def growth(folder: Path, sizes: tuple[float, ...], seconds: float) -> tuple[int, list[str]]:
    """Training, eval and score on each size: under 1 GB, and flat within 50 MB."""
    tried, failures = 0, []
    small, model = folder / "small.txt", str(folder / "model.safetensors")
    small.write_bytes(LINE * 500)
    sizes_of = SMALL.split()
    first = ["train", str(small), *sizes_of, "--steps", "20", "-o", model]
    subprocess.run([sys.executable, "-m", "charlm", *first], check=True, capture_output=True)
    found: dict[str, list[int]] = {"train": [], "eval": [], "score": []}
    text = folder / "large.txt"
    for size in sizes:
        write_text(text, size)
        for command, arguments in {
            "train": [str(text), *sizes_of, "--steps", "300", "-o", str(folder / "large.st")],
            "eval": [model, str(text), "--streams", "64"],
            "score": [model, "-f", str(text)],
        }.items():
            tried += 1
            most, code = most_memory([command, *arguments], seconds * max(size, 0.1))
            found[command].append(most)
            failures += [f"{command}, {size} GB: exit code {code}"] * (code != 0)
        (folder / "large.st").unlink(missing_ok=True)
    text.unlink()
    for command, taken in found.items():
        shown = ", ".join(f"{amount / 1e6:,.0f}" for amount in taken)
        print(f"      {command}: {shown} MB", file=sys.stderr)
        if max(taken) > GIGABYTE or max(taken) - min(taken) > 50e6:
            failures.append(f"{command}: {shown} MB")
    return tried, failures


def one_line(folder: Path, gigabytes: float, seconds: float) -> tuple[int, list[str]]:
    """A file without a line end: by line, too, it takes less than 1 GB."""
    text, model = folder / "line.txt", str(folder / "model.safetensors")
    with open(text, "wb") as file:
        for _ in range(int(gigabytes * 1000)):
            file.write(b"The cat, " * (10**6 // 9))
    failures = []
    commands = {
        "train": [str(text), *SMALL.split(), "--steps", "20", "-o", str(folder / "line.st")],
        "train --per-line": [
            *(str(text), "--per-line", *SMALL.split(), "--steps", "3"),
            *("-o", str(folder / "lines.st")),
        ],
        "eval": [model, str(text)],
        "eval --per-line": [str(folder / "lines.st"), str(text)],
        "score": [model, "-f", str(text)],
    }
    for name, arguments in commands.items():
        most, code = most_memory([name.split()[0], *arguments], seconds)
        shown = f"{name}, one line: {most / 1e6:,.0f} MB, exit code {code}"
        print(f"      {shown}", file=sys.stderr)
        if most > GIGABYTE or code != (name == "score"):  # which refuses such a line
            failures.append(shown)
    text.unlink()
    return len(commands), failures
