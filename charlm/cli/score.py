"""`charlm score`: the probability of sentences."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.options import (
    checkpoint_argument,
    encoding_option,
    json_option,
    on_unknown_option,
)

if TYPE_CHECKING:
    from charlm.api import Model
    from charlm.scoring import Score, TokenScore

BLOCK = 4096  # lines of a file that are read and scored together


@click.command()
@checkpoint_argument
@click.argument("sentences", nargs=-1, metavar="[SENTENCE...]")
@click.option(
    "-f", "--file", "path", metavar="FILE", help="Score every line of a file; - is stdin."
)
@click.option(
    "--given", default="", metavar="TEXT", help="What comes before; its probability is not counted."
)
@click.option(
    "--eos/--no-eos",
    default=None,
    help="Count the end of the sequence.  [default: per-line models count it]",
)
@click.option("--per-token", is_flag=True, help="Show each token's probability and rank.")
@click.option(
    "--sort", type=click.Choice(["surprise"]), help="Strangest first: by bits per character."
)
@click.option(
    "--next", "ask_next", is_flag=True, help="Show the likeliest tokens after each SENTENCE."
)
@on_unknown_option
@encoding_option
@json_option
def command(checkpoint: str, sentences: tuple[str, ...], **options: Any) -> None:
    """Give the probability of sentences by the chain rule.

    Each starts from the zero state after <EOS>. Two or more also show which is likelier and by
    how much.

    \b
    Example:
      charlm score names.safetensors "Anna" "Nnaa"
      charlm score names.safetensors --next "An"
    """
    from charlm.api import load
    from charlm.errors import OptionError

    if bool(sentences) == bool(options["path"]):
        raise OptionError("give sentences or -f FILE, one of the two")
    model = load(checkpoint)
    if options["ask_next"]:
        _show_next(model, sentences, options)
    elif options["per_token"]:
        _show_tokens(model, sentences, options)
    elif options["path"]:
        _show_file(model, options)
    else:
        _show_sentences(model, sentences, options)


def _checked(model: "Model", texts: Iterable[str], options: dict[str, Any]) -> list[str]:
    """The texts; raises VocabularyError at what the model never saw unless that is accepted."""
    texts = list(texts)
    for text in (options["given"], *texts):
        model.encode(text, on_unknown=options["on_unknown"])
    return texts


def _show_sentences(model: "Model", sentences: tuple[str, ...], options: dict[str, Any]) -> None:
    from charlm.cli import terminal

    texts = _checked(model, sentences, options)
    scores = model.scores(texts, given=options["given"], eos=options["eos"])
    ranked = list(zip(texts, scores, strict=True))
    if options["sort"]:
        ranked.sort(key=lambda pair: -pair[1].bits_per_character)
    if options["as_json"]:
        for text, score in ranked:
            terminal.write_json({"text": text} | score.to_json())
        return
    terminal.table(COLUMNS, (_row(text, score) for text, score in ranked), range(len(COLUMNS) - 1))
    terminal.write(_how(model, options, scores[0]))
    if len(texts) > 1:
        terminal.write(_comparison(texts, scores))


COLUMNS = ["ln P", "P", "bits/char", "perplexity", "tokens", "unseen", "sentence"]


def _row(text: str, score: "Score") -> list[str]:
    from charlm.cli.terminal import probability

    return [
        f"{score.log_probability:.3f}",
        probability(score.log10_probability),
        f"{score.bits_per_character:.4f}",
        f"{score.perplexity:.3f}",
        str(score.tokens),
        str(score.unseen_tokens),
        text.replace("\n", "␊"),
    ]


def _how(model: "Model", options: dict[str, Any], score: "Score") -> str:
    start = "after the given text" if options["given"] else "from the zero state after <EOS>"
    end = "the end (<EOS>) counted" if score.eos_counted else "the end not counted"
    return f"{start}, {end}; perplexity per {model.tokenizer.kind.rstrip('s')} token\n"


def _comparison(texts: list[str], scores: list["Score"]) -> str:
    order = sorted(range(len(texts)), key=lambda k: -scores[k].log_probability)
    first, second = order[0], order[1]
    gap = scores[first].log10_probability - scores[second].log10_probability
    if gap == 0:
        return f'"{texts[first]}" and "{texts[second]}" are equally likely\n'
    times = f"{10**gap:,.3g}" if gap < 6 else f"10^{gap:.1f}"
    return f'likelier: "{texts[first]}", {times} times as likely as "{texts[second]}"\n'


def _show_file(model: "Model", options: dict[str, Any]) -> None:
    """Every line of a file, block by block; sorted, all lines are kept to the end."""
    from charlm.cli import terminal

    rows: list[tuple[float, int, str, Score]] = []
    for number, (text, score) in enumerate(_scored_lines(model, options), 1):
        if options["sort"]:
            rows.append((-score.bits_per_character, number, text, score))
        else:
            _show_line(number, text, score, options["as_json"])
    for _, number, text, score in sorted(rows, key=lambda row: row[:2]):
        _show_line(number, text, score, options["as_json"])
    del terminal


def _scored_lines(model: "Model", options: dict[str, Any]) -> Iterator[tuple[str, "Score"]]:
    from charlm.text import open_text

    lines = _lines(open_text([options["path"]], options["encoding"]).line_chunks())
    while block := list(islice(lines, BLOCK)):
        texts = _checked(model, block, options)
        scores = model.scores(texts, given=options["given"], eos=options["eos"])
        yield from zip(texts, scores, strict=True)


def _lines(chunks: Iterable[str]) -> Iterator[str]:
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split("\n")
        yield from whole


def _show_line(number: int, text: str, score: "Score", as_json: bool) -> None:
    from charlm.cli import terminal

    if as_json:
        terminal.write_json({"line": number, "text": text} | score.to_json())
    else:
        figures = f"{score.log_probability:.4f}\t{score.bits_per_character:.4f}\t{number}"
        terminal.write(f"{figures}\t{text}\n")


def _show_tokens(model: "Model", sentences: tuple[str, ...], options: dict[str, Any]) -> None:
    from charlm.cli import terminal

    for text in _checked(model, sentences, options):
        tokens = model.token_scores(text, given=options["given"], eos=options["eos"])
        if options["as_json"]:
            terminal.write_json({"text": text, "tokens": [vars(token) for token in tokens]})
        else:
            _token_table(tokens)


def _show_next(model: "Model", sentences: tuple[str, ...], options: dict[str, Any]) -> None:
    from charlm.cli import terminal

    for text in _checked(model, sentences, options):
        tokens = model.next_tokens(options["given"] + text)
        if options["as_json"]:
            terminal.write_json({"text": text, "next": [vars(token) for token in tokens]})
        else:
            _token_table(tokens)


def _token_table(tokens: list["TokenScore"]) -> None:
    import math

    from charlm.cli import terminal

    rows = [
        [
            terminal.symbol(token.piece),
            f"{math.exp(-token.nats):.4g}",
            f"{token.nats / math.log(2):.3f}",
            str(token.rank),
        ]
        for token in tokens
    ]
    terminal.table(["token", "P", "bits", "rank"], rows, right=[1, 2, 3])
