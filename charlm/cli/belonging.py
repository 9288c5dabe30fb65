"""Options that mean something only together with others, and are refused by name elsewhere.

Knows the command line as it was given; knows nothing about what options do.
"""

from collections.abc import Iterable

import click
from click.core import Parameter, ParameterSource

from charlm.errors import OptionError


def given(name: str) -> bool:
    """Whether the user gave this parameter of the command that runs."""
    source = click.get_current_context().get_parameter_source(name)
    return source is not ParameterSource.DEFAULT


def refuse(names: Iterable[str], why: str) -> None:
    """Raises OptionError, `--flag why`, at the first of these parameters that was given.

    names: as the command's function has them; why: what follows the flag, and what to do.
    """
    context = click.get_current_context()
    parameters = {parameter.name: parameter for parameter in context.command.params}
    for name in names:
        if given(name):
            flag = _flag(parameters[name], off=context.params[name] is False)
            raise OptionError(f"{flag} {why}")


def _flag(parameter: Parameter, off: bool) -> str:
    """The option as it is typed in full: of --eos/--no-eos the one that was."""
    flags = (parameter.secondary_opts if off else []) or parameter.opts
    return max(flags, key=len)
