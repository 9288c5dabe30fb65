"""What `charlm train` may write to, and what it may not overwrite."""

import os
from pathlib import Path
from typing import Any

from charlm.cli.files import refuse_stdout, same_file
from charlm.errors import OptionError
from charlm.sources import texts_in


def output_of(texts: tuple[str, ...], options: dict[str, Any]) -> Path:
    """The file to write, in a folder that is there."""
    stem = "model" if texts[0] == "-" else Path(os.path.realpath(texts[0])).stem
    output = Path(options["output"] or f"checkpoints/{stem}.safetensors")
    if options["resume"] and options["init_from"]:
        raise OptionError("give --resume or --init-from, not both")
    if not options["output"]:
        output.parent.mkdir(exist_ok=True)
    folder = Path(os.path.realpath(output)).parent
    if not folder.is_dir():
        raise OptionError(f"{folder} is not a folder; make it or give another -o")
    return output


def check_output(texts: tuple[str, ...], output: Path, options: dict[str, Any]) -> None:
    """Refuses to overwrite by accident, and a text at all; to be called with the output locked."""
    log = options["log"] and Path(options["log"])
    refuse_stdout("-o", output)
    if log:
        refuse_stdout("--log", log)
    folders = [path for path in texts if os.path.isdir(path)]
    read = [*texts, options["valid_path"], *(name for path in folders for name in texts_in(path))]
    for other in filter(None, read):
        if same_file(output, other):
            raise OptionError(f"-o {output} is the text {other}; give another -o")
    for other in filter(None, (*read, options["init_from"], output)):
        if log and same_file(log, other):
            raise OptionError(f"--log {log} is the same file as {other}; give another --log")
    for folder in folders if log else ():
        if Path(os.path.realpath(log)).is_relative_to(os.path.realpath(folder)):
            raise OptionError(f"--log {log} lies in the text {folder}; give another --log")
    _check_checkpoint(output, options)
    if log and log.is_file() and not (options["force"] or options["resume"]):
        raise OptionError(f"{log} exists; give --force to overwrite it or another --log")


def _check_checkpoint(output: Path, options: dict[str, Any]) -> None:
    if output.is_dir():
        raise OptionError(f"{output} is a folder; give -o a file's name")
    if output.exists() and not output.is_file():
        raise OptionError(f"{output} is a device or a pipe; give -o a file's name")
    if output.exists() and not (options["force"] or options["resume"]):
        raise OptionError(f"{output} exists; give --force to overwrite it or --resume to go on")
    if options["resume"] and not output.exists():
        raise OptionError(f"{output} does not exist; --resume needs the checkpoint to go on from")
