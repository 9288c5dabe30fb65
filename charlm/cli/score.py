"""`charlm score`: the probability of sentences."""

import math
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from charlm import figures
from charlm.cli import terminal
from charlm.cli.belonging import refuse
from charlm.cli.files import looks_like_a_file
from charlm.cli.options import PATH, checkpoint_argument, encoding_option, json_option
from charlm.cli.sentences import Sentence, blocks_of_file, lines_of_file
from charlm.cli.token_table import records, show, write_rows
from charlm.errors import OptionError, VocabularyError
from charlm.figures import on_one_line

if TYPE_CHECKING:
    from charlm.api import Model
    from charlm.scoring import Score


@click.command()
@checkpoint_argument
@click.argument("sentences", nargs=-1, metavar="[SENTENCE...]")
@click.option(
    "-f",
    "--file",
    "paths",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="Score every line of a file or of several; - is stdin, also without -f.",
)
@click.option(
    "--given",
    default="",
    metavar="TEXT",
    help="What comes before; its probability is not counted. $'\\n' reads lines as those of a text "
    "that was learned whole.",
)
@click.option(
    "--eos/--no-eos",
    default=None,
    help="Count the end of the sequence.  [default: per-line models count it]",
)
@click.option("--per-token", is_flag=True, help="Show each token's probability and rank.")
@click.option(
    "--per-word",
    is_flag=True,
    help="Show each word's probability, with that of the white space before it.",
)
@click.option(
    "--sort", type=click.Choice(["surprise"]), help="Strangest first: by bits per character."
)
@click.option(
    "--next", "ask_next", is_flag=True, help="Show the likeliest tokens after each SENTENCE."
)
@click.option(
    "--on-unknown",
    type=click.Choice(["unk", "error"]),
    default="unk",
    help="Read what the model never saw as <UNK> and count it, or refuse it.  [default: unk]",
)
@encoding_option
@json_option
def command(checkpoint: str, sentences: tuple[str, ...], **options: Any) -> None:
    """Give the probability of sentences by the chain rule.

    Each starts from the zero state after <EOS>, or after --given. Two or more also show which is
    likelier and by how much. The lines of a file come one a line, those of stdin as they arrive:
    number (of several files FILE:NUMBER), ln P, P, bits per character, perplexity, tokens, unseen
    tokens and text, between tabs where they go into a pipe; there --per-token gives a line a
    token: the line's number, token, ln P, bits, rank and, of <UNK>, what it stands for; --per-word
    number, word, ln P, bits, how many tokens it is and how many of them are unseen. --json is an
    object a line.

    \b
    Example:
      charlm score names.safetensors "Anna" "Nnaa"
      charlm score names.safetensors --next "An"
    """
    from charlm.api import load

    if sentences == ("-",) and not options["paths"]:
        sentences, options["paths"] = (), ("-",)
    if "-" in sentences:
        raise OptionError("- is standard input: give it alone, or -f - (and no sentence)")
    if bool(sentences) == bool(options["paths"]):
        raise OptionError("give sentences, or -f before each FILE, one of the two")
    if options["ask_next"]:
        refuse(
            ["per_token", "per_word", "sort", "eos"],
            "belongs to scores, not to --next: give one of the two",
        )
    if options["per_token"] or options["per_word"]:
        refuse(["sort"], "ranks sentences by their scores, not their parts; leave it out")
    if options["per_token"]:
        refuse(["per_word"], "shows words, and --per-token tokens: give one of the two")
    model = load(checkpoint)
    for text in filter(looks_like_a_file, sentences):
        terminal.notice(f"{text} is scored as a sentence itself; for the lines of a file give -f")
    unseen = model.tokenizer.unseen(options["given"])
    if unseen and options["on_unknown"] == "unk":
        terminal.notice(f"--given: {len(unseen):,} of its tokens unseen, read as <UNK>")
    given = [Sentence(f'"{text}"', text) for text in sentences]
    if options["ask_next"] or options["per_token"] or options["per_word"]:
        _show_tokens(model, given or lines_of_file(options), options)
    elif given:
        _show_sentences(model, given, options)
    else:
        _show_file(model, options)


