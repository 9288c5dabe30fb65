"""`charlm probe`: what a model remembers, measured with minimal pairs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.options import PATH, encoding_option, json_option
from charlm.errors import OptionError

if TYPE_CHECKING:
    from charlm.api import Model
    from charlm.pairs import Pair
    from charlm.probing import Accuracy, Measured

Options = dict[str, Any]


@click.command(short_help="Measure what models remember, with pairs of texts.")
@click.argument("checkpoints", nargs=-1, required=True, metavar="CHECKPOINT...")
@click.option(
    "--pairs",
    type=PATH,
    metavar="FILE",
    help="Your own pairs: BLiMP's JSON lines, or columns with tabs between them (better, "
    "worse and, if wanted, group and distance); - is stdin.",
)
@click.option(
    "--normalise",
    type=click.Choice(["none", "character"]),
    default="none",
    help="Compare ln P of the texts, or ln P per character.  [default: none]",
)
@click.option(
    "--given",
    metavar="TEXT",
    help="What stands before every text.  [default: per line nothing, else a newline]",
)
@click.option(
    "--end/--no-end",
    default=True,
    help="Count the text's end: <EOS> per line, else a newline.  [default: --end]",
)
@encoding_option
@json_option
def command(checkpoints: tuple[str, ...], **options: Any) -> None:
    """Measure what models remember: how often the better of two texts is the likelier.

    Built in are questions for models of corpora/cats: does the verb agree with its subject
    across a clause (agreement), is speech closed by a quotation mark and nothing else
    (quotation), is it a pear or a pair (pear); the first two by the distance that has to be
    remembered, in characters. Intervals are Wilson's, of 95 %. A tie counts as wrong.

    Each text is read from the zero state, after <EOS>; to a whole-file model it is a line, after
    a newline and up to one. What a model never saw is read as <UNK> and counted.

    \b
    Example:
      charlm probe names.safetensors --pairs pairs.tsv
      charlm probe rnn.safetensors gru.safetensors lstm.safetensors
    """
    from charlm import probing
    from charlm.api import load
    from charlm.cli.files import short_names

    if len(checkpoints) > len(MARKS):
        raise OptionError(f"give at most {len(MARKS)} checkpoints, not {len(checkpoints)}")
    models = [load(path) for path in checkpoints]
    pairs = pairs_of(options)
    names = short_names(checkpoints)
    measured = [
        _measured(name, model, pairs, options) for name, model in zip(names, models, strict=True)
    ]
    if options["as_json"]:
        for path, model, one in zip(checkpoints, models, measured, strict=True):
            _write_json(path, model, one, options)
        return
    _remarks(names, measured)
    _table(names, models, measured, options["normalise"])
    for group in probing.groups(measured[0]):
        _curve([probing.groups(one)[group] for one in measured], group)


def pairs_of(options: Options) -> list["Pair"]:
    """Those of --pairs FILE, or the built-in ones. Tells the file's notices."""
    from charlm.cli import terminal
    from charlm.pairs import cats_pairs, read_pairs
    from charlm.text import KEPT_CR, open_text

    if not options["pairs"]:
        return cats_pairs()
    text = open_text([options["pairs"]], options["encoding"])
    for remark in text.notices:
        if not remark.endswith(KEPT_CR):  # it is not: no pair ends in one
            terminal.notice(remark)
    return [
        pair
        for document in text.documents
        for pair in read_pairs("".join(document.chunks()).split("\n"), document.name)
    ]


def _measured(
    name: str, model: "Model", pairs: Sequence["Pair"], options: Options
) -> list["Measured"]:
    from charlm.cli.watched import reading
    from charlm.probing import Start, measure

    model.check_lines([options["given"] or "", *(t for p in pairs for t in (p.better, p.worse))])
    start = Start.of(model.tokenizer, model.per_line, options["given"], options["end"])
    characters = sum(len(pair.better) + len(pair.worse) for pair in pairs)
    with reading(model.engine, characters, name) as engine:
        return measure(engine, model.tokenizer, pairs, start, options["normalise"])


def _write_json(path: str, model: "Model", measured: list["Measured"], options: Options) -> None:
    from charlm import probing
    from charlm.cli import terminal

    config, normalise = model.checkpoint.model, options["normalise"]
    groups = [
        {"group": name, **probing.Accuracy.of(of).to_json(normalise)}
        | {
            "distances": [
                {"from": first, "to": last, **accuracy.to_json(normalise)}
                for first, last, accuracy in probing.by_distance(of)
            ]
        }
        for name, of in probing.groups(measured).items()
    ]
    terms = probing.groups(measured, lambda pair: pair.field)
    terminal.write_json(
        {
            "checkpoint": path,
            "cell": config.cell,
            "parameters": config.parameters,
            "normalise": normalise,
            "groups": groups,
            "linguistics_terms": [
                {"term": name, **probing.Accuracy.of(of).to_json(normalise)}
                for name, of in terms.items()
                if name
            ],
            "all": probing.Accuracy.of(measured).to_json(normalise),
        }
    )


