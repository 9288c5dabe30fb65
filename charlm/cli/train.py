"""`charlm train`: a text in, a checkpoint out."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.belonging import given, refuse
from charlm.cli.options import PATH, device_option, encoding_option, from_fields
from charlm.config import TOKENIZERS, ModelConfig, TrainConfig, check_limits
from charlm.errors import OptionError

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint
    from charlm.cli.progress import View
    from charlm.cli.saving import Keeper
    from charlm.cli.signals import Listener
    from charlm.corpus import Corpus
    from charlm.run import Run

STARTED = time.monotonic()
PLANNED_MODEL = ("layers", "hidden_size", "embedding_size", "tie_weights")
PLANNED_TRAINING = ("batch_size", "bptt", "learning_rate", "weight_decay", "dropout")


@click.command()
@click.argument("texts", nargs=-1, required=True, type=PATH, metavar="TEXT...")
@click.option(
    "-o",
    "--output",
    type=PATH,
    help="The checkpoint to write.  [default: checkpoints/NAME.safetensors, of standard input "
    "checkpoints/model.safetensors]",
)
@click.option("--force", is_flag=True, help="Overwrite the output and the log if they exist.")
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the run that wrote the output; only its budget, --patience and --threads "
    "may change.",
)
@click.option("--init-from", type=PATH, help="Start from this checkpoint's weights.")
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
    help="At most N tokens, with --init-from N new ones.  [default: all characters, 10,000 words, "
    "2,000 subwords]",
)
@click.option(
    "--min-count",
    type=int,
    default=1,
    metavar="N",
    help="Characters or words seen less often become <UNK>.  [default: 1]",
)
@click.option(
    "--valid",
    "valid_paths",
    type=PATH,
    multiple=True,
    help="Validate on this text, or on several: --valid A --valid B.",
)
@click.option(
    "--valid-fraction",
    type=float,
    default=0.1,
    metavar="X",
    help="Without --valid, validate on this last part of the text; with --per-line, on every "
    "tenth line.  [default: 0.1]",
)
@from_fields(TrainConfig, ("minutes", "epochs", "steps"))
@from_fields(ModelConfig, ("cell", *PLANNED_MODEL), PLANNED_MODEL)
@from_fields(
    TrainConfig,
    (*PLANNED_TRAINING, "clip", "warmup", "reset_probability", "patience", "seed"),
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
    type=click.IntRange(1, 512),
    metavar="N",
    help="Threads on the CPU.  [default: all cores]",
)
@click.option("--log", type=PATH, help="Write JSON lines here.")
@click.option("--quiet", is_flag=True, help="Show nothing but warnings.")
@encoding_option
def command(texts: tuple[str, ...], **options: Any) -> None:
    """Train a model on TEXT: files, folders or - for standard input.

    Each file is a sequence of its own, or with --per-line each line. Everything marked [chosen] is
    chosen from the text's size, the time and the machine. Ctrl-C saves and says how to go on.

    \b
    Example:
      charlm train corpora/names/names.txt --per-line --steps 200 -o names.safetensors
    """
    from charlm.cli.lock import locked, release
    from charlm.cli.outputs import check_output, output_of
    from charlm.cli.signals import Listener

    output = output_of(texts, options)
    with ExitStack() as stack:
        listener = click.get_current_context().obj or stack.enter_context(Listener())
        stack.enter_context(locked(output))
        stack.enter_context(listener.leaving(lambda: release(output)))
        check_output(texts, output, options)
        code = _command(texts, output, listener, options)
    raise SystemExit(code)


def _command(
    texts: tuple[str, ...], output: Path, listener: "Listener", options: dict[str, Any]
) -> int:
    """All that is done while the lock is held; gives the exit code."""
    from charlm.cli.outputs import resume_command
    from charlm.cli.progress import View
    from charlm.cli.saving import Keeper

    earlier = _earlier(output, options)
    view = View(quiet=options["quiet"])
    corpus = _corpus(texts, earlier, view, options)
    run = _run(corpus, earlier, view, options)
    keeper = Keeper(run, output, view.say)
    keeper.reserve()  # before the log is touched
    view.announce(run, str(output), options, earlier)
    try:
        saved = _train(run, keeper, view, listener)
    finally:
        view.close()
    if saved:
        view.conclude(run, str(output))
    if not listener.received:
        return 0
    if not saved:
        view.say("stopped before the first step: there is nothing to save")
    elif not run.complete:
        view.say(f"stopped and saved; go on with: {resume_command(texts, output, options)}")
    return 128 + listener.received


def _earlier(output: Path, options: dict[str, Any]) -> "Checkpoint | None":
    """The checkpoint to go on from or to start from, if any."""
    from charlm.checkpoint import load

    if options["resume"]:
        earlier = load(output)
        _check_same(earlier, options)
        return earlier
    if not options["init_from"]:
        return None
    earlier = load(options["init_from"])
    _check_tokens(earlier, options)
    return earlier


def _check_tokens(earlier: "Checkpoint", options: dict[str, Any]) -> None:
    """Refuses what --init-from has no use for: its tokens stay, and at most new ones join them."""
    from charlm.corpus import GROWING

    kind, name = earlier.tokenizer.kind, options["init_from"]
    if given("tokenizer") and options["tokenizer"] != kind:
        raise OptionError(f"--tokenizer {options['tokenizer']}: {name} has {kind}; leave it out")
    for option in ("vocab_size", "min_count"):
        if given(option) and kind not in GROWING:
            flag = "--" + option.replace("_", "-")
            raise OptionError(f"{flag}: the {kind} of {name} stay as they are; leave it out")


def _check_same(earlier: "Checkpoint", options: dict[str, Any]) -> None:
    """Refuses to go on with a run otherwise than it began: options must be as they were."""
    from charlm.run import CHANGEABLE

    was = {**earlier.model.to_json(), **earlier.training.to_json()}
    was = {name: was[name] for name in was if name in options and name not in CHANGEABLE}
    was |= {"tokenizer": earlier.tokenizer.kind, "vocab_size": None, "min_count": None}
    if options["precision"] == "auto":
        del was["precision"]
    other = [name for name in was if given(name) and options[name] != was[name]]
    if other:
        shown = ", ".join(f"--{name.replace('_', '-')}{_here(was[name])}" for name in other)
        raise OptionError(
            f"{shown}: a resumed run keeps what it began with; leave it out, or start a new run "
            "with another -o"
        )


def _here(value: Any) -> str:
    """What an option was when the run began, in brackets; tokens' counts are not kept."""
    if isinstance(value, bool):
        return f" (here with{'out' * (not value)} it)"
    return "" if value is None else f" (here {value})"


