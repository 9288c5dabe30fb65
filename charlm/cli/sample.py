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
    raw_option,
    read_prompt,
)

if TYPE_CHECKING:
    from charlm.api import Model
    from charlm.text import Text

TOGETHER = 4096  # texts that are written in one batch
FIRST_LOOK = 64  # steps after which --stop is looked for, and then after twice as many
MOST_TRIES = 20  # texts that --unique and --novel write, at most, for each that is wanted


@click.command()
@checkpoint_argument
@click.option("--prompt", default="", metavar="TEXT", help="What the text begins with; - is stdin.")
@click.option(
    "--length",
    type=click.IntRange(min=0),
    default=1000,
    metavar="N",
    help="At most so many tokens.  [default: 1000]",
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
    help="Say on stderr how much stands word for word in this text.",
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
    from charlm.errors import OptionError
    from charlm.text import open_text

    if options["beam"] or options["length_penalty"] is not None:
        from charlm.cli.search import search

        search(checkpoint, options)
        return
    if options["novel"] and not options["novelty"]:
        raise OptionError("--novel needs --novelty CORPUS to compare with")
    if options["stop"] == "":
        raise OptionError("--stop is empty; give the text to end before, or leave it out")
    model = load(checkpoint)
    prompt = read_prompt(model, options)
    corpus = open_text([options["novelty"]], options["encoding"]) if options["novelty"] else None
    for remark in corpus.notices if corpus else ():
        terminal.notice(remark)
    if drawn := options["seed"] is None:
        options["seed"] = int.from_bytes(os.urandom(4), "little")
    if options["stop"] and model.tokenizer.kind == "characters":  # a part of a word may come
        for _, never in model.tokenizer.unseen(options["stop"])[:1]:
            terminal.notice(
                f"--stop: this model never writes {never!r}; for a line's end give $'\\n'"
            )
    alone = options["count"] == 1 and not options["as_json"]
    texts: list[str] = []
    if alone and not options["unique"] and not options["novel"]:
        texts = [_stream(model, prompt, options)]
    else:
        for block in _blocks(model, prompt, corpus, options):
            _print(block, len(texts) + 1, options, model.per_line or alone)
            texts += block
    if drawn and options["temperature"]:
        terminal.notice(f"--seed {options['seed']} writes this again")
    if corpus:
        from charlm.novelty import Novelty

        own = _own(model, prompt, texts)
        terminal.notice(Novelty.of(own, corpus, model.per_line).in_words())


def _stream(model: "Model", prompt: str, options: dict[str, Any]) -> str:
    """One text, each piece written as soon as it is known."""
    from charlm.cli import terminal
    from charlm.sampling import until

    tokens = (int(token[0]) for token in _tokens(model, prompt, range(1), options))
    terminal.write(prompt, options["raw"])
    written = [prompt]
    for piece in until(model.written(prompt, tokens), options["stop"]):
        terminal.write(piece, options["raw"])
        written.append(piece)
    terminal.write("\n")
    return "".join(written)


def _blocks(
    model: "Model", prompt: str, corpus: "Text | None", options: dict[str, Any]
) -> Iterator[list[str]]:
    """--count texts that --unique and --novel leave, in blocks that grow until there are enough.

    Text k depends on the seed and k alone, so that a larger --count goes on with the same ones.
    """
    from charlm.cli import terminal

    count, unique = options["count"], options["unique"]
    tries = count * MOST_TRIES if unique or options["novel"] else count
    kept = written = 0
    seen: set[str] = set()
    while kept < count and written < tries:
        size = min(max(count, written), TOGETHER)
        numbers = range(written, min(written + size, tries))
        texts = _texts(model, prompt, numbers, options)
        written += len(texts)
        if unique:
            texts = [text for text in dict.fromkeys(texts) if text not in seen]
        if corpus and options["novel"]:
            texts = _novel(model, prompt, texts, corpus)
        if unique:
            seen.update(texts)
        yield texts[: count - kept]
        kept += len(texts)
    if kept < count:
        terminal.notice(
            f"only {kept:,} of {count:,} after {written:,} tries; a higher --temperature "
            "or another --seed may give more"
        )
    elif written > count:
        terminal.notice(f"picked from {written:,} texts")


def _novel(model: "Model", prompt: str, texts: list[str], corpus: "Text") -> list[str]:
    """Those of the texts that the corpus does not know."""
    from charlm.novelty import Novelty

    written = _own(model, prompt, texts)
    known = Novelty.of(written, corpus, model.per_line).known if texts else ()
    return [text for text, own in zip(texts, written, strict=True) if own not in known]


def _own(model: "Model", prompt: str, texts: list[str]) -> list[str]:
    """What of the texts is the model's: not the prompt, unless a text is a line."""
    return texts if model.per_line else [text.removeprefix(prompt) for text in texts]


def _texts(model: "Model", prompt: str, numbers: range, options: dict[str, Any]) -> list[str]:
    """The texts of these numbers, written in one batch, each after the prompt.

    With --stop it is looked for at times, so that nothing is written after the last one's.
    """
    import numpy as np

    from charlm.threads import threads_for
    from charlm.tokenizers import EOS

    steps: list[Any] = []
    stop, look = options["stop"], FIRST_LOOK

    def texts() -> list[str]:
        columns = np.array(steps).reshape(-1, len(numbers)).T
        return ["".join(model.written(prompt, column.tolist())) for column in columns]

    with threads_for(model.checkpoint.model.parameters):
        for tokens in _tokens(model, prompt, numbers, options):
            steps.append(tokens)
            if stop and len(steps) == look:
                look *= 2
                going = zip(texts(), tokens, strict=True)
                if all(stop in text for text, token in going if token != EOS):
                    break
    return [prompt + (text.partition(stop)[0] if stop else text) for text in texts()]


def _tokens(model: "Model", prompt: str, numbers: range, options: dict[str, Any]) -> Iterator[Any]:
    return model.stream(
        prompt,
        length=options["length"],
        temperature=options["temperature"],
        top_k=options["top_k"],
        top_p=options["top_p"],
        min_p=options["min_p"],
        seeds=[[options["seed"], number] for number in numbers],
        allow_unk=options["allow_unk"],
        on_unknown=options["on_unknown"],
        device=options["device"],
    )


def _print(texts: list[str], first: int, options: dict[str, Any], plain: bool) -> None:
    """Each text as a line or a JSON object; if not plain, apart by a line with its number."""
    from charlm.cli import terminal

    for number, text in enumerate(texts, first):
        if options["as_json"]:
            terminal.write_json({"number": number, "text": text, "seed": options["seed"]})
        elif plain:
            terminal.write(text + "\n", options["raw"])
        else:
            terminal.write(f"--- {number} ---\n{text}\n", options["raw"])
