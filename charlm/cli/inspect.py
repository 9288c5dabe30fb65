"""`charlm inspect`: what a model makes of a text, and what its cells do."""

import importlib
import math
from itertools import chain
from typing import Any

import click

from charlm.cli.belonging import refuse
from charlm.cli.options import (
    checkpoint_argument,
    encoding_option,
    json_option,
    on_unknown_option,
)
from charlm.errors import OptionError

VIEWS = {  # where each is
    "surprise": "charlm.cli.expectation_views",
    "predictions": "charlm.cli.expectation_views",
    "cells": "charlm.cli.cell_views",
    "gates": "charlm.cli.gate_views",
    "matching": "charlm.cli.cell_views",
    "context": "charlm.cli.cell_views",
}
BELONGS = {  # options that one view alone has
    "cell_index": "cells",
    "find": "cells",
    "find_regex": "cells",
    "span": "matching",
    "threshold": "matching",
    "position": "context",
}
NAMES = (  # of `charlm.inspection.features`, which imports NumPy
    "line-position",
    "quotes",
    "brackets",
    "bracket-depth",
    "capital",
    "space",
    "vowel",
    "digit",
    "word-start",
)


@click.command(short_help="Look inside a model while it reads a text.")
@checkpoint_argument
@click.argument("text")
@click.option(
    "--view",
    type=click.Choice(list(VIEWS)),
    help="What to show.  [default: surprise, or the view that the other options belong to]",
)
@click.option("--cell-index", metavar="LAYER:NUMBER", help="cells: colour the text by this cell.")
@click.option("--find", type=click.Choice(NAMES), help="cells: rank all by how well they tell it.")
@click.option(
    "--find-regex", metavar="RE", help="cells: the same for being inside a match of this."
)
@click.option("--span", metavar="A:B", help="matching: the characters from A up to B, from 0.")
@click.option(
    "--threshold",
    type=float,
    metavar="X",
    help="matching: a cell is on where its value is at least X.  [default: 0.3]",
)
@click.option(
    "--position",
    type=int,
    metavar="N",
    help="context: the character predicted, from 0.  [default: the last]",
)
@on_unknown_option
@encoding_option
@json_option
def command(checkpoint: str, text: str, **options: Any) -> None:
    """Look inside a model while it reads TEXT: a text, a file or - (standard input).

    \b
    surprise     every character on the colour of its bits, and the greatest surprises
    predictions  the five likeliest next after every character
    cells        the text coloured by one cell; or which cell tells a feature best, chosen
                 on the first half of the text and scored on the second, beside the same
                 for the labels moved along the text, which is chance
    gates        how often each gate of each cell is nearly closed or nearly open
    matching     where else all those cells are on that are on throughout a span
    context      how strongly <EOS> and each earlier character bear on one prediction

    Layers and cells are counted from 1. A cell's value is tanh(c) for LSTMs and the hidden state
    for the others. A per-line model is shown the lines that are not empty: those alone are
    counted, as lines and as characters, and the end of each is <EOS>. Lines, columns, --span and
    --position count the text as it is shown, which for words may have other spacing, and <UNK>;
    bits per character are of the text as it is. A pipe or NO_COLOR gets columns instead of colours;
    --find, --find-regex and --view matching always print a table.

    With --find capital, digit, space, vowel or word-start a token counts if one of its characters
    does; with the others and --find-regex its last character decides.

    \b
    Example:
      charlm inspect names.safetensors "Anna"
      charlm inspect names.safetensors corpora/names/names.txt --find vowel --on-unknown unk
    """
    view = _view(options)
    _check(view, options)
    from charlm.api import load
    from charlm.cli import terminal
    from charlm.cli.files import text_argument
    from charlm.inspection.passage import Passage

    model = load(checkpoint)
    found = text_argument(text, options["encoding"], model.per_line)
    whole = "".join(chain.from_iterable(found.to_read(model.per_line)))
    model.encode(whole, on_unknown=options["on_unknown"])
    passage = Passage.of(model.tokenizer, whole, model.per_line)
    if passage.unseen:
        terminal.notice(f"{passage.unseen:,} of {len(passage):,} tokens unseen, read as <UNK>")
    getattr(importlib.import_module(VIEWS[view]), view)(model, passage, options)


def _view(options: dict[str, Any]) -> str:
    """The view that was asked for, or that the options given belong to."""
    given = (view for name, view in BELONGS.items() if options[name] is not None)
    view: str = options["view"] or next(given, "surprise")
    for name, other in BELONGS.items():
        if other != view:
            refuse([name], f"belongs to --view {other}, not to --view {view}")
    return view


def _check(view: str, options: dict[str, Any]) -> None:
    wanted = [options[name] for name in ("cell_index", "find", "find_regex")]
    if view == "cells" and wanted.count(None) != 2:
        raise OptionError(
            "--view cells: give one of --cell-index LAYER:NUMBER, --find NAME and --find-regex RE"
        )
    if view == "matching" and options["span"] is None:
        raise OptionError("--view matching: give --span A:B, the characters from A up to B")
    if not math.isfinite(threshold := options["threshold"] or 0.0):
        raise OptionError(f"--threshold {threshold:g}: give a number, as 0.3")
