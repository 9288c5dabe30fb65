"""What `charlm train` may write to, what it may not overwrite, and how to go on with it."""

import os
import shlex
from pathlib import Path
from typing import Any

import click

from charlm.cli.belonging import given
from charlm.cli.files import check_file, check_folder, files_read, refuse_stdout, same_file
from charlm.errors import OptionError
from charlm.logs import BEGINS

# Options that a resumed run is given again
READING = ("encoding", "valid_paths", "valid_fraction", "device", "threads", "log", "quiet")


def output_of(texts: tuple[str, ...], options: dict[str, Any]) -> Path:
    """The file to write, in a folder that is there."""
    nameless = texts[0] == "-" or Path(texts[0]).is_fifo()  # such as <(a command)
    stem = "model" if nameless else Path(os.path.realpath(texts[0])).stem
    output = Path(options["output"] or f"checkpoints/{stem}.safetensors")
    if options["resume"] and options["init_from"]:
        raise OptionError("give --resume or --init-from, not both")
    if not options["output"]:
        output.parent.mkdir(exist_ok=True)
    check_folder(output)
    return output


def check_output(texts: tuple[str, ...], output: Path, options: dict[str, Any]) -> None:
    """Refuses to overwrite by accident, and a text at all; to be called with the output locked."""
    read = [*texts, *options["valid_paths"]]
    check_file(output, read, options["force"] or options["resume"], " or --resume to go on")
    if options["resume"] and not output.exists():
        raise OptionError(f"{output} does not exist; --resume needs the checkpoint to go on from")
    if options["log"]:
        _check_log(Path(options["log"]), [*read, options["init_from"], str(output)], options)


def _check_log(log: Path, others: list[str | None], options: dict[str, Any]) -> None:
    refuse_stdout("--log", log)
    for other in files_read(others):
        if same_file(log, other):
            raise OptionError(f"--log {log} is the same file as {other}; give another --log")
        if os.path.isdir(other) and Path(os.path.realpath(log)).is_relative_to(
            os.path.realpath(other)
        ):
            raise OptionError(f"--log {log} lies in the text {other}; give another --log")
    if log.is_file() and not options["resume"]:
        if not options["force"]:
            raise OptionError(f"{log} exists; give --force to overwrite it or another --log")
        with open(log, "rb") as file:
            begins = file.read(len(BEGINS)).decode("utf-8", "replace")
        if begins not in ("", BEGINS):
            raise OptionError(f"{log} is no training log to overwrite; give another --log")


def resume_command(texts: tuple[str, ...], output: Path, options: dict[str, Any]) -> str:
    """What to type to go on: the same text, read in the same way, into the same file."""
    dashed = any(text.startswith("-") and text != "-" for text in texts)
    words = ["charlm", "train", *([] if dashed else texts), "-o", str(output), "--resume"]
    for parameter in click.get_current_context().command.params:
        name = parameter.name or ""
        if name in READING and given(name):
            values = options[name] if parameter.multiple else [options[name]]
            for value in values:
                words += [parameter.opts[0], *([] if value is True else [str(value)])]
    return shlex.join([*words, "--", *texts] if dashed else words)
