"""`charlm plot`: pictures of trainings and models."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.options import encoding_option, on_unknown_option
from charlm.errors import OptionError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from charlm.api import Model
    from charlm.text import Text

Options = dict[str, Any]
RUNS = ("learning", "perplexity", "rate", "gradient")  # drawn from logs or checkpoints
MODELS = ("samples", "flow", "probe")  # drawn from checkpoints alone
BELONGS = {
    "corpus": "samples",
    "seed": "samples",
    "text": "flow",
    "steps": "flow",
    "pairs": "probe",
}
TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.5)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    required=True,
    metavar="FILE",
    help="The picture to write, .png or .svg.",
)
@click.option("--force", is_flag=True, help="Overwrite the output if it exists.")
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
@click.option("--corpus", metavar="FILE", help="samples: measure novelty against this text.")
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
    help="flow: go so many steps back.  [default: 50]",
)
@click.option("--pairs", metavar="FILE", help="probe: pairs of one's own, as of charlm probe.")
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
    token. This needs: pip install 'charlm[plot]'.

    \b
    Example:
      charlm plot names.safetensors -o names.png
    """
    output = _output(options)
    _check(options)
    from charlm.extras import check_installed

    check_installed("matplotlib", "plot")
    from charlm.atomic import replace
    from charlm.cli import terminal
    from charlm.extras.plots import image

    figure = _DRAWN[options["kind"]](files, options)
    replace(output, [image(figure, output.suffix.lower().removeprefix("."))])
    terminal.notice(f"saved {output}")


def _output(options: Options) -> Path:
    output = Path(options["output"])
    if output.suffix.lower() not in (".png", ".svg"):
        raise OptionError(f"{output}: a picture is .png or .svg; give -o such a name")
    if output.exists() and not options["force"]:
        raise OptionError(f"{output} exists; give --force to overwrite it")
    if not output.parent.is_dir():
        raise OptionError(f"{output.parent} is not a folder; make it or give another -o")
    return output


def _check(options: Options) -> None:
    """Options that one kind alone has."""
    for name, kind in BELONGS.items():
        if options[name] is not None and options["kind"] != kind:
            raise OptionError(f"--{name} belongs to --kind {kind}, not to {options['kind']}")
    if options["kind"] == "flow" and options["text"] is None:
        raise OptionError("--kind flow: give the --text to follow gradients in")


def _of_runs(files: Sequence[str], options: Options) -> "Figure":
    from charlm.extras import plots
    from charlm.extras.runs import read_run

    draw = getattr(plots, options["kind"])
    figure: Figure = draw(
        [read_run(path) for path in files], {"steps": "step"}.get(options["over"], "seconds")
    )
    return figure


def _models(files: Sequence[str]) -> tuple[list[str], list["Model"]]:
    """The checkpoints with short names, which differ."""
    from charlm.api import load

    models = [load(path) for path in files]
    names = [os.path.basename(path).removesuffix(".safetensors") for path in files]
    return (names if len(set(names)) == len(names) else list(files)), models


def _samples(files: Sequence[str], options: Options) -> "Figure":
    from charlm.extras import plots
    from charlm.extras.temperatures import write_at
    from charlm.text import open_text

    names, models = _models(files)
    corpus: Text | None = (
        open_text([options["corpus"]], options["encoding"]) if options["corpus"] else None
    )
    seed = 1 if options["seed"] is None else options["seed"]
    texts = [write_at(model, TEMPERATURES, 8, 500, seed, corpus) for model in models]
    return plots.samples(names, texts)


def _flow(files: Sequence[str], options: Options) -> "Figure":
    from charlm.extras import plots
    from charlm.gradients import flow, network, windows
    from charlm.inspection.passage import Passage
    from charlm.text import open_text, text_of

    names, models = _models(files)
    given, steps = options["text"], options["steps"] or 50
    is_file = given == "-" or os.path.exists(given)
    text = open_text([given], options["encoding"]) if is_file else text_of(given)
    whole = "".join(text.chunks())
    found = []
    for name, model in zip(names, models, strict=True):
        model.encode(whole, on_unknown=options["on_unknown"])
        ids = Passage.of(model.tokenizer, whole, model.per_line).ids
        columns = windows(ids, steps, 32, per_line=model.per_line)
        found.append(flow(network(model.checkpoint), columns, steps, name))
    return plots.flows(found)


def _probe(files: Sequence[str], options: Options) -> "Figure":
    from charlm import probing
    from charlm.extras import plots
    from charlm.text import open_text

    names, models = _models(files)
    pairs = probing.cats_pairs()
    if options["pairs"]:
        text = open_text([options["pairs"]], options["encoding"])
        pairs = probing.read_pairs("".join(text.chunks()).split("\n"), text.documents[0].name)
    found: dict[str, list[Any]] = {}
    for model in models:
        start = probing.Start.of(model.tokenizer, model.per_line)
        measured = probing.measure(model.engine, model.tokenizer, pairs, start)
        for group, of in probing.groups(measured).items():
            if distances := list(probing.by_distance(of)):
                found.setdefault(group, []).append(distances)
    if not found:
        raise OptionError("--pairs: none of the pairs has a distance, the fourth column")
    return plots.probes(names, found)


_DRAWN = {
    **dict.fromkeys(RUNS, _of_runs),
    "samples": _samples,
    "flow": _flow,
    "probe": _probe,
}
