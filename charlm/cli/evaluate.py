"""`charlm eval`: how well a model predicts a file."""

import re
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.options import checkpoint_argument, device_option, encoding_option, json_option

if TYPE_CHECKING:
    from charlm.api import Model
    from charlm.scoring import Score
    from charlm.text import Text

LEARNING = 0.9  # about the share of the time that goes into measuring with --adapt


@click.command()
@checkpoint_argument
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--streams",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Read a long text as N parts side by side, each after the 256 tokens before it: faster, "
    "and the figure is then an estimate of the exact one.  [default: 1]",
)
@click.option(
    "--adapt",
    is_flag=True,
    help="Also measure a copy that keeps learning from the text, each part after predicting it "
    "(dynamic evaluation). The checkpoint stays as it is.",
)
@encoding_option
@device_option
@json_option
def command(checkpoint: str, files: tuple[str, ...], **options: Any) -> None:
    """Measure a model on text: bits per character, perplexity.

    Bits per character and per byte can be compared across tokenizers; nats and perplexity per
    token cannot. The state is carried through the whole text, of several files through each; a
    per-line model starts afresh at each line, and each line's end counts as one character. For
    comparison: what a uniform model, character counts, xz and bz2 need for the same text.

    \b
    Example:
      charlm eval names.safetensors corpora/names/names.txt
    """
    from charlm.api import load
    from charlm.baselines import baselines
    from charlm.cli import terminal
    from charlm.cli.files import opened
    from charlm.scoring import parts_of

    model = load(checkpoint)
    text = opened(files, options["encoding"])
    streams, adapted, done = options["streams"], None, 0.0
    with terminal.Waiting(f"reading {text.name}") as waiting:
        how = {"streams": streams, "device": options["device"]}
        if options["adapt"]:
            done = LEARNING
            adapted = model.evaluate(
                text, adapt=True, watch=lambda share: waiting.tell(share * LEARNING), **how
            )
        score = model.evaluate(
            text, watch=lambda share: waiting.tell(done + share * (1 - done)), **how
        )
    simpler = baselines(text, model.per_line)
    if learned := _learned(model, text, score):
        terminal.notice(
            f"{text.name} is what this model was trained on, which flatters the figure; a text "
            "that it has not seen tells more"
        )
    unspelled = _surplus_space(text) if model.tokenizer.kind == "words" else 0
    if options["as_json"]:
        about = {"streams": streams, "trained_on_it": learned, "baselines": simpler}
        about["white_space_in_no_token"] = unspelled
        record = score.to_json() | about
        terminal.write_json(record | ({"adapted": adapted.to_json()} if adapted else {}))
        return
    how_read = _how(text, parts_of(score.tokens, streams), model.per_line)
    terminal.pairs(_lines(score, how_read, text.name, unspelled))
    terminal.write("\n")
    rows = [("this model", score.bits_per_character), *simpler.items()]
    if adapted:
        rows.insert(0, ("this model, adapting", adapted.bits_per_character))
    terminal.table(
        ["the same text by", "bits per character"],
        [[name, f"{bits:.4f}"] for name, bits in rows],
        right=[1],
    )


def _learned(model: "Model", text: "Text", score: "Score") -> bool:
    """Whether the model was trained on this text or a file of it, or all but a part of either."""
    from charlm.origin import origin_in
    from charlm.text import Text

    known = model.checkpoint.corpus

    def learned(text: "Text", characters: int) -> bool:
        """characters: as many as are read of the text, by which most texts are told apart."""
        sizes = known.train_characters, known.characters
        return characters in sizes and origin_in(text, model.checkpoint).same

    def read(text: "Text") -> int:
        return sum(len(piece) for pieces in text.to_read(model.per_line) for piece in pieces)

    files = [Text((document,), []) for document in text.documents]
    return learned(text, score.characters) or (
        len(files) > 1 and any(learned(file, read(file)) for file in files)
    )


def _how(text: "Text", parts: int, per_line: bool) -> str:
    if per_line:
        return "each line a sequence from the zero state to its end (<EOS>)"
    several = len(text.documents) > 1
    each = "each one sequence" if several else "one sequence"
    if parts > 1:
        most = "up to " * several
        return f"{each} in {most}{parts} parts, each after the 256 tokens before it: an estimate"
    return f"{each}, the state carried from its start to its end"


def _surplus_space(text: "Text") -> int:
    """Characters of white space that words leave out: all but line ends and one between two."""
    pattern = re.compile(r"^[^\S\n]+|[^\S\n]+$|(?<=[^\S\n])[^\S\n]+", re.MULTILINE)
    return sum(len(found) for chunk in text.chunks() for found in pattern.findall(chunk))


def _lines(score: "Score", how: str, name: str, unspelled: int) -> list[tuple[str, str]]:
    from charlm.figures import perplexity
    from charlm.scoring import FEW

    unseen = f"{score.unseen_tokens:,}"
    if score.unseen_tokens:
        known = score.log_probability - score.unseen_log_probability
        unseen += f", counted as <UNK>; without them ln P is {known:.2f}"
    if score.unseen_tokens > FEW * score.tokens:
        unseen += ", and nothing per character can be compared: <UNK> does not spell"
    space = []
    if unspelled > FEW * score.characters:
        share = f"{unspelled:,} characters ({100 * unspelled / score.characters:.1f} %)"
        space = [("in no token", f"{share} of white space, which flatters figures per character")]
    return [
        ("text", f"{name}: {how}"),
        (
            "counted",
            f"{score.tokens:,} tokens, {score.characters:,} characters, {score.bytes:,} bytes",
        ),
        ("unseen tokens", unseen),
        *space,
        ("ln P", f"{score.log_probability:.2f} nats"),
        ("bits per character", f"{score.bits_per_character:.4f}"),
        ("bits per byte", f"{score.bits_per_byte:.4f}"),
        ("bits per token", f"{score.bits_per_token:.4f}"),
        ("nats per token", f"{score.nats_per_token:.4f}"),
        ("perplexity", f"{perplexity(score.nats_per_token, 4)} per token"),
    ]
