"""The log that `charlm train --log` writes: one JSON object a line, of numbers by name.

Knows what a record is; knows nothing about what is made of it.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from charlm.errors import TextError

ADVICE = "give a file that `charlm train --log` wrote"


def read_log(
    lines: Iterable[str], name: str, fields: Sequence[str], advice: str = ADVICE
) -> list[Mapping[str, Any]]:
    """The log's records, each of which has these fields; lines of white space are left out.

    Raises TextError, which says the file, the line, what is wrong there and the advice.
    """
    records = [
        _record(line, f"{name}: line {number}", fields, advice)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not records:
        raise TextError(f"{name}: there are no records in it; {advice}")
    return records


def length_until(path: str, step: int) -> int:
    """How many bytes of a log its records up to a step take; what a crash left half is no record.

    Raises TextError where the file is not a log.
    """
    length = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            text = line.decode("utf-8", "replace")
            if (
                text.strip()
                and _record(text, f"{path}: line {number}", ["step"], ADVICE)["step"] > step
            ):
                break
            length += len(line)
    return length


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
