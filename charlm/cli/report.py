"""`charlm report`: one HTML page that shows a model and what it does."""

from typing import TYPE_CHECKING, Any

import click

from charlm.cli.options import (
    PATH,
    checkpoint_argument,
    encoding_option,
    on_unknown_option,
    output_options,
)
from charlm.errors import OptionError, TextError

if TYPE_CHECKING:
    from charlm.api import Model


@click.command()
@checkpoint_argument
@click.argument("text", required=False)
@output_options("The page to write.")
@click.option(
    "--corpus",
    type=PATH,
    metavar="FILE",
    help="The text that the model was trained on, to measure novelty and to read from.  "
    "[default: a file of its recorded name and digest, here, in corpora, by the checkpoint]",
)
@click.option(
    "--characters",
    type=click.IntRange(min=2),
    default=10_000,
    metavar="N",
    help="Read at most N characters of TEXT; per line, whole lines.  [default: 10000]",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=1,
    metavar="N",
    help="Of the samples.  [default: 1]",
)
@on_unknown_option
@encoding_option
def command(checkpoint: str, text: str | None, **options: Any) -> None:
    """Write one HTML page about a model: keep it, send it, show it.

    What the model is, how it learned, how well it predicts beside xz, what it writes and how much
    of that is new; and TEXT (a text, a file or - for standard input) as the model reads it: what
    surprised it and what it expected instead, its cells, its gates, its gradients. Without TEXT it
    reads the start of its validation text, if its corpus is found.

    The page needs no network and no other file. Writing it needs: pip install '.[report]', in
    charlm's folder.

    \b
    Example:
      charlm report names.safetensors corpora/names/names.txt -o names.html
    """
    from charlm.cli.files import output_file
    from charlm.extras import check_installed

    output = output_file(options, checkpoint, text, options["corpus"])
    if output.suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"{output}: a page is .html; give -o such a name")
    check_installed("jinja2", "report")
    from charlm.api import load
    from charlm.atomic import replace
    from charlm.cli import terminal
    from charlm.extras import report
    from charlm.extras.page import render
    from charlm.origin import find_origin, origin_of

    report.check_characters(options["characters"])
    model = load(checkpoint)
    subject = _subject(model, text, options) if text is not None else None
    with terminal.Waiting("making the report") as waiting:
        origin = (
            origin_of(options["corpus"], model.checkpoint, options["encoding"])
            if options["corpus"]
            else find_origin(checkpoint, model.checkpoint, options["encoding"])
        )
        made = report.make(
            model,
            report.name_of(checkpoint),
            origin,
            subject,
            characters=options["characters"],
            seed=options["seed"],
            watch=waiting.tell,
        )
        page = render(made).encode("utf-8")
    replace(output, [page])
    terminal.notice(f"read {made.source}")
    terminal.notice(f"saved {output}, {len(page) / 1e6:.2f} MB")


def _subject(model: "Model", text: str, options: dict[str, Any]) -> tuple[str, str]:
    """What is to be read, in words and itself; refuses what the model never saw."""
    from charlm.cli.files import text_argument
    from charlm.origin import first_of

    found = text_argument(text, options["encoding"], model.per_line)
    pieces = found.line_chunks() if model.per_line else found.chunks()
    whole = first_of(pieces, options["characters"], model.per_line)
    if found.characters > len(whole) and not whole.strip("\n"):
        raise TextError(
            f"the first line of {found.name} is longer than --characters {options['characters']}, "
            "and this model reads whole lines; give more"
        )
    model.encode(whole, on_unknown=options["on_unknown"])
    if found.characters > len(whole):
        return f"{found.name}, its first {len(whole):,} of {found.characters:,} characters", whole
    return found.name, whole
