"""`charlm train`: a text in, a checkpoint out."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.options import device_option, encoding_option, from_fields
from charlm.config import ModelConfig, TrainConfig
from charlm.errors import OptionError, TrainingError

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint
    from charlm.corpus import Corpus
    from charlm.run import Run

STARTED = time.monotonic()
SAVE_SECONDS = 60.0
PLANNED_MODEL = ("layers", "hidden_size", "embedding_size", "tie_weights")
PLANNED_TRAINING = ("batch_size", "bptt", "weight_decay", "dropout")
TOKENIZERS = ("characters", "bytes", "words", "unigram", "bpe")


@click.command()
@click.argument("texts", nargs=-1, required=True, metavar="TEXT...")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    help="The checkpoint to write.  [default: checkpoints/NAME.safetensors]",
)
@click.option("--force", is_flag=True, help="Overwrite the output if it exists.")
@click.option("--resume", is_flag=True, help="Go on where the run that wrote the output stopped.")
@click.option("--init-from", type=click.Path(), help="Start from this checkpoint's weights.")
@click.option(
    "--per-line", is_flag=True, help=ModelConfig.__dataclass_fields__["per_line"].metadata["help"]
)
@click.option(
    "--tokenizer",
    type=click.Choice(TOKENIZERS),
    default="characters",
    help="What the tokens are.  [default: characters]",
)
@click.option(
    "--vocab-size",
    type=int,
    metavar="N",
    help="At most so many tokens.  [default: all characters, 10,000 words, 2,000 subwords]",
)
@click.option(
    "--min-count",
    type=int,
    default=1,
    metavar="N",
    help="Characters or words seen less often become <UNK>.  [default: 1]",
)
@click.option("--valid", "valid_path", type=click.Path(), help="Validate on this text.")
@click.option(
    "--valid-fraction",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.1,
    metavar="X",
    help="Else on this last part of the text; per line on every tenth line.  [default: 0.1]",
)
@from_fields(TrainConfig, ("minutes", "epochs", "steps"))
@from_fields(ModelConfig, ("cell", *PLANNED_MODEL), PLANNED_MODEL)
@from_fields(
    TrainConfig,
    (*PLANNED_TRAINING, "learning_rate", "clip", "warmup", "reset_probability", "patience", "seed"),
    PLANNED_TRAINING,
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    help="Arithmetic of training.  [default: auto, the faster one here]",
)
@device_option
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads on the CPU.  [default: all cores]",
)
@click.option("--log", type=click.Path(), help="Write JSON lines here.")
@click.option("--quiet", is_flag=True, help="Show nothing but warnings.")
@encoding_option
def command(texts: tuple[str, ...], **options: Any) -> None:
    """Train a model on TEXT: files, folders or - for standard input.

    Everything marked [chosen] is chosen from the text's size, the time and the machine. Ctrl-C
    saves and says how to go on.

    \b
    Example:
      charlm train corpora/names/names.txt --per-line --steps 200 -o names.safetensors
    """
    from charlm.cli.progress import View

    output = _output(texts, options)
    earlier = _earlier(output, options)
    view = View(quiet=options["quiet"], log=options["log"])
    corpus = _corpus(texts, earlier, view, options)
    run = _run(corpus, earlier, options)
    view.announce(run, str(output), resumed=options["resume"])
    signalled = _train(run, output, view)
    view.close(run, str(output))
    if signalled:
        view.say(
            f"stopped and saved; go on with: charlm train {' '.join(texts)} -o {output} --resume"
        )
        raise SystemExit(128 + signalled)


def _output(texts: tuple[str, ...], options: dict[str, Any]) -> Path:
    """The file to write; that it can be written is known before anything else is done."""
    stem = "model" if texts[0] == "-" else Path(texts[0]).resolve().stem
    output = Path(options["output"] or f"checkpoints/{stem}.safetensors")
    if output.is_dir():
        raise OptionError(f"{output} is a folder; give -o a file's name")
    if output.exists() and not (options["force"] or options["resume"]):
        raise OptionError(f"{output} exists; give --force to overwrite it or --resume to go on")
    if options["resume"] and not output.exists():
        raise OptionError(f"{output} does not exist; --resume needs the checkpoint to go on from")
    if options["resume"] and options["init_from"]:
        raise OptionError("give --resume or --init-from, not both")
    if not options["output"]:
        output.parent.mkdir(exist_ok=True)
    if not output.parent.is_dir():
        raise OptionError(f"{output.parent} is not a folder; make it or give another -o")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise OptionError(f"{output.parent} cannot be written to; give another -o")
    return output


def _earlier(output: Path, options: dict[str, Any]) -> "Checkpoint | None":
    """The checkpoint to go on from or to start from, if any."""
    from charlm.checkpoint import load

    if options["resume"]:
        return load(output)
    return load(options["init_from"]) if options["init_from"] else None


def _corpus(
    texts: tuple[str, ...], earlier: "Checkpoint | None", view: Any, options: dict[str, Any]
) -> "Corpus":
    from charlm.corpus import build_corpus
    from charlm.text import open_text

    text = open_text(texts, options["encoding"])
    valid = (
        open_text([options["valid_path"]], options["encoding"]) if options["valid_path"] else None
    )
    for remark in text.notices + (valid.notices if valid else []):
        view.say(remark)
    tokenizer: Any = options["tokenizer"]
    per_line = options["per_line"]
    if earlier is not None and options["resume"]:
        tokenizer, per_line = earlier.tokenizer, earlier.model.per_line
    elif earlier is not None:
        tokenizer = _grown(earlier, text, options)
    return build_corpus(
        text,
        valid,
        tokenizer=tokenizer,
        min_count=options["min_count"],
        vocabulary_size=options["vocab_size"],
        valid_fraction=options["valid_fraction"],
        per_line=per_line,
    )


def _grown(earlier: "Checkpoint", text: Any, options: dict[str, Any]) -> Any:
    """The earlier model's tokenizer with the new text's tokens added."""
    from charlm.tokenizers import train_tokenizer

    known = earlier.tokenizer
    if known.kind not in ("characters", "words"):
        return known
    new = train_tokenizer(known.kind, text.chunks(), options["min_count"], options["vocab_size"])
    return known.grown(new)


def _run(corpus: "Corpus", earlier: "Checkpoint | None", options: dict[str, Any]) -> "Run":
    from charlm.planning import Machine
    from charlm.run import BUDGETS, begin, resume

    if options["resume"]:
        assert earlier is not None
        machine = Machine.probe(options["device"], earlier.training.precision, options["threads"])
        budget = {name: options[name] for name in BUDGETS}
        return resume(earlier, corpus, machine, budget, STARTED)
    machine = Machine.probe(options["device"], options["precision"], options["threads"])
    fields = {*TrainConfig.__dataclass_fields__, *ModelConfig.__dataclass_fields__}
    chosen = {name: value for name, value in options.items() if name in fields}
    chosen = {
        name: chosen[name] for name in chosen if name not in ("precision", "threads", "per_line")
    }
    return begin(corpus, machine, chosen, STARTED, earlier)


def _train(run: "Run", output: Path, view: Any) -> int:
    """Trains, saving at each validation and each minute; gives the signal that stopped it, or 0."""
    saved = time.monotonic()
    with _stopping(run) as received:
        try:
            for progress in run.training.run():
                view.show(run, progress)
                if progress.valid_nats is not None or time.monotonic() - saved > SAVE_SECONDS:
                    _save(run, output, view)
                    saved = time.monotonic()
        except TrainingError as error:
            kept = f"; {output} keeps the best model so far" if output.exists() else ""
            raise TrainingError(f"{error}{kept}") from error
        _save(run, output, view, final=True)
    return received[0] if received else 0


def _save(run: "Run", output: Path, view: Any, final: bool = False) -> None:
    """A save that fails while training goes on is reported and tried again later."""
    from charlm.checkpoint import save

    try:
        save(output, run.checkpoint())
    except OSError as error:
        if final:
            raise
        view.say(
            f"{output} could not be saved ({error.strerror}); training goes on and tries again"
        )


@contextmanager
def _stopping(run: "Run") -> Iterator[list[int]]:
    """The first INT, TERM or HUP ends the run after its step; a second one ends it at once."""
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if received:
            os._exit(128 + number)
        received.append(number)
        run.training.stop()

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, handle) for number in signals]
    try:
        yield received
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
