"""`charlm sample`: text written by a model."""

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.options import (
    checkpoint_argument,
    device_option,
    encoding_option,
    json_option,
    on_unknown_option,
    raw_option,
)

if TYPE_CHECKING:
    from charlm.api import Model


@click.command()
@checkpoint_argument
@click.option("--prompt", default="", metavar="TEXT", help="What the text begins with; - is stdin.")
@click.option(
    "--length",
    type=click.IntRange(min=0),
    metavar="N",
    help="At most so many tokens.  [default: 1000, per line 500]",
)
@click.option(
    "--temperature",
    type=float,
    default=1.0,
    metavar="X",
    help="Below 1 safer, above 1 wilder; 0 takes the likeliest.  [default: 1.0]",
)
@click.option("--top-k", type=int, metavar="N", help="Choose among the N likeliest tokens.")
@click.option(
    "--top-p", type=float, metavar="X", help="Choose among the fewest that reach probability X."
)
@click.option(
    "--min-p",
    type=float,
    metavar="X",
    help="Choose among those at least X times as likely as the likeliest.",
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Write N texts.  [default: 1]",
)
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", help="The same seed, the same text."
)
@click.option("--stop", metavar="TEXT", help="End a text where this appears in it.")
@click.option("--allow-unk", is_flag=True, help="Let <UNK> be written.")
@click.option(
    "--novelty", metavar="CORPUS", help="Say on stderr how much stands word for word in this text."
)
@click.option("--unique", is_flag=True, help="Keep each text once.")
@click.option("--novel", is_flag=True, help="Keep texts that are no line of the --novelty corpus.")
@on_unknown_option
@raw_option
@encoding_option
@device_option
@json_option
def command(checkpoint: str, **options: Any) -> None:
    """Write text with a model.

    \b
    Example:
      charlm sample names.safetensors --count 10 --temperature 0.8 --seed 1
    """
    from charlm.api import load
    from charlm.errors import OptionError

    if options["novel"] and not options["novelty"]:
        raise OptionError("--novel needs --novelty CORPUS to compare with")
    model = load(checkpoint)
    prompt = sys.stdin.buffer.read().decode() if options["prompt"] == "-" else options["prompt"]
    if options["count"] == 1 and not options["as_json"] and not options["novelty"]:
        _stream(model, prompt, options)
        return
    texts = [prompt + text for text in _texts(model, prompt, options)]
    if options["novelty"]:
        texts = _compare(texts, options, model.per_line)
    if options["unique"]:
        texts = list(dict.fromkeys(texts))
    _print(texts, options, model.per_line)


def _stream(model: "Model", prompt: str, options: dict[str, Any]) -> None:
    """One text, each piece written as soon as it is known."""
    from charlm.cli import terminal
    from charlm.sampling import until

    tokens = _tokens(model, prompt, options)
    terminal.write(prompt, options["raw"])
    for piece in until(_pieces(model, tokens), options["stop"]):
        terminal.write(piece, options["raw"])
    terminal.write("\n")


def _pieces(model: "Model", tokens: Iterator[Any]) -> Iterator[str]:
    decoder = model.tokenizer.decoder()
    for token in tokens:
        if token[0]:
            yield decoder.feed(int(token[0]))
    yield decoder.finish()


def _texts(model: "Model", prompt: str, options: dict[str, Any]) -> list[str]:
    """All texts, written in one batch; the prompt is not in them."""
    import numpy as np

    from charlm.sampling import until

    columns = np.array(list(_tokens(model, prompt, options))).reshape(-1, options["count"]).T
    decoded = (model.tokenizer.decode(column[column > 0].tolist()) for column in columns)
    return ["".join(until(iter([text]), options["stop"])) for text in decoded]


def _tokens(model: "Model", prompt: str, options: dict[str, Any]) -> Iterator[Any]:
    seed, length = options["seed"], options["length"]
    seed = int.from_bytes(os.urandom(4), "little") if seed is None else seed
    return model.stream(
        prompt,
        length=(500 if model.per_line else 1000) if length is None else length,
        temperature=options["temperature"],
        top_k=options["top_k"],
        top_p=options["top_p"],
        min_p=options["min_p"],
        seeds=[[seed, number] for number in range(options["count"])],
        allow_unk=options["allow_unk"],
        on_unknown=options["on_unknown"],
        device=options["device"],
    )


def _print(texts: list[str], options: dict[str, Any], per_line: bool) -> None:
    """Each text as a line or a JSON object; long texts stand apart by a line that says so."""
    from charlm.cli import terminal

    for number, text in enumerate(texts, 1):
        if options["as_json"]:
            terminal.write_json({"number": number, "text": text})
        elif per_line or len(texts) == 1:
            terminal.write(text + "\n", options["raw"])
        else:
            terminal.write(f"--- {number} ---\n{text}\n", options["raw"])


def _compare(texts: list[str], options: dict[str, Any], per_line: bool) -> list[str]:
    """Says how new the texts are, and leaves out those that --unique or --novel do not want."""
    from charlm.cli import terminal
    from charlm.novelty import Novelty
    from charlm.text import open_text

    corpus = open_text([options["novelty"]], options["encoding"])
    novelty = Novelty.of(texts, corpus, per_line)
    terminal.notice(novelty.in_words())
    return [text for text in texts if text not in novelty.known] if options["novel"] else texts
