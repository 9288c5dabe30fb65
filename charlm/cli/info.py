"""`charlm info`: what a checkpoint holds, without torch."""

import dataclasses
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
    from charlm.summary import summary

    loaded = load(checkpoint)
    if as_json:
        terminal.write_json(_record(loaded))
    else:
        terminal.pairs(summary(loaded))


def _record(loaded: Any) -> dict[str, Any]:
    return {
        "model": loaded.model.to_json() | {"parameters": loaded.model.parameters},
        "tokenizer": {"kind": loaded.tokenizer.kind, "size": loaded.tokenizer.size},
        "corpus": dataclasses.asdict(loaded.corpus),
        "training": loaded.training.to_json(),
        "trained": loaded.trained,
        "best": loaded.best,
        "history": list(loaded.history),
        "versions": dict(loaded.versions),
    }
