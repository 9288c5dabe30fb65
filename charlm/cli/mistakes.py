"""What is wrong with a command line, in one line, and what may have been meant.

Knows click and the names of other tools; knows nothing about what options do.
"""

from collections.abc import Iterator
from difflib import get_close_matches

import click

from charlm import config

MOST = 3  # options that begin alike and are named
# Names of char-rnn, torch-rnn, nanoGPT and PyTorch's examples, and what they are here
ELSEWHERE = {
    "block-size": "--bptt",
    "data": "TEXT",
    "data-dir": "TEXT",
    "emsize": "--embedding-size",
    "grad-clip": "--clip",
    "input": "TEXT",
    "lr": "--learning-rate",
    "max-epochs": "--epochs",
    "max-iters": "--steps",
    "max-length": "--length",
    "max-new-tokens": "--length",
    "max-steps": "--steps",
    "n-embd": "--embedding-size",
    "n-layer": "--layers",
    "nhid": "--hidden-size",
    "nlayers": "--layers",
    "num-epochs": "--epochs",
    "num-layers": "--layers",
    "num-samples": "--count",
    "prime": "--prompt",
    "primetext": "--prompt",
    "rnn-size": "--hidden-size",
    "save": "--output",
    "save-dir": "--output",
    "seq-length": "--bptt",
    "start": "--prompt",
    "start-text": "--prompt",
    "tied": "--tie-weights",
    "wordvec-size": "--embedding-size",
}


def in_words(error: click.UsageError) -> str:
    """What is wrong with the command line, what was meant, and whose help shows how."""
    context = error.ctx or click.get_current_context(silent=True)
    path = context.command_path if context else "charlm"
    if context and not error.ctx and context.invoked_subcommand:  # an option without its value
        path += f" {context.invoked_subcommand}"
    unknown = isinstance(error, click.NoSuchOption)  # for which click has suggestions of its own
    said = (error.message if unknown else error.format_message()).rstrip(".")
    if isinstance(error, click.BadParameter) and isinstance(error.param, click.Option):
        kind, flag = error.param.type, max(error.param.opts, key=len)
        value, outside, _ = error.message.partition(" is not in the range ")
        if outside and isinstance(kind, click.IntRange | click.FloatRange):
            return f"{flag}: {value} cannot be used; it must be {config.in_words(_limits(kind))}"
        if not isinstance(error, click.MissingParameter):
            said = f"{flag}: {error.message.rstrip('.').removesuffix(' range')}"
    return f"{said}{_but(error)}; {path} --help shows how"


def _limits(kind: click.IntRange | click.FloatRange) -> dict[str, float]:
    limits = {
        "above" if kind.min_open else "minimum": kind.min,
        "below" if kind.max_open else "maximum": kind.max,
    }
    return {limit: bound for limit, bound in limits.items() if bound is not None}


def _but(error: click.UsageError) -> str:
    """What there is instead of an option that there is not, or of a text without an option."""
    wanted: list[str] = []
    if isinstance(error, click.NoSuchOption) and error.ctx:
        wanted = meant(error.option_name, error.ctx.command)
        if not wanted and {"text", "sentences"} & {one.name for one in error.ctx.command.params}:
            return "; a text that begins with - stands after --"
    elif "unexpected extra argument" in error.message and error.ctx:
        wanted = [name for name in meant("--prompt", error.ctx.command) if name == "--prompt"]
    return f", but there is {' or '.join(wanted)}" if wanted else ""


def meant(name: str, command: click.Command) -> list[str]:
    """The options, or the argument, of a command that an unknown option may stand for.

    >>> from charlm.cli.sample import command
    >>> meant("--num_samples", command), meant("--temp", command), meant("--to", command)
    (['--count'], ['--temperature'], ['--top-k', '--top-p'])
    """
    word, known = name.strip("-").replace("_", "-").lower(), list(names(command))
    if ELSEWHERE.get(word) in known:
        return [ELSEWHERE[word]]
    options = {option.strip("-"): option for option in known if option.startswith("--")}
    begun = [option for option in options if option.startswith(word)]
    if len(begun) > MOST:
        return []
    return [options[near] for near in begun or get_close_matches(word, options, 1, 0.8)]


def names(command: click.Command) -> Iterator[str]:
    """Of all its options but --help and of its arguments, as they are typed or shown."""
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            yield parameter.human_readable_name.strip("[].")
        yield from (*parameter.opts, *parameter.secondary_opts)
