"""`charlm gradients`: how far back the gradient reaches, and how often it was clipped."""

import math
import os
import string
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.belonging import refuse
from charlm.cli.options import (
    PATH,
    encoding_option,
    json_option,
    on_unknown_option,
    output_options,
)
from charlm.config import CELLS
from charlm.errors import OptionError

if TYPE_CHECKING:
    from charlm.clipping import Clipping
    from charlm.gradients import Flow

UNTRAINED = ("rnn", "gru", "lstm")  # shown where neither checkpoints nor cells are named
OF_CELLS = ("hidden_size", "layers", "seed")  # options of untrained cells
OF_TEXT = ("cells", *OF_CELLS, "steps", "positions", "on_unknown")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
BINS = 12


@click.command(short_help="Show how gradients vanish or explode on their way back.")
@click.argument("text", required=False)
@click.argument("checkpoints", nargs=-1, type=PATH, metavar="[CHECKPOINT...]")
@click.option(
    "--cell",
    "cells",
    multiple=True,
    type=click.Choice(CELLS),
    help="Measure this cell too, untrained.",
)
@click.option(
    "--hidden-size",
    type=click.IntRange(1, 4096),
    default=128,
    metavar="N",
    help="Units of a layer of the untrained cells.  [default: 128]",
)
@click.option(
    "--layers",
    type=click.IntRange(1, 16),
    default=1,
    metavar="N",
    help="Their layers.  [default: 1]",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=1,
    metavar="N",
    help="Seed of their weights.  [default: 1]",
)
@click.option(
    "--steps",
    type=click.IntRange(2, 2000),
    default=100,
    metavar="N",
    help="How many steps to go back.  [default: 100]",
)
@click.option(
    "--positions",
    type=click.IntRange(min=1, max=4096),
    default=32,
    metavar="N",
    help="Average over N places in the text.  [default: 32]",
)
@click.option(
    "--log",
    type=PATH,
    metavar="FILE",
    help="Show the clipping in a log of `train --log`; - is stdin.",
)
@output_options("Draw the curves in a picture too, .png or .svg.", required=False)
@on_unknown_option
@encoding_option
@json_option
def command(text: str | None, checkpoints: tuple[str, ...], **options: Any) -> None:
    """Show how the gradient vanishes or explodes on its way back through time.

    TEXT is a text, a file or - (standard input). For each CHECKPOINT and each --cell not yet
    trained (without either: rnn, gru and lstm): the norm of the gradient of the loss at a step
    with respect to the state k steps earlier, against k, layer by layer. The picture's ordinate
    is logarithmic, so that a straight line is a constant factor a step; where curves run together
    their letters take turns.

    \b
    Example:
      charlm gradients corpora/names/names.txt --cell rnn --cell lstm --steps 50
    """
    _check(text, checkpoints, options)
    clipping = _clipping(options) if options["log"] else None
    if text is not None:
        _of_text(text, checkpoints, options)
    if clipping:
        _show_clipping(clipping, options)


def _check(text: str | None, checkpoints: tuple[str, ...], options: dict[str, Any]) -> None:
    """Raises OptionError where something is missing, or given that would do nothing."""
    from charlm.sources import is_checkpoint

    if text is None and not options["log"]:
        raise OptionError("give a TEXT to measure on, or --log FILE")
    if text is None and options["output"]:
        raise OptionError("-o draws gradients in a TEXT; charlm plot --kind gradient draws a log")
    if text is None:
        refuse(OF_TEXT, "belongs to gradients in a TEXT; give one, or --log alone")
    elif os.path.isfile(text) and is_checkpoint(text):
        raise OptionError(f"{text} is a checkpoint; the text comes first, then checkpoints")
    if checkpoints and not options["cells"]:
        refuse(OF_CELLS, "belongs to untrained cells; give a --cell too, or leave it out")


def _of_text(text: str, checkpoints: tuple[str, ...], options: dict[str, Any]) -> None:
    from charlm.cli.files import picture_file, save_picture

    read = (text, *checkpoints, options["log"])
    output = picture_file(options, *read) if options["output"] else None
    flows = _flows(text, checkpoints, options)
    if options["as_json"]:
        _write_json(flows, checkpoints)
    else:
        _show_flows(flows, options)
    if output:
        from charlm.extras import plots

        save_picture(plots.flows(flows), output)


def _flows(text: str, checkpoints: tuple[str, ...], options: dict[str, Any]) -> "list[Flow]":
    """Every checkpoint's flow over the text, then every untrained cell's."""
    from charlm.cli.files import text_argument

    whole = "".join(text_argument(text, options["encoding"]).chunks())
    cells = options["cells"] or (() if checkpoints else UNTRAINED)
    return [
        *of_checkpoints(checkpoints, whole, options),
        *(_of_cell(cell, whole, options) for cell in cells),
    ]


def of_checkpoints(paths: Sequence[str], text: str, options: dict[str, Any]) -> "list[Flow]":
    """Every checkpoint's flow over the text, under its short name.

    options: on_unknown, steps and positions. Raises TextError for a text that is too short, or
    that a model cannot read.
    """
    from charlm.api import load
    from charlm.cli.files import short_names
    from charlm.gradients import network

    flows = []
    for name, path in zip(short_names(paths), paths, strict=True):
        model = load(path)
        model.encode(text, on_unknown=options["on_unknown"])
        flows.append(_flow(network(model.checkpoint), model.tokenizer, text, name, options))
    return flows


