"""`charlm sample`: text written by a model."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.options import (
    PATH,
    checkpoint_argument,
    device_option,
    encoding_option,
    json_option,
    on_unknown_option,
    prompt_text,
    raw_option,
)
from charlm.cli.texts import MOST_TRIES, Sampled, blocks, own, tokens_of

if TYPE_CHECKING:
    from charlm.api import Model


@click.command()
@checkpoint_argument
@click.option("--prompt", default="", metavar="TEXT", help="What the text begins with; - is stdin.")
@click.option(
    "--length",
    type=click.IntRange(min=0),
    default=1000,
    metavar="N",
    help="Write at most N tokens.  [default: 1000]",
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
    "-n",
    "--count",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Write N texts.  [default: 1]",
)
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", help="The same seed, the same text."
)
@click.option("--stop", metavar="TEXT", help="End a text before the first TEXT that it writes.")
@click.option(
    "--beam",
    type=click.IntRange(min=1),
    metavar="K",
    help="Instead of drawing, search for the K likeliest texts and show ln P of each; 1 is greedy.",
)
@click.option(
    "--length-penalty",
    type=float,
    metavar="X",
    help="With --beam: rank a text of n tokens by ln P / ((5 + n) / 6)^X; above 0, a long text "
    "does not lose by its length alone.  [default: 0]",
)
@click.option("--allow-unk", is_flag=True, help="Let <UNK> be written.")
@click.option(
    "--novelty",
    type=PATH,
    metavar="CORPUS",
    help="Say on stderr how much stands word for word in this text; with --json also in a last "
    "object.",
)
@click.option(
    "--unique",
    is_flag=True,
    help=f"No text twice: write on until there are --count, at most {MOST_TRIES} times as many.",
)
@click.option(
    "--novel",
    is_flag=True,
    help="Likewise only texts that are no line of the --novelty corpus (or stand nowhere in it, "
    "where a text is not a line).",
)
@on_unknown_option
@raw_option
@encoding_option
@device_option
@json_option
def command(checkpoint: str, **options: Any) -> None:
    """Write text with a model.

    One text is shown as it is written. Of a per-line model a text is a line, and --unique --novel
    give new ones: names, say, that are not in the corpus.

    \b
    Example:
      charlm sample names.safetensors --count 10 --temperature 0.8 --seed 1
      charlm sample names.safetensors --beam 5
    """
    from charlm.api import load
    from charlm.cli import terminal
    from charlm.cli.files import opened
    from charlm.errors import OptionError

    if options["beam"] or options["length_penalty"] is not None:
        from charlm.cli.search import search

        search(checkpoint, options)
        return
    if options["novel"] and not options["novelty"]:
        raise OptionError("--novel needs --novelty CORPUS to compare with")
    if options["stop"] == "":
        raise OptionError("--stop is empty; give the text to end before, or leave it out")
    model = load(checkpoint)
    prompt = prompt_text(model, options)
    corpus = opened([options["novelty"]], options["encoding"]) if options["novelty"] else None
    if drawn := options["seed"] is None:
        options["seed"] = int.from_bytes(os.urandom(4), "little")
    if options["stop"] and model.tokenizer.kind == "characters":  # a part of a word may come
        for _, character in model.tokenizer.unseen(options["stop"])[:1]:
            what = f"this model never writes {character!r}"
            terminal.notice(f"--stop: {what}; for a line's end give $'\\n'")
    alone = options["count"] == 1 and not options["as_json"]
    texts: list[Sampled] = []
    if alone and not options["unique"] and not options["novel"]:
        texts = [_stream(model, prompt, options)]
    else:
        for block in blocks(model, prompt, corpus, options):
            _print(block, len(texts) + 1, options, model.per_line or alone)
            texts += block
    if drawn and options["temperature"]:
        terminal.notice(f"--seed {options['seed']} writes this again")
    if model.per_line and (cut := sum(not one.ended for one in texts)):
        terminal.notice(f"{cut:,} of {len(texts):,} cut at --length: no whole lines")
    if corpus:
        from charlm.novelty import Novelty

        found = Novelty.of(own(model, prompt, texts), corpus, model.per_line)
        terminal.notice(found.in_words())
        if options["as_json"]:
            terminal.write_json({"novelty": found.to_json()})


def _stream(model: "Model", prompt: str, options: dict[str, Any]) -> Sampled:
    """One text, each piece written as soon as it is known."""
    from charlm.cli import terminal
    from charlm.sampling import until
    from charlm.tokenizers import EOS

    drawn, ended = tokens_of(model, prompt, range(1), options), True

    def tokens() -> Iterator[int]:
        nonlocal ended
        last = None
        for [token] in drawn:
            yield (last := int(token))
        ended = last == EOS  # --stop does not come here

    terminal.write(prompt, options["raw"])
    written = [prompt]
    for piece in until(model.written(prompt, tokens()), options["stop"]):
        terminal.write(piece, options["raw"])
        written.append(piece)
    terminal.write("\n")
    return Sampled("".join(written), ended)


def _print(texts: list[Sampled], first: int, options: dict[str, Any], plain: bool) -> None:
    """Each text as a line or a JSON object; if not plain, apart by a line with its number."""
    from charlm.cli import terminal

    for number, (text, ended) in enumerate(texts, first):
        if options["as_json"]:
            record = {"number": number, "text": text, "seed": options["seed"], "ended": ended}
            terminal.write_json(record)
        elif plain:
            terminal.write(text + "\n", options["raw"])
        else:
            terminal.write(f"--- {number} ---\n{text}\n", options["raw"])
