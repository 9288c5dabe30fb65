"""Options that commands share, and options made from the configuration's fields."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from charlm.config import field_types
from charlm.errors import CheckpointError, OptionError

if TYPE_CHECKING:
    from charlm.api import Model

Command = TypeVar("Command", bound=Callable[..., Any])


class _Path(click.Path):
    """A file's name, and not an empty one; whoever opens it says what else is wrong with it."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """The value; raises OptionError where it is empty."""
        if param and not value:
            option = isinstance(param, click.Option)
            name = param.opts[0] if option else param.human_readable_name.strip("[.]")
            without = ", or leave it out" * (not param.required)
            raise OptionError(f"{name} is empty; give a file's name{without}")
        return super().convert(value, param, ctx)


PATH = _Path(readable=False)


def from_fields(
    cls: type[Any], names: Sequence[str], automatic: Sequence[str] = ()
) -> Callable[[Command], Command]:
    """An option for each named field of a configuration, with its help, limits and default.

    Every default is None, "as the configuration has it" or, for fields in `automatic`, as the
    plan chooses; the help says which.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            command = _option(fields[name], name in automatic)(command)
        return command

    return decorate


def _option(field: dataclasses.Field[Any], automatic: bool) -> Callable[[Command], Command]:
    kind = field_types(field)[0]
    flag = "--" + field.name.replace("_", "-")
    note = "  [chosen]" if automatic else _default_note(field)
    if kind is bool:
        return click.option(
            f"{flag}/--no-{flag[2:]}", default=None, help=field.metadata["help"] + note
        )
    choices = field.metadata["choices"]
    return click.option(
        flag,
        type=click.Choice(choices) if choices else kind,
        default=None,
        metavar=None if choices else {int: "N", float: "X"}.get(kind),
        help=field.metadata["help"] + note,
    )


def _default_note(field: dataclasses.Field[Any]) -> str:
    return "" if field.default is None else f"  [default: {field.default}]"


def checkpoint_argument(command: Command) -> Command:
    """CHECKPOINT, the file that `charlm train` wrote; says so where another argument is it."""

    @functools.wraps(command)
    def checked(checkpoint: str, **given: Any) -> Any:
        try:
            return command(checkpoint, **given)
        except CheckpointError as error:
            if other := _checkpoint_behind(given):
                raise OptionError(
                    f"{other} is a checkpoint; it comes first, before {checkpoint}"
                ) from error
            raise

    return cast("Command", click.argument("checkpoint", type=PATH)(checked))


def _checkpoint_behind(given: Mapping[str, Any]) -> str | None:
    """The first checkpoint among the arguments behind CHECKPOINT."""
    from charlm.sources import is_checkpoint

    words: list[str] = []
    for parameter in click.get_current_context().command.params:
        if isinstance(parameter, click.Argument) and (value := given.get(parameter.name or "")):
            words += [value] if isinstance(value, str) else value
    return next((word for word in words if os.path.isfile(word) and is_checkpoint(word)), None)


def output_options(what: str, required: bool = True) -> Callable[[Command], Command]:
    """-o FILE and --force, which `files.output_file` reads."""

    def decorate(command: Command) -> Command:
        force = click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
        output = click.option(
            "-o", "--output", required=required, type=PATH, metavar="FILE", help=what
        )
        return output(force(command))

    return decorate


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, in full precision.")

on_unknown_option = click.option(
    "--on-unknown",
    type=click.Choice(["error", "unk"]),
    default="error",
    help="Refuse characters and words the model never saw, or read them as <UNK>.  "
    "[default: error]",
)

encoding_option = click.option(
    "--encoding", default="utf-8", help="How the text is encoded.  [default: utf-8]"
)

device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    help="Where the network runs.  [default: auto]",
)

raw_option = click.option(
    "--raw", is_flag=True, help="Print control characters to a terminal as they are."
)


def prompt_text(model: "Model", options: dict[str, Any]) -> str:
    """What --prompt says, or standard input for -, of which a line ends where its model's do."""
    from charlm.text import open_text

    if options["prompt"] != "-":
        return str(options["prompt"])
    prompt = "".join(open_text(["-"], options["encoding"]).chunks())
    return prompt.removesuffix("\n") if model.per_line else prompt
