"""`charlm plot`: pictures of trainings and models."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.belonging import refuse
from charlm.cli.options import PATH, encoding_option, on_unknown_option, output_options
from charlm.errors import OptionError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Options = dict[str, Any]
RUNS = ("learning", "perplexity", "rate", "gradient")  # drawn from logs or checkpoints
MODELS = ("samples", "flow", "probe")  # drawn from checkpoints alone
BELONGS = {  # options that some kinds alone have
    "over": RUNS,
    "corpus": ("samples",),
    "seed": ("samples",),
    "text": ("flow",),
    "steps": ("flow",),
    "on_unknown": ("flow",),
    "pairs": ("probe",),
    "encoding": MODELS,  # logs are UTF-8
}
TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.5)


@click.command(short_help="Draw learning curves and what else is measured.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@output_options("The picture to write, .png or .svg.")
@click.option(
    "--kind",
    type=click.Choice([*RUNS, *MODELS]),
    default="learning",
    help="What to draw.  [default: learning]",
)
@click.option(
    "--over",
    type=click.Choice(["steps", "seconds"]),
    default="steps",
    help="What a training's curve runs over.  [default: steps]",
)
@click.option(
    "--corpus", type=PATH, metavar="FILE", help="samples: measure novelty against this text."
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    help="samples: the seed of what is written.  [default: 1]",
)
@click.option("--text", metavar="TEXT", help="flow: follow gradients in this text or file.")
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    metavar="N",
    help="flow: go back N steps.  [default: 50]",
)
@click.option(
    "--pairs", type=PATH, metavar="FILE", help="probe: your own pairs, as for charlm probe."
)
@on_unknown_option
@encoding_option
def command(files: tuple[str, ...], **options: Any) -> None:
    """Draw checkpoints and training logs: FILEs that `charlm train` wrote with -o and --log.

    \b
    learning    loss in training and validation
    perplexity  of the validation text
    rate        the learning rate
    gradient    the gradient's norm and the share of steps clipped, of logs
    samples     entropy against temperature and, with --corpus, novelty, of checkpoints
    flow        the norm of the gradient against steps back, of checkpoints, with --text
    probe       how often the better of two texts is the likelier, by distance, of checkpoints

    A loss is in bits per character where all files are checkpoints; a log knows it in nats per
    token. This needs: pip install '.[plot]', in charlm's folder.

    \b
    Example:
      charlm plot names.safetensors -o names.png
    """
    from charlm.cli.files import picture_file, save_picture

    _check(options)
    read = (options[name] for name in ("text", "pairs", "corpus"))
    output = picture_file(options, *files, *read)
    save_picture(_DRAWN[options["kind"]](files, options), output)


def _check(options: Options) -> None:
    """Raises OptionError at an option that is another kind's, or is missing."""
    for name, kinds in BELONGS.items():
        if options["kind"] not in kinds:
            refuse([name], f"belongs to --kind {' or '.join(kinds)}, not to {options['kind']}")
    if options["kind"] == "flow" and options["text"] is None:
        raise OptionError("--kind flow: give the --text to follow gradients in")


def _of_runs(files: Sequence[str], options: Options) -> "Figure":
    from charlm.cli.files import short_names
    from charlm.extras import plots
    from charlm.extras.runs import read_run

    draw = getattr(plots, options["kind"])
    over = "step" if options["over"] == "steps" else "seconds"
    runs = [
        dataclasses.replace(read_run(path), name=name)
        for name, path in zip(short_names(files), files, strict=True)
    ]
    figure: Figure = draw(runs, over)
    return figure


def _samples(files: Sequence[str], options: Options) -> "Figure":
    from charlm.api import load
    from charlm.cli.files import opened, short_names
    from charlm.extras import plots
    from charlm.extras.temperatures import samples_at

    corpus = opened([options["corpus"]], options["encoding"]) if options["corpus"] else None
    seed = 1 if options["seed"] is None else options["seed"]
    texts = [samples_at(load(path), TEMPERATURES, seed, corpus) for path in files]
    return plots.samples(short_names(files), texts)


def _flow(files: Sequence[str], options: Options) -> "Figure":
    from charlm.cli.files import text_argument
    from charlm.cli.gradients import of_checkpoints
    from charlm.extras import plots

    whole = "".join(text_argument(options["text"], options["encoding"]).chunks())
    options = options | {"steps": options["steps"] or 50, "positions": 32}
    return plots.flows(of_checkpoints(files, whole, options))


def _probe(files: Sequence[str], options: Options) -> "Figure":
    from charlm.api import load
    from charlm.cli.files import short_names
    from charlm.cli.probe import pairs_of
    from charlm.extras import plots
    from charlm.probing import Start, by_distance, groups, measure

    pairs = pairs_of(options)
    found: dict[str, list[Any]] = {}
    for path in files:
        model = load(path)
        start = Start.of(model.tokenizer, model.per_line)
        measured = measure(model.engine, model.tokenizer, pairs, start)
        for group, of in groups(measured).items():
            if distances := list(by_distance(of)):
                found.setdefault(group, []).append(distances)
    if not found:
        raise OptionError("--pairs: none of the pairs has a distance, the fourth column")
    return plots.probes(short_names(files), found)


_DRAWN = {
    **dict.fromkeys(RUNS, _of_runs),
    "samples": _samples,
    "flow": _flow,
    "probe": _probe,
}
