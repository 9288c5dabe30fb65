"""`charlm sample --beam`: the likeliest texts, with their probabilities."""

from typing import TYPE_CHECKING, Any

from charlm.cli.belonging import refuse
from charlm.cli.options import prompt_text
from charlm.errors import OptionError

if TYPE_CHECKING:
    from charlm.beam import Found

DRAWING = ("temperature", "top_k", "top_p", "min_p", "count", "seed", "stop")
COMPARING = ("novelty", "unique", "novel")


def search(checkpoint: str, options: dict[str, Any]) -> None:
    """Finds and prints the --beam best texts after the prompt."""
    from charlm.api import load
    from charlm.cli import terminal

    _check(options)
    model = load(checkpoint)
    prompt = prompt_text(model, options)
    found = model.search(
        prompt,
        width=options["beam"],
        length=options["length"],
        length_penalty=options["length_penalty"] or 0.0,
        allow_unk=options["allow_unk"],
        on_unknown=options["on_unknown"],
        device=options["device"],
    )
    for number, one in enumerate(found, 1):
        _print(number, one, prompt + one.text, model.per_line, options)
    if model.per_line and (cut := sum(not one.ended for one in found)):
        terminal.notice(f"{cut} of them cut at --length; their ln P counts no end of the line")


def _check(options: dict[str, Any]) -> None:
    """Raises OptionError at options that mean nothing to a search."""
    if not options["beam"]:
        raise OptionError("--length-penalty belongs to --beam K")
    refuse(DRAWING, "means nothing to --beam, which draws nothing; leave it out")
    refuse(COMPARING, "means nothing to --beam, which gives each text once; leave it out")


def _print(number: int, one: "Found", text: str, per_line: bool, options: dict[str, Any]) -> None:
    """ln P and the text on a line, or above it where a text has many; or a JSON object."""
    from charlm.cli import terminal

    if options["as_json"]:
        tokens = len(one.tokens) + one.ended
        record = {"number": number, "text": text, "log_probability": one.log_probability}
        terminal.write_json(
            record | {"tokens": tokens, "eos_counted": one.ended, "score": one.score}
        )
    elif per_line:
        terminal.write(f"{one.log_probability:.4f}\t{text}\n", options["raw"])
    else:
        terminal.write(f"--- ln P {one.log_probability:.4f} ---\n{text}\n", options["raw"])
