"""`charlm tokenize`: how a text is cut into tokens."""

import os
from collections import Counter
from itertools import islice

import click

from charlm.cli.belonging import refuse
from charlm.cli.options import PATH, encoding_option, json_option
from charlm.config import TOKENIZERS
from charlm.errors import OptionError

LEARNING = ("kind", "vocab_size", "min_count")  # options of a tokenizer that is learned


@click.command()
@click.argument("texts", nargs=-1, required=True, metavar="FILE...")
@click.option("--checkpoint", type=PATH, help="Use this model's tokenizer.")
@click.option(
    "--tokenizer",
    "kind",
    type=click.Choice(TOKENIZERS),
    default="characters",
    help="Learn such a tokenizer from the text.  [default: characters]",
)
@click.option("--vocab-size", type=int, metavar="N", help="Make at most N tokens.")
@click.option(
    "--min-count",
    type=int,
    metavar="N",
    default=1,
    help="Characters or words seen less often become <UNK>.  [default: 1]",
)
@click.option(
    "--show",
    type=click.IntRange(min=0),
    metavar="N",
    default=40,
    help="Show the first N tokens.  [default: 40]",
)
@encoding_option
@json_option
def command(
    texts: tuple[str, ...],
    checkpoint: str | None,
    kind: str,
    vocab_size: int | None,
    min_count: int,
    show: int,
    encoding: str,
    as_json: bool,
) -> None:
    """Show how text is cut into tokens.

    The pieces in order, each with its number and how often it is in the text, and how many
    characters a token has.

    \b
    Example:
      charlm tokenize corpora/names/names.txt --tokenizer bpe --vocab-size 400
    """
    from charlm.checkpoint import load
    from charlm.cli import terminal
    from charlm.cli.files import opened
    from charlm.sources import is_checkpoint
    from charlm.tokenizers import UNK, train_tokenizer

    if checkpoint:
        refuse(
            LEARNING, "is for learning a tokenizer, and --checkpoint brings one; give one of them"
        )
    for path in () if checkpoint else filter(os.path.isfile, texts):
        if is_checkpoint(path):
            raise OptionError(f"{path} is a checkpoint; give a text, and --checkpoint {path}")
    text = opened(texts, encoding)
    tokenizer = (
        load(checkpoint).tokenizer
        if checkpoint
        else train_tokenizer(kind, text.chunks(), min_count, vocab_size)
    )
    counts: Counter[int] = Counter()
    first: list[int] = []
    for chunk in text.chunks():
        ids = tokenizer.encode(chunk).tolist()
        counts.update(ids)
        first += islice(ids, max(0, show - len(first)))
    tokens = counts.total()
    summary = {
        "tokenizer": {"kind": tokenizer.kind, "size": tokenizer.size},
        "characters": text.characters,
        "tokens": tokens,
        "characters_per_token": text.characters / tokens if tokens else 0.0,
        "unseen_tokens": counts[UNK],
    }
    if as_json:
        pieces = [{"token": t, "piece": tokenizer.piece(t), "count": counts[t]} for t in first]
        terminal.write_json(summary | {"first": pieces})
        return
    terminal.pairs(
        [
            ("tokenizer", f"{tokenizer.kind}, {tokenizer.size:,} tokens"),
            ("text", f"{text.name}, {text.characters:,} characters"),
            (
                "cut into",
                f"{tokens:,} tokens, {summary['characters_per_token']:.3f} characters each",
            ),
            ("unseen", f"{counts[UNK]:,}"),
        ]
    )
    if first:
        rows = [[terminal.symbol(tokenizer.piece(t)), str(t), f"{counts[t]:,}"] for t in first]
        terminal.write("\n")
        terminal.table(["piece", "number", "in the text"], rows, right=[1, 2])