def _of_cell(cell: str, text: str, options: dict[str, Any]) -> "Flow":
    """With the characters of the text as its vocabulary."""
    import torch

    from charlm.config import ModelConfig
    from charlm.model import LanguageModel
    from charlm.tokenizers import train_tokenizer

    tokenizer = train_tokenizer("characters", [text], 1, None)
    torch.manual_seed(options["seed"])
    config = ModelConfig(
        vocabulary_size=tokenizer.size,
        cell=cell,
        layers=options["layers"],
        hidden_size=options["hidden_size"],
    )
    return _flow(LanguageModel(config), tokenizer, text, f"{cell}, untrained", options)


def _flow(model: Any, tokenizer: Any, text: str, name: str, options: dict[str, Any]) -> "Flow":
    from charlm.gradients import flow, windows
    from charlm.inspection.passage import Passage

    per_line, steps = model.config.per_line, options["steps"]
    ids = Passage.of(tokenizer, text, per_line).ids
    columns = windows(ids, steps, options["positions"], per_line=per_line)
    return flow(model, columns, steps, name)


def _show_flows(flows: "list[Flow]", options: dict[str, Any]) -> None:
    from charlm.cli import terminal
    from charlm.cli.chart import log_chart

    rows = [(flow, layer) for flow in flows for layer in range(len(flow.norms))]
    if len(rows) > len(string.ascii_letters):
        raise OptionError(f"{len(rows)} curves are too many for one picture; give fewer, or --json")
    curves = dict(
        zip(string.ascii_letters, (flow.mean[k].tolist() for flow, k in rows), strict=False)
    )
    terminal.write(
        "gradient of the loss with respect to the state k steps earlier, its norm by k\n"
    )
    terminal.write("".join(f"{line}\n" for line in log_chart(curves)) + "\n")
    shown = sorted({1, max(1, options["steps"] // 10), options["steps"]})
    columns = ["", "model", "layer", *(f"k = {k}" for k in shown), "a step"]
    cells = (_row(letter, *row, shown) for letter, row in zip(curves, rows, strict=True))
    last = len(columns) - 2  # the norm farthest back, which stays longer than the others
    spare = [*range(last - 1, 2, -1), last, 2, 0]
    terminal.table(columns, cells, right=range(2, len(columns)), spare=spare)
    places = [str(flow.norms.shape[2]) for flow in flows]
    over = places[0] if len(set(places)) == 1 else f"{', '.join(places)} (model by model)"
    unit = "place" if over == "1" else "places"
    terminal.write(f"mean norms over {over} {unit}; a step: the factor of a fitted line\n")


def _row(letter: str, flow: "Flow", layer: int, steps: Sequence[int]) -> list[str]:
    norms = flow.mean[layer]
    figures = [f"{norms[k - 1]:.3g}" for k in steps]
    return [letter, flow.name, str(layer + 1), *figures, f"× {flow.factors()[layer]:.3f}"]


def _write_json(flows: "list[Flow]", checkpoints: Sequence[str]) -> None:
    """A line for each layer of each model, checkpoints under their whole paths."""
    from charlm.cli import terminal

    for k, flow in enumerate(flows):
        name = checkpoints[k] if k < len(checkpoints) else flow.name
        for layer in range(len(flow.norms)):
            terminal.write_json(_record(name, flow, layer))


def _record(name: str, flow: "Flow", layer: int) -> dict[str, Any]:
    return {
        "model": name,
        "cell": flow.cell,
        "layer": layer + 1,
        "positions": flow.norms.shape[2],
        "steps_back": flow.steps.tolist(),
        "gradient_norm": [_finite(norm) for norm in flow.mean[layer]],
        "factor_per_step": _finite(flow.factors()[layer]),
    }


def _finite(value: float) -> float | None:
    """A number as JSON has it; None for those it has not."""
    return float(value) if math.isfinite(value) else None


def _clipping(options: dict[str, Any]) -> "Clipping":
    from charlm.clipping import clipping_of
    from charlm.text import open_text

    text = open_text([options["log"]], options["encoding"])
    return clipping_of("".join(text.chunks()).splitlines(), text.documents[0].name)


def _show_clipping(clipping: "Clipping", options: dict[str, Any]) -> None:
    from charlm.cli import terminal
    from charlm.cli.chart import bars

    quantiles = clipping.quantiles(QUANTILES)
    steps = int(clipping.steps.sum())
    if options["as_json"]:
        named = {
            f"p{share * 100:.0f}": value for share, value in zip(QUANTILES, quantiles, strict=True)
        }
        record = {"steps": steps, "share_clipped": clipping.clipped}
        terminal.write_json({"log": options["log"], **record, "gradient_norm_quantiles": named})
        return
    edges, shares = clipping.histogram(BINS)
    labels = [f"{a:.3g} to {b:.3g}" for a, b in pairwise(edges)]
    shown = ", ".join(f"{q:.3g} ({s:.0%})" for s, q in zip(QUANTILES, quantiles, strict=True))
    terminal.write(
        f"{options['log']}: {steps:,} steps, {clipping.clipped:.1%} of them clipped\n"
        "gradient's norm before clipping (each record's mean), share of the steps:\n"
        + "".join(f"{line}\n" for line in bars(labels, shares.tolist()))
        + f"quantiles, with the share of steps below: {shown}\n"
    )
