"""The texts that `charlm sample` writes: in batches, until there are as many as wanted.

Knows nothing about how they are shown.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from charlm.cli import terminal

if TYPE_CHECKING:
    from charlm.api import Model
    from charlm.text import Text

FIRST, TOGETHER = 512, 4096  # texts that are written in one batch: at first, at most
FIRST_LOOK = 64  # steps after which --stop is looked for, and then after twice as many
MOST_TRIES = 20  # texts that --unique and --novel write, at most, for each that is wanted


class Sampled(NamedTuple):
    """A text with its prompt, and whether <EOS> or --stop ended it; else --length cut it."""

    text: str
    ended: bool


def blocks(
    model: "Model", prompt: str, corpus: "Text | None", options: dict[str, Any]
) -> Iterator[list[Sampled]]:
    """--count texts that --unique and --novel leave, in blocks that grow until there are enough.

    Text k depends on the seed and k alone, so that a larger --count goes on with the same ones.
    """
    count, unique = options["count"], options["unique"]
    tries = count * MOST_TRIES if unique or options["novel"] else count
    kept = written = 0
    seen: set[str] = set()
    while kept < count and written < tries:
        size = min(max(min(count, FIRST), written), TOGETHER)
        numbers = range(written, min(written + size, tries))
        texts = _texts(model, prompt, numbers, options)
        written += len(texts)
        if unique:
            fresh: dict[str, Sampled] = {}
            for one in texts:
                fresh.setdefault(one.text, one)
            texts = [one for text, one in fresh.items() if text not in seen]
        if corpus and options["novel"]:
            texts = _novel(model, prompt, texts, corpus)
        if unique:
            seen.update(one.text for one in texts)
        yield texts[: count - kept]
        kept += len(texts)
    if kept < count:
        terminal.notice(
            f"only {kept:,} of {count:,} after {written:,} tries; a higher --temperature "
            "or another --seed may give more"
        )
    elif written > count:
        terminal.notice(f"picked from {written:,} texts")


def _novel(model: "Model", prompt: str, texts: list[Sampled], corpus: "Text") -> list[Sampled]:
    """Those of the texts that the corpus does not know."""
    from charlm.novelty import Novelty

    written = own(model, prompt, texts)
    known = Novelty.of(written, corpus, model.per_line).known if texts else ()
    return [text for text, own in zip(texts, written, strict=True) if own not in known]


def own(model: "Model", prompt: str, texts: list[Sampled]) -> list[str]:
    """What of the texts is the model's: not the prompt, unless a text is a line."""
    return [one.text if model.per_line else one.text.removeprefix(prompt) for one in texts]


def _texts(model: "Model", prompt: str, numbers: range, options: dict[str, Any]) -> list[Sampled]:
    """The texts of these numbers, written in one batch, each after the prompt.

    With --stop it is looked for at times, so that nothing is written after the last one's.
    """
    import numpy as np

    from charlm.threads import threads_for
    from charlm.tokenizers import EOS

    steps: list[Any] = []
    stop, look = options["stop"], FIRST_LOOK

    def texts() -> list[str]:
        columns = np.array(steps).reshape(-1, len(numbers)).T
        return ["".join(model.written(prompt, column.tolist())) for column in columns]

    def stopped(text: str) -> bool:
        return bool(stop) and stop in text

    with threads_for(model.checkpoint.model.parameters):
        for tokens in tokens_of(model, prompt, numbers, options):
            steps.append(tokens)
            if stop and len(steps) == look:
                look *= 2
                going = zip(texts(), tokens, strict=True)
                if all(stopped(text) for text, token in going if token != EOS):
                    break
    ended = (steps[-1] == EOS).tolist() if steps else [False] * len(numbers)
    return [
        Sampled(prompt + (text.partition(stop)[0] if stop else text), whole or stopped(text))
        for text, whole in zip(texts(), ended, strict=True)
    ]


def tokens_of(
    model: "Model", prompt: str, numbers: range, options: dict[str, Any]
) -> Iterator[Any]:
    """The next token of each of these texts, as `Model.stream` draws them."""
    return model.stream(
        prompt,
        length=options["length"],
        temperature=options["temperature"],
        top_k=options["top_k"],
        top_p=options["top_p"],
        min_p=options["min_p"],
        seeds=[[options["seed"], number] for number in numbers],
        allow_unk=options["allow_unk"],
        on_unknown=options["on_unknown"],
        device=options["device"],
    )