def _check(model: "Model", sentences: Iterable[Sentence], options: dict[str, Any]) -> None:
    """Raises VocabularyError at what the model never saw unless that is accepted."""
    if options["on_unknown"] == "unk":
        return
    for name, text, *_ in (Sentence("--given", options["given"]), *sentences):
        try:
            model.encode(text)
        except VocabularyError as error:
            raise VocabularyError(f"{name}: {error}") from error


def _scores(
    model: "Model", sentences: list[Sentence], options: dict[str, Any]
) -> list[tuple[Sentence, "Score"]]:
    _check(model, sentences, options)
    texts = [sentence.text for sentence in sentences]
    scores = model.scores(texts, given=options["given"], eos=options["eos"])
    return list(zip(sentences, scores, strict=True))


def _show_sentences(model: "Model", sentences: list[Sentence], options: dict[str, Any]) -> None:
    scored = _scores(model, sentences, options)
    if options["sort"]:
        scored.sort(key=lambda pair: -pair[1].bits_per_character)
    if options["as_json"]:
        for sentence, score in scored:
            terminal.write_json(sentence.to_json() | score.to_json())
        return
    if len(scored) == 1:
        terminal.pairs(_one(model, *scored[0], options))
        return
    rows = [[*_figures(score), on_one_line(text)] for (_, text, *_), score in scored]
    unseen = any(score.unseen_tokens for _, score in scored)
    shown = (NARROW_UNSEEN if unseen else NARROW) if terminal.narrow() else range(len(COLUMNS))
    terminal.table(
        [COLUMNS[k] for k in shown],
        ([row[k] for k in shown] for row in rows),
        range(len(shown) - 1),
    )
    terminal.write("\n")
    how = [*_comparison(scored), ("counted", _how(options, scored[0][1]))]
    if not terminal.narrow():  # which has no room for perplexities
        how.append(("perplexity", _per_token(model)))
    terminal.pairs(how)


def _one(
    model: "Model", sentence: Sentence, score: "Score", options: dict[str, Any]
) -> list[tuple[str, str]]:
    ln_p, p, bits, perplexity, tokens, unseen = _figures(score)
    return [
        ("sentence", on_one_line(sentence.text)),
        ("ln P", f"{ln_p} nats"),
        ("P", p),
        ("bits per character", bits),
        ("perplexity", f"{perplexity} {_per_token(model)}"),
        ("tokens", f"{tokens}, {unseen} of them unseen"),
        ("counted", _how(options, score)),
    ]


COLUMNS = ["ln P", "P", "bits/char", "perplexity", "tokens", "unseen", "sentence"]
NARROW, NARROW_UNSEEN = (0, 2, 6), (0, 2, 5, 6)  # what a narrow terminal has room for


def _figures(score: "Score") -> list[str]:
    return [
        f"{score.log_probability:.3f}",
        figures.probability(score.log10_probability),
        f"{score.bits_per_character:.4f}",
        figures.perplexity(score.nats_per_token, 3),
        f"{score.tokens:,}",
        f"{score.unseen_tokens:,}",
    ]


def _how(options: dict[str, Any], score: "Score") -> str:
    start = "after the given text" if options["given"] else "from the zero state after <EOS>"
    return f"{start}, {'with' if score.eos_counted else 'without'} its end (<EOS>)"


def _per_token(model: "Model") -> str:
    kinds = {"characters": "character", "bytes": "byte", "words": "word"}
    return f"per {kinds.get(model.tokenizer.kind, 'subword')}"


def _comparison(scored: list[tuple[Sentence, "Score"]]) -> list[tuple[str, str]]:
    """Which sentence is the likeliest, and by how much."""
    from charlm.scoring import TIE

    ranked = sorted(scored, key=lambda pair: -pair[1].log_probability)
    (first, best), (second, runner_up) = ranked[:2]
    label, none, over = "likelier", "neither", ""
    if len(ranked) > 2:
        label, none, over = "likeliest", "several, equally", f" over {on_one_line(second.name)}"
    nats = best.log_probability - runner_up.log_probability
    if nats <= TIE:
        return [(label, none)]
    times = _times(best.log10_probability - runner_up.log10_probability)
    return [
        (label, on_one_line(first.text)),
        ("by", f"{times} times ({nats:.3f} nats){over}"),
    ]