def _check_validation(per_line: bool, options: dict[str, Any]) -> None:
    """Refuses a share that is none, and what lines or a text to validate on have no use for."""
    check_limits("--valid-fraction", options["valid_fraction"], above=0, below=1)
    if options["valid_paths"]:
        refuse(["valid_fraction"], "belongs to a text without --valid: give one of the two")
    if per_line:
        why = "belongs to one long text, not to --per-line, where"
        refuse(["valid_fraction"], f"{why} every tenth line validates; leave it out")
        refuse(["reset_probability"], f"{why} each line begins anew; leave it out")


def _corpus(
    texts: tuple[str, ...], earlier: "Checkpoint | None", view: "View", options: dict[str, Any]
) -> "Corpus":
    from charlm.corpus import build_corpus
    from charlm.text import open_text

    resumed = options["resume"]
    per_line = earlier.model.per_line if earlier and resumed else options["per_line"]
    _check_validation(per_line, options)
    text = open_text(texts, options["encoding"])
    valid_paths = options["valid_paths"]
    valid = open_text(valid_paths, options["encoding"]) if valid_paths else None
    for remark in text.notices + (valid.notices if valid else []):
        view.say(remark)
    return build_corpus(
        text,
        valid,
        tokenizer=earlier.tokenizer if earlier else options["tokenizer"],
        grow=not resumed,
        min_count=options["min_count"],
        vocabulary_size=options["vocab_size"],
        valid_fraction=options["valid_fraction"],
        per_line=per_line,
    )


def _run(
    corpus: "Corpus", earlier: "Checkpoint | None", view: "View", options: dict[str, Any]
) -> "Run":
    from charlm.planning import Machine
    from charlm.run import CHANGEABLE, begin, resume

    if options["resume"]:
        assert earlier is not None
        precision = _precision(earlier.training.precision, view, options)
        machine = Machine.probe(options["device"], precision, options["threads"])
        chosen = {name: options[name] for name in CHANGEABLE}
        return resume(earlier, corpus, machine, chosen, STARTED)
    machine = Machine.probe(options["device"], options["precision"], options["threads"])
    fields = {*TrainConfig.__dataclass_fields__, *ModelConfig.__dataclass_fields__}
    fields -= {"precision", "threads", "per_line"}  # which the machine and the corpus bring
    chosen = {name: value for name, value in options.items() if name in fields}
    return begin(corpus, machine, chosen, STARTED, earlier)


def _precision(began: str, view: "View", options: dict[str, Any]) -> str:
    """What a run goes on in: what it began in, if this machine can."""
    from charlm.devices import device_of, has_bfloat16

    if began == "float32" or has_bfloat16(device_of(options["device"])):
        return began
    view.say(
        "the run began in bfloat16, in which this processor cannot train: float32 from here on"
    )
    return "float32"


def _train(run: "Run", keeper: "Keeper", view: "View", listener: "Listener") -> bool:
    """Trains, saving at validations and each minute; whether the output has the result."""
    listener.attend(run.training.stop)
    with keeper.guard():
        for progress in run.training.run():
            view.show(run, progress)
            keeper.keep(validated=progress.valid_nats is not None)
        saved = keeper.finish()
        if listener.received and (last := run.training.last_validation()):
            view.show(run, last)
            keeper.finish()
        return saved