def _remarks(names: Sequence[str], measured: Sequence[list["Measured"]]) -> None:
    """What is odd, on stderr."""
    from charlm.cli import terminal
    from charlm.probing import Accuracy

    for name, one in zip(names, measured, strict=True):
        whole = Accuracy.of(one)
        if whole.unseen:
            terminal.notice(
                f"{name}: {whole.unseen:,} of {2 * whole.pairs:,} texts hold what the model "
                "never saw, read as <UNK>"
            )
        if whole.ties:
            terminal.notice(f"{name}: {whole.ties:,} of {whole.pairs:,} pairs are ties")


def _table(
    names: Sequence[str],
    models: Sequence["Model"],
    measured: Sequence[list["Measured"]],
    normalise: str,
) -> None:
    """Every group (and BLiMP's terms, if there are several) of every checkpoint, and all pairs."""
    from charlm.cli import terminal
    from charlm.probing import Accuracy, groups

    rows = []
    for mark, name, model, one in zip(MARKS, names, models, measured, strict=False):
        config = model.checkpoint.model
        terminal.write(f"{mark}  {name}: {config.cell}, {config.parameters:,} parameters\n")
        for parts in (groups(one), groups(one, lambda pair: pair.field)):
            for part, of in parts.items():
                if len(parts) > 1:
                    rows.append([mark, part or "(none)", *_figures(Accuracy.of(of))])
        rows.append([mark, "all", *_figures(Accuracy.of(one))])
    terminal.write("\n")
    margin = "margin/nats" if normalise == "none" else "margin/nats/char"
    heads = ["", "group", "pairs", "right", "95 %", margin, "ties", "unseen"]
    terminal.table(heads, rows, right=range(2, 8))


def _figures(accuracy: "Accuracy") -> list[str]:
    low, high = accuracy.interval
    return [
        f"{accuracy.pairs:,}",
        f"{accuracy.share:.1%}",
        f"{low:.1%}–{high:.1%}",
        f"{round(accuracy.margin, 3) + 0.0:+.3f}",
        f"{accuracy.ties:,}",
        f"{accuracy.unseen:,}",
    ]


def _curve(measured: Sequence[list["Measured"]], group: str) -> None:
    """Accuracy by distance, a picture and its figures, if the pairs have distances."""
    from charlm.cli import terminal
    from charlm.probing import by_distance

    curves = [list(by_distance(one)) for one in measured]
    if len(curves[0]) < 2:
        return
    shares = [[accuracy.share for _, _, accuracy in curve] for curve in curves]
    figures = [[_with_interval(accuracy) for _, _, accuracy in curve] for curve in curves]
    beside = len("distance  ") + sum(max(map(len, column)) + 2 for column in figures)
    across = terminal.room(ACROSS, beside, len("0 % 50 % 100 %"))
    rows = []
    for k, (first, last, _) in enumerate(curves[0]):
        distance = f"{first}" if first == last else f"{first}–{last}"
        points = [curve[k] for curve in shares]
        rows.append([distance, _row(points, across), *(column[k] for column in figures)])
    terminal.write(f"\n{group or 'all'}: right by distance in characters, in % (95 % interval)\n\n")
    titles = ["distance", _axis(across), *MARKS[: len(curves)]]
    terminal.table(titles, rows, right=[0], whole=range(1, len(titles)))


def _with_interval(accuracy: "Accuracy") -> str:
    low, high = accuracy.interval
    return f"{100 * accuracy.share:.0f} ({100 * low:.0f}–{100 * high:.0f})"


MARKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ACROSS = 31  # of a curve's picture, where there is room: 0 to 100 %


def _axis(across: int) -> str:
    return "0 %" + "50 %".center(across - 8) + "100 %"


def _row(shares: Sequence[float], across: int = ACROSS) -> str:
    """Each checkpoint's letter at its share, * for several; the line in the middle is chance."""
    row = [" "] * across
    row[across // 2] = "┊"
    for mark, share in zip(MARKS, shares, strict=False):
        at = round(share * (across - 1))
        row[at] = mark if row[at] in " ┊" else "*"
    return "".join(row)
