"""Texts of every length and of any bytes: read, or refused in one line."""

import random
from pathlib import Path

from charlm.errors import CharlmError
from charlm.text import open_text, text_of
from torture.saving import draw_bytes

BPTT = 4


def lengths(share: float, seed: int) -> tuple[int, list[str]]:
    """Texts from none to three windows, in every batch size and validation share."""
    from charlm.corpus import build_corpus
    from charlm.planning import Machine
    from charlm.run import begin

    machine = Machine(device="cpu", precision="float32", threads=1, rate=1e11)
    choose = random.Random(seed)
    tried, failures = 0, []
    sizes = {"hidden_size": 3, "embedding_size": 2, "bptt": BPTT, "steps": 3}
    for batch in (1, 2, 3, 8):
        for length in range(3 * batch * BPTT + 2):
            for valid in (0.01, 0.1, 0.5, 0.99):
                for per_line in (False, True):
                    if choose.random() >= share:
                        continue
                    tried += 1
                    text = "".join(choose.choice("ab\n") for _ in range(length))
                    try:
                        corpus = build_corpus(
                            text_of(text), valid_fraction=valid, per_line=per_line
                        )
                        run = begin(corpus, machine, {**sizes, "batch_size": batch})
                        for _ in run.training.run():
                            pass
                    except CharlmError as error:
                        if "\n" in str(error):
                            failures.append(f"{text!r}: {error}")
                    except BaseException as error:
                        failures.append(f"{text!r}, {batch}, {valid}: {type(error)}: {error}")
    return tried, failures


def fuzzed(count: int, seed: int, folder: Path) -> tuple[int, list[str]]:
    """Files of any bytes: decoded as Python decodes them, or refused with the byte's offset."""
    draw = random.Random(seed)
    failures = []
    path = folder / "text"
    for number in range(count):
        made = draw_bytes(draw, 30)
        encoding = draw.choice(["utf-8", "utf-8", "utf-16", "utf-32", "latin-1", "cp1252"])
        path.write_bytes(made)
        try:
            read = "".join(open_text([path], encoding).chunks())
        except CharlmError as error:
            known = ("at byte ", "is empty", "no byte order mark", "lone surrogate")
            if "\n" in str(error) or not any(sign in str(error) for sign in known):
                failures.append(f"{number} {made!r}: {error}")
        except BaseException as error:
            failures.append(f"{number} {made!r}: {type(error)}: {error}")
        else:
            if read.lstrip("\ufeff") != made.decode(encoding).lstrip("\ufeff"):
                failures.append(f"{number} {made!r}: read as {read!r}")
    return count, failures
