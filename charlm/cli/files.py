"""Files that commands are given: the text that an argument is, a file to write, short names.

Knows nothing about what a command does with them.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlm.cli import terminal
from charlm.errors import OptionError, TextError
from charlm.sources import is_checkpoint, texts_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from charlm.text import Text

SUFFIXES = {".csv", ".htm", ".html", ".json", ".jsonl", ".log", ".md", ".text", ".tsv", ".txt"}


def opened(paths: Sequence[str], encoding: str) -> "Text":
    """The text of files, folders or - (standard input), its notices told."""
    from charlm.text import open_text

    return _told(open_text(paths, encoding))


def _told(text: "Text") -> "Text":
    tell_all(text.notices)
    return text


def tell_all(notices: Iterable[str]) -> None:
    """Each on a line of stderr."""
    for notice in notices:
        terminal.notice(notice)


def text_argument(given: str, encoding: str, per_line: bool = False) -> "Text":
    """What TEXT is: a file's text, standard input's for -, or else itself. Tells its notices.

    Says so where several files, which are not read line by line, are read as one text.
    """
    from charlm.text import text_of

    if not given:
        raise TextError("TEXT is empty: give a text, a file or - (standard input)")
    if given != "-" and not os.path.exists(given):
        text = text_of(given, "the text given")
        if looks_like_a_file(given):
            terminal.notice(f"no file is called {given}; this is read as the text itself")
        return _told(text)
    text = opened([given], encoding)
    if len(text.documents) > 1 and not per_line:
        terminal.notice(f"{text.name} are read as one text")
    return text


def looks_like_a_file(text: str) -> bool:
    """A file's name, or one word that ends as a text file does or begins with a folder's name."""
    if os.path.isfile(text):
        return True
    if len(text.split()) > 1:
        return False
    folder, name = os.path.split(text)
    return os.path.splitext(name)[1].lower() in SUFFIXES or os.path.isdir(folder)


def output_file(options: dict[str, Any], *read: str | None) -> Path:
    """The -o FILE, none of those to be read; that it can be written is known before all else."""
    output = Path(options["output"])
    check_file(output, read, options["force"])
    check_folder(output)
    return output


def check_file(output: Path, read: Iterable[str | None], replace: bool, more: str = "") -> None:
    """Raises OptionError where -o is stdout, is to be read, is no file, or is not to be replaced.

    more: what can be done other than --force where it exists.
    """
    refuse_stdout("-o", output)
    for path in files_read(read):
        if same_file(output, path):
            kind = "checkpoint" if os.path.isfile(path) and is_checkpoint(path) else "text"
            raise OptionError(f"-o {output} is the {kind} {path}; give another -o")
    if output.is_dir():
        raise OptionError(f"{output} is a folder; give -o a file's name")
    if output.exists() and not output.is_file():
        raise OptionError(f"{output} is a device or a pipe; give -o a file's name")
    if output.exists() and not replace:
        raise OptionError(f"{output} exists; give --force to overwrite it{more}")


def check_folder(output: Path) -> None:
    """Raises OptionError where the folder that -o is to be written in is none."""
    folder = Path(os.path.realpath(output)).parent
    if not folder.is_dir():
        raise OptionError(f"{folder} is not a folder; make it or give another -o")


def files_read(paths: Iterable[str | None]) -> Iterator[str]:
    """The paths that are given and, of those that are folders, the texts in them."""
    for path in filter(None, paths):
        yield path
        if os.path.isdir(path):
            yield from texts_in(path)


def refuse_stdout(flag: str, path: Path) -> None:
    """Raises OptionError at the name that stdout has elsewhere."""
    if path == Path("-"):
        raise OptionError(f"{flag} -: give a file's name; nothing of this goes to stdout")


def same_file(a: Path, b: str | Path) -> bool:
    """Whether two paths are, or would be, one file."""
    return os.path.realpath(a) == os.path.realpath(b) or (
        os.path.exists(a) and os.path.exists(b) and os.path.samefile(a, b)
    )


def picture_file(options: dict[str, Any], *read: str | None) -> Path:
    """The same of a picture; raises CharlmError where it cannot be drawn."""
    from charlm.extras import check_installed

    output = output_file(options, *read)
    if output.suffix.lower() not in (".png", ".svg"):
        raise OptionError(f"{output}: a picture is .png or .svg; give -o such a name")
    check_installed("matplotlib", "plot")
    return output


def save_picture(figure: "Figure", output: Path) -> None:
    """Writes it and says so."""
    from charlm.atomic import replace
    from charlm.extras.plots import image

    replace(output, [image(figure, output.suffix.lower().removeprefix("."))])
    terminal.notice(f"saved {output}")


def short_names(files: Sequence[str]) -> list[str]:
    """The names of checkpoints or logs without their ends; whole paths where two are the same."""
    parts = [os.path.splitext(os.path.basename(path)) for path in files]
    names = [
        name if end.lower() in {".safetensors", *SUFFIXES} else name + end for name, end in parts
    ]
    return names if len(set(names)) == len(names) else list(files)
