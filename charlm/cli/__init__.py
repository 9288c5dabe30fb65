"""The command line: loads, calls one library function, shows.

Command modules are imported when they are asked for and import nothing slow themselves. Errors
are caught here, once, and shown as one line.
"""

import importlib
import io
import os
import sys
from typing import Any

import click

from charlm.errors import CharlmError

COMMANDS = {
    "train": "charlm.cli.train",
    "sample": "charlm.cli.sample",
    "score": "charlm.cli.score",
    "eval": "charlm.cli.evaluate",
    "info": "charlm.cli.info",
    "tokenize": "charlm.cli.tokenize",
}


class Commands(click.Group):
    """A group whose commands are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CharlmError as error:
            if ctx.params["debug"]:
                raise
            click.echo(f"charlm: {one_line(error)}", err=True)
            ctx.exit(error.exit_code)
        except BrokenPipeError:  # the reader of a pipe has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            ctx.exit(0)
        except OSError as error:
            if ctx.params["debug"]:
                raise
            click.echo(f"charlm: {one_line(error)}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("charlm: interrupted", err=True)
            ctx.exit(130)


def one_line(error: Exception) -> str:
    """An error's text with everything that would break the line or the terminal made visible."""
    from charlm.cli.terminal import visible

    if isinstance(error, OSError) and error.strerror:
        error = Exception(": ".join(str(p) for p in (error.filename, error.strerror) if p))
    return visible(str(error)).replace("\n", "␊")


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


def main() -> None:
    """Runs the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    charlm(prog_name="charlm")
