"""Minimal pairs: two texts of which the first should be the likelier, as files have them.

Reads the JSON lines of BLiMP (Warstadt et al. 2020) and columns; brings the pairs of the shipped
grammar. Knows nothing about models.
"""

import dataclasses
import json
import re
from collections.abc import Iterable
from importlib import resources
from typing import Any

from charlm.errors import TextError

COLUMNS = ("better", "worse", "group", "distance")


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two texts; group and field are BLiMP's UID and linguistics_term, empty where there is none.

    distance: characters between what decides and what is decided.
    """

    better: str
    worse: str
    group: str = ""
    field: str = ""
    distance: int | None = None


def cats_pairs() -> list[Pair]:
    """The built-in pairs, of the grammar of corpora/cats: agreement, quotation, pear."""
    file = resources.files("charlm") / "data" / "cats-pairs.tsv"
    return read_pairs(file.read_text("utf-8").splitlines(), file.name)


def read_pairs(lines: Iterable[str], name: str) -> list[Pair]:
    """Pairs from JSON lines as BLiMP has them, or from columns that tabs separate.

    The columns: better, worse and, if wanted, group and distance; their names may be the first
    line. Empty lines are left out, and the CR at a line's end, which some systems write before each
    newline. Raises TextError, which names the file, the line and the field.
    """
    numbered = [
        (number, line.removesuffix("\r")) for number, line in enumerate(lines, 1) if line.strip()
    ]
    head = tuple(numbered[0][1].split("\t")) if numbered else ()
    if head[:2] == COLUMNS[:2]:
        if head != COLUMNS[: len(head)]:
            raise TextError(f"{name}: its columns should be {', '.join(COLUMNS)}, in this order")
        del numbered[0]
    if not numbered:
        raise TextError(f"{name}: there are no pairs in it")
    read = _from_json if numbered[0][1].lstrip().startswith("{") else _from_columns
    return [read(line, f"{name}, line {number}") for number, line in numbered]


def _from_json(line: str, where: str) -> Pair:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise TextError(f"{where}: not a JSON object") from None
    if not isinstance(record, dict):
        raise TextError(f"{where}: not a JSON object")
    return Pair(
        better=_text_of(record, "sentence_good", where),
        worse=_text_of(record, "sentence_bad", where),
        group=_text_of(record, "UID", where, ""),
        field=_text_of(record, "linguistics_term", where, ""),
    )


def _text_of(record: dict[str, Any], field: str, where: str, default: str | None = None) -> str:
    value = record.get(field, default)
    if value is None:
        raise TextError(f"{where}: there is no {field!r}")
    if not isinstance(value, str) or (default is None and not value):
        raise TextError(f"{where}: {field!r} is {value!r:.40}, not a text")
    return value


def _from_columns(line: str, where: str) -> Pair:
    fields = line.split("\t")
    if not 2 <= len(fields) <= len(COLUMNS):
        raise TextError(
            f"{where}: {len(fields)} columns where 2 to 4 should be, separated by tabs: "
            f"{', '.join(COLUMNS)}"
        )
    for field, value in zip(COLUMNS, fields[:2], strict=False):
        if not value:
            raise TextError(f"{where}: {field!r} is empty")
    distance = fields[3] if len(fields) > 3 else ""
    if distance and not re.fullmatch(r"\d{1,18}", distance):
        raise TextError(f"{where}: 'distance' is {distance!r:.40}, not a whole number below 10^18")
    return Pair(
        fields[0],
        fields[1],
        fields[2] if len(fields) > 2 else "",
        distance=int(distance) if distance else None,
    )
