"""The command line: loads, calls one library function, shows.

Command modules are imported when they are asked for and import nothing slow themselves. Errors
are caught here, once, and shown as one line.
"""

import importlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from inspect import cleandoc
from typing import Any, NoReturn

import click

from charlm.errors import CharlmError

COMMANDS = {
    "train": "charlm.cli.train",
    "sample": "charlm.cli.sample",
    "score": "charlm.cli.score",
    "eval": "charlm.cli.evaluate",
    "info": "charlm.cli.info",
    "inspect": "charlm.cli.inspect",
    "probe": "charlm.cli.probe",
    "gradients": "charlm.cli.gradients",
    "plot": "charlm.cli.plot",
    "report": "charlm.cli.report",
    "tokenize": "charlm.cli.tokenize",
}


class Commands(click.Group):
    """A group whose commands are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            if close := get_close_matches(cmd_name, [*COMMANDS, "--help", "--version"], 1):
                ctx.fail(f"No such command {cmd_name!r}, but there is {close[0]}")
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return example_last(command)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with shown_errors():  # a reader of --help may go away
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with shown_errors(debug=ctx.params["debug"]):
            return super().invoke(ctx)


def example_last(command: click.Command) -> click.Command:
    """Moves the example from a command's description to the end of its help page."""
    description, mark, example = cleandoc(command.help or "").partition("\b\nExample:")
    if mark:
        command.help, command.epilog = description, mark + example
    return command


@contextmanager
def shown_errors(debug: bool = False) -> Iterator[None]:
    """Whatever the user or the machine did wrong becomes one line on stderr and an exit code."""
    try:
        yield
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has seen enough
        _end(0)
    except (CharlmError, OSError, click.UsageError, MemoryError, RuntimeError) as error:
        message = _message(error)
        if debug or message is None:
            raise
        from charlm.figures import on_one_line

        click.echo(f"charlm: {on_one_line(message)}", err=True)
        _end(getattr(error, "exit_code", 1))
    except KeyboardInterrupt:
        click.echo("charlm: stopped by SIGINT", err=True)
        _end(130)


def _message(error: Exception) -> str | None:
    """What to say of an error; None where it is charlm's own fault, or click shows the help."""
    if isinstance(error, CharlmError):
        return str(error)
    if isinstance(error, click.UsageError):
        from charlm.cli.mistakes import in_words

        return None if type(error).__name__ == "NoArgsIsHelpError" else in_words(error)
    if isinstance(error, OSError):
        where = error.filename if error.filename is not None else "standard output"
        return f"{os.fsdecode(where)}: {(error.strerror or str(error)).lower()}"
    if isinstance(error, MemoryError) or "memory" in str(error):  # torch raises RuntimeError
        return "not enough memory; a smaller model, batch or text needs less"
    return None


def _end(code: int) -> NoReturn:
    """Leaves with a code; what stdout could not take is dropped."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        raise click.exceptions.Exit(code)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    raise click.exceptions.Exit(code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="charlm", message="charlm %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def charlm(debug: bool) -> None:
    """Train a recurrent language model on a text file; sample, score, measure, look inside.

    \b
    Example:
      charlm train corpora/names/names.txt --per-line --steps 200 -o names.safetensors
      charlm sample names.safetensors --count 5
    """
    del debug


example_last(charlm)


def main() -> None:
    """Runs the command line."""
    from charlm.cli.signals import Listener

    open_streams()
    warnings.simplefilter("ignore", RuntimeWarning)  # of NumPy: what is not finite is an error
    with Listener() as listener:
        charlm(prog_name="charlm", obj=listener)


class Unfailing(io.FileIO):
    """A stderr that never raises: whoever closed it does not read it."""

    def write(self, data: Any) -> int:
        """Writes what can be written; says that all was."""
        with suppress(OSError):
            super().write(data)
        return len(data)


def open_streams() -> None:
    """Makes stdin, stdout and stderr fit for use, whatever they are.

    Closed ones are opened on nothing, lest another file takes their place; pipes and files get
    UTF-8; what a terminal's encoding lacks is written as \\u2026; stderr never fails.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        encoding = sys.stdout.encoding if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")
    stream = Unfailing(2, "w", closefd=False)
    encoding = sys.stderr.encoding if sys.stderr and stream.isatty() else "utf-8"
    sys.stderr = io.TextIOWrapper(stream, encoding, "backslashreplace", write_through=True)
