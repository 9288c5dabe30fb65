"""`charlm info`: what a checkpoint holds, without torch."""

import math
from typing import Any

import click

from charlm.cli.options import checkpoint_argument, json_option


@click.command()
@checkpoint_argument
@json_option
def command(checkpoint: str, as_json: bool) -> None:
    """Show a checkpoint's model, tokenizer, corpus and training.

    \b
    Example:
      charlm info names.safetensors
    """
    from charlm.checkpoint import load
    from charlm.cli import terminal

    loaded = load(checkpoint)
    if as_json:
        terminal.write_json(_record(loaded))
    else:
        terminal.pairs(_lines(loaded))


def _record(loaded: Any) -> dict[str, Any]:
    return {
        "model": loaded.model.to_json() | {"parameters": loaded.model.parameters},
        "tokenizer": {"kind": loaded.tokenizer.kind, "size": loaded.tokenizer.size},
        "corpus": dict(loaded.corpus),
        "training": loaded.training.to_json(),
        "history": list(loaded.history),
        "versions": dict(loaded.versions),
    }


def _lines(loaded: Any) -> list[tuple[str, str]]:
    from charlm.cli.terminal import duration, sparkline

    model, training, corpus = loaded.model, loaded.training, loaded.corpus
    lines = [
        (
            "model",
            f"{model.layers} × {model.hidden_size} {model.cell.upper()}, embedding "
            f"{model.embedding_size}{' (tied)' if model.tie_weights else ''}, "
            f"{model.parameters:,} parameters",
        ),
        ("tokenizer", f"{loaded.tokenizer.kind}, {loaded.tokenizer.size:,} tokens"),
        ("sequences", "each line is one" if model.per_line else "the whole text is one"),
        (
            "corpus",
            f"{corpus['name']}, {corpus['train_characters']:,} characters to train on, "
            f"{corpus['valid_characters']:,} to validate on",
        ),
        (
            "training",
            f"AdamW, peak rate {training.learning_rate:g}, batch {training.batch_size}, BPTT "
            f"{training.bptt}, dropout {training.dropout:g}, decay {training.weight_decay:g}, clip "
            f"{training.clip:g}, seed {training.seed}, {training.precision}",
        ),
    ]
    if loaded.trained:
        words, seconds = loaded.trained
        lines.append(("trained", f"{words}, {duration(seconds)}"))
    if loaded.history:
        ratio = corpus["tokens_per_character"] / math.log(2)
        best = min(loaded.history, key=lambda record: record["valid_nats"])
        values = [record["valid_nats"] for record in loaded.history]
        first, final = (values[k] * ratio for k in (0, -1))
        curve = f"{sparkline(values, 40)}  from {first:.2f} to {final:.2f} bits"
        lines += [
            (
                "best",
                f"{best['valid_nats'] * ratio:.4f} bits per character in validation "
                f"({best['valid_nats']:.4f} nats per token) at step {best['step']:,}",
            ),
            ("validation", curve),
        ]
    versions = ", ".join(f"{name} {version}" for name, version in loaded.versions.items())
    return [*lines, ("versions", versions)]