def _times(log10: float) -> str:
    """10^log10 to three digits: 1.02, 10,900 or 10^9.3."""
    if log10 >= 9:
        return f"10^{log10:.1f}"
    return f"{10**log10:.3g}" if log10 < 2.9995 else f"{round(10**log10, 2 - int(log10)):,.0f}"


def _show_file(model: "Model", options: dict[str, Any]) -> None:
    """Every line of a file, block by block; sorted, all lines are kept to the end."""
    blocks = (_scores(model, block, options) for block in blocks_of_file(options))
    scored: Iterator[tuple[Sentence, Score]] = chain.from_iterable(blocks)
    if options["sort"]:
        scored = iter(sorted(scored, key=_surprise))
    if sys.stdout.isatty() and not options["as_json"]:
        _show_columns("line", "ln P", "bits/char", "unseen", "text")
    for sentence, score in scored:
        _show_line(sentence, score, options["as_json"])


def _surprise(scored: tuple[Sentence, "Score"]) -> tuple[bool, float]:
    """Sorts lines by it: the strangest first, empty ones, of which nothing is strange, last.

    Rounded, so that equal lines stay in the file's order wherever they were read.
    """
    sentence, score = scored
    return not sentence.text, -round(score.bits_per_character, 6)


def _show_line(sentence: Sentence, score: "Score", as_json: bool) -> None:
    if as_json:
        terminal.write_json(sentence.to_json() | score.to_json())
        return
    ln_p, _, bits, perplexity, tokens, unseen = (each.replace(",", "") for each in _figures(score))
    if sys.stdout.isatty():
        _show_columns(sentence.place, ln_p, bits, unseen, sentence.text)
    else:
        p = figures.scientific(score.log10_probability)
        if perplexity.startswith("10^"):  # which programs do not read
            perplexity = figures.scientific(score.nats_per_token / math.log(10))
        row = (sentence.place, ln_p, p, bits, perplexity, tokens, unseen, sentence.text)
        terminal.write("\t".join(row) + "\n")


def _show_columns(number: str, ln_p: str, bits: str, unseen: str, text: str) -> None:
    terminal.write(f"{number:>8}  {ln_p:>10}  {bits:>9}  {unseen:>6}  {text}\n")


def _show_tokens(model: "Model", sentences: Iterable[Sentence], options: dict[str, Any]) -> None:
    """A table for each sentence: its tokens or words, or with --next what may come after it."""
    from charlm.inspection.words import by_word
    from charlm.tokenizers import UNK

    given, ask_next = options["given"], options["ask_next"]
    name = "next" if ask_next else "words" if options["per_word"] else "tokens"
    for number, sentence in enumerate(sentences):
        _check(model, [sentence], options)
        if ask_next:
            tokens = model.next_tokens(sentence.text, given=given)
            heading, sums = "likeliest next", {}
        else:
            tokens = model.token_scores(sentence.text, given=given, eos=options["eos"])
            nats = sum(token.nats for token in tokens)
            heading = f"{len(tokens):,} tokens, {nats / math.log(2):.3f} bits, ln P {-nats:.3f}"
            unseen = sum(token.token == UNK for token in tokens)
            heading += f", {unseen:,} unseen" * (unseen > 0)
            sums = {"log_probability": 0.0 - nats, "unseen_tokens": unseen}
        words = options["per_word"]
        scored = by_word(model.tokenizer, sentence.text, tokens) if words else tokens
        if options["as_json"]:
            terminal.write_json(sentence.to_json() | sums | {name: records(scored)})
        elif options["paths"] and not ask_next and not sys.stdout.isatty():
            write_rows(sentence.place, scored)
        else:
            terminal.write("\n" * (number > 0) + f"{on_one_line(sentence.name)}: {heading}\n\n")
            show(scored, words)
