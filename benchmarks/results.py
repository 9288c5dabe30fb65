"""Where results stand: dated JSON and Markdown in benchmarks/results/, and what was found before.

Knows rows; knows nothing of how they were measured.
"""

import dataclasses
import datetime
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import NOT_MEASURED, Row, described, machine, markdown

RESULTS = Path(__file__).parent / "results"


def dated(name: str, folder: Path = RESULTS) -> Path:
    """The path of today's results of that name, without its suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{datetime.date.today().isoformat()}-{name}"


def write(rows: Sequence[Row], name: str, folder: Path = RESULTS) -> Path:
    """Writes today's rows as JSON and as a table, with the machine; gives the table's path."""
    stem, about = dated(name, folder), machine()
    record = {"machine": about, "rows": [dataclasses.asdict(row) for row in rows]}
    replace(Path(f"{stem}.json"), json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    path = Path(f"{stem}.md")
    replace(path, f"Measured on: {described(about)}.\n\n{markdown(rows)}")
    return path


def replace(path: Path, text: str) -> None:
    """Writes a file whose readers, also after an interruption, find the old text or the new."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def recorded(what: str, folder: Path = RESULTS) -> Row | None:
    """The newest row of that name that a long run or one on a GPU recorded, with date and GPU."""
    paths = [*folder.glob("20*long.json"), *folder.glob("20*-gpu.json")]
    for path in sorted(paths, reverse=True):
        record = json.loads(path.read_text(encoding="utf-8"))
        gpu = record.get("machine", {}).get("gpu", "none")
        if gpu == "none" and path.name.endswith("-gpu.json"):
            continue  # what was recorded there was recorded before
        for fields in record.get("rows", ()):
            if fields["what"] == what and not fields["measured"].startswith(NOT_MEASURED):
                row = Row(**fields)
                where = "" if gpu == "none" else f" on one {gpu}"
                said = f"{row.measured},{where} on {path.name[:10]}"
                return dataclasses.replace(row, measured=said)
    return None
