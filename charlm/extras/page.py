"""A report as one HTML page that needs nothing else: no network, no other file.

Its Content-Security-Policy allows one script and one style, by their hashes; every text goes
through jinja2's escaping, the script's data through JSON's. Knows reports; measures nothing.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from importlib import resources
from typing import Any

from charlm.extras import check_installed
from charlm.extras.charts import Chart, Drawn, Line, draw
from charlm.extras.contexts import SHARES
from charlm.extras.reading import LEVELS, PROBABILITY
from charlm.extras.report import Report
from charlm.extras.temperatures import Written
from charlm.figures import visible
from charlm.inspection import colours
from charlm.inspection.colours import Colour
from charlm.inspection.matching import PLACES
from charlm.inspection.surprise import MOST_BITS
from charlm.novelty import LENGTHS

SHADES = 33  # of the scale of surprise
SAMPLE = 1500  # characters of what was written that are shown at each temperature


def render(report: Report) -> str:
    """The page; raises CharlmError where jinja2 is not installed."""
    check_installed("jinja2", "report")
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["visible"] = visible
    style = _file("report.css") + _palette()
    script = f"(() => {{\n{_constants()}{_file('report.js')}}})();\n"
    template = environment.from_string(_file("report.html"))
    return template.render(
        report=report,
        policy=_policy(script, style),
        style=Markup(style),
        script=Markup(script),
        data=Markup(_json(report.to_json())),
        learning=draw(report.learning) if report.learning else None,
        temperature_charts=[draw(chart) for chart in _temperatures(report.written)],
        flow=_flow(report),
        gates=_gates(report),
        evaluation_most=max(report.evaluation.rows.values()),
        samples=[_sample(written, report.per_line) for written in report.written],
    )


def _file(name: str) -> str:
    return (resources.files("charlm.extras") / "templates" / name).read_text("utf-8")


def _constants() -> str:
    """What the script knows by the names that it has here."""
    known = {
        "SHADES": SHADES,
        "LEVELS": LEVELS,
        "SHARES": SHARES,
        "PROBABILITY": PROBABILITY,
        "PLACES": PLACES,
        "MOST_BITS": MOST_BITS,
    }
    return "".join(f"const {name} = {value:g};\n" for name, value in known.items())


def _policy(script: str, style: str) -> str:
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _json(values: dict[str, Any]) -> str:
    """JSON that no parser of HTML takes for markup."""
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _palette() -> str:
    """Rules for the shades of surprise (s0, …) and the levels of a cell (c0, …), light and dark."""
    light = _rules(colours.sequential_on_light, colours.diverging)
    dark = _rules(colours.sequential, colours.diverging_on_dark)
    return f"{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"


def _rules(shade: Callable[[float], Colour], level: Callable[[float], Colour]) -> str:
    shades = [shade(k / (SHADES - 1)) for k in range(SHADES)]
    levels = [level((2 * k + 1) / LEVELS - 1) for k in range(LEVELS)]
    return "".join(
        f".{letter}{k}{{background:{colours.hexadecimal(colour)};"
        f"color:{colours.hexadecimal(colours.ink(colour))}}}\n"
        for letter, scale in (("s", shades), ("c", levels))
        for k, colour in enumerate(scale)
    )


def _temperatures(written: list[Written]) -> list[Chart]:
    """How unsure the model is, and how much of what it writes is new, over the temperature."""
    entropy = Line("entropy", [(one.temperature, one.entropy) for one in written])
    charts = [
        Chart("How unsure it is", "temperature", "bits per character", [entropy]),
    ]
    lines = [
        Line(f"of {length}", points) for length in LENGTHS if (points := _new(written, length))
    ]
    if lines:
        charts.append(
            Chart(
                "Spans that are new, by their length in characters",
                "temperature",
                "share that is new",
                lines,
                y_range=(0.0, 1.0),
            )
        )
    return charts


def _new(written: list[Written], length: int) -> list[tuple[float, float]]:
    """The share of new spans of this length at each temperature where it is known."""
    shares = [(one.temperature, one.novelty.new_spans[length]) for one in written if one.novelty]
    return [(temperature, share) for temperature, share in shares if share is not None]


def _flow(report: Report) -> Drawn | None:
    """The gradient's norm against the steps back, a line for each layer."""
    if report.flow is None:
        return None
    lines = [
        Line(f"layer {k}", list(zip(report.flow.steps.tolist(), norms.tolist(), strict=True)))
        for k, norms in enumerate(report.flow.mean, 1)
    ]
    drawn = draw(Chart("Gradient flow", "steps back", "norm of the gradient", lines, log_y=True))
    return drawn if drawn.lines else None


def _gates(report: Report) -> list[tuple[Drawn, str]]:
    """For each gate a dot for each cell, and how many cells are at an end 90 % of the time."""
    found = []
    for one in report.saturation:
        points = list(zip(one.right.tolist(), one.left.tolist(), strict=True))
        title = f"Layer {one.layer}, {one.gate} gate"
        chart = Chart(
            title,
            "share of time above 0.9",
            "share of time below 0.1",
            [Line("", points, dots=True)],
            x_range=(0.0, 1.0),
            y_range=(0.0, 1.0),
        )
        left, right = int((one.left > 0.9).sum()), int((one.right > 0.9).sum())
        note = (
            f"Of {len(points):,} cells {left:,} are closed, {right:,} open "
            "for more than 90 % of the time"
        )
        found.append((draw(chart), note))
    return found


def _sample(written: Written, per_line: bool) -> dict[str, Any]:
    """One temperature: its figures, and the beginning of what was written."""
    whole = ("\n" if per_line else "\n\n").join(written.texts)
    novelty = written.novelty
    return {
        "temperature": f"{written.temperature:g}",
        "entropy": f"{written.entropy:.2f}",
        "text": whole[:SAMPLE] if not per_line else "\n".join(whole.split("\n")[:30]),
        "novelty": novelty.in_words().replace("␊", "↵").split("\n") if novelty else None,
    }
