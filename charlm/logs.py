"""The log that `charlm train --log` writes: one JSON object a line, of numbers by name.

Knows what a record is; knows nothing about what the records are used for.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from charlm.errors import TextError

ADVICE = "give a file that `charlm train --log` wrote"
BEGINS = '{"step": '  # each record of it


def read_log(
    lines: Iterable[str], name: str, fields: Sequence[str], advice: str = ADVICE
) -> list[Mapping[str, Any]]:
    """The log's records, each of which has these fields; lines of white space are left out.

    So is a last one that a crash or a full disk left half. Raises TextError, which says the file,
    the line, what is wrong there and the advice.
    """
    records = [
        _record(line, f"{name}: line {number}", fields, advice)
        for number, line in enumerate(lines, 1)
        if line.strip() and not _half(line)
    ]
    if not records:
        raise TextError(f"{name}: there are no records in it; {advice}")
    return records


def length_until(path: str, step: int, history: Iterable[Mapping[str, Any]]) -> int:
    """How many bytes of a log its records up to a step take; what a crash left half is no record.

    history: the run's validations up to the step, as its checkpoint has them. Raises TextError
    where the file is not a log, tells of a validation that the run did not make or, where records
    beyond the step would be lost, does not tell of the last one that it made.
    """
    made = {record["step"]: record["valid_nats"] for record in history}
    length, told = 0, None  # told: the last step of which the log has the validation
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            text, where = line.decode("utf-8", "replace"), f"{path}: line {number}"
            if not text.endswith("\n") and (length or text.startswith(BEGINS[: len(text)])):
                break
            if text.strip():
                record = _record(text, where, ["step"], ADVICE)
                at, valid = record["step"], record.get("valid_nats")
                if at > step and (not length or told != max(made, default=None)):
                    raise TextError(
                        f"{where} is of another run, as this one goes on from step {step:,} and "
                        "the log does not tell how it came there; give another --log"
                    )
                if at > step or (valid is not None and at == step and at not in made):
                    break
                if valid not in (None, made.get(at)):
                    raise TextError(
                        f"{where} is of another run, as this one made no such validation at step "
                        f"{at:,}; give another --log"
                    )
                told = told if valid is None else at
            length += len(line)
    return length


def _half(line: str) -> bool:
    """Whether a line is the beginning of a record."""
    return not line.endswith(("}", "\n")) and line.startswith(BEGINS)


def _record(line: str, where: str, fields: Sequence[str], advice: str) -> Mapping[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise TextError(f"{where} is no record of a training log; {advice}")
    for field in fields:
        if record.get(field) is None:
            raise TextError(f"{where}: there is no {field!r}; {advice}")
    for field, value in record.items():
        if not (value is None or _finite(value)):
            raise TextError(
                f"{where}: {field!r} is {value!r:.40}, not a finite number; leave the line out"
            )
    return record


def _finite(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max
