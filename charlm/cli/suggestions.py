"""What was meant by an option that a command does not have.

Knows the names of other tools; knows nothing about what options do.
"""

from collections.abc import Iterator
from difflib import get_close_matches

import click

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
    "tied": "--tie-weights",
    "wordvec-size": "--embedding-size",
}


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
