"""A report of a model: what it is, how it learned, what it writes and how it reads a text.

Gathers all of it into one record; `page` makes the page. Knows models, corpora and readings;
knows nothing about HTML or terminals.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import charlm
from charlm.api import Model
from charlm.baselines import baselines
from charlm.bulk import TorchEngine
from charlm.container import SUFFIX
from charlm.corpus import tokenize
from charlm.errors import OptionError, TextError
from charlm.extras.charts import Chart, Line
from charlm.extras.contexts import Contexts, contexts
from charlm.extras.reading import Reading, read
from charlm.extras.runs import Run
from charlm.extras.temperatures import Written, samples_at, write
from charlm.gradients import Flow, flow, network, windows
from charlm.inference import Ids
from charlm.inspection.gates import GATES_OF, Saturation, saturation
from charlm.origin import Origin, first_of, valid_text
from charlm.scoring import Watch, evaluate
from charlm.summary import summary
from charlm.text import text_of

CHARACTERS = 10_000  # of a text that is read, unless more are asked for
TEMPERATURES = (0.5, 0.8, 1.0, 1.2)
EVALUATED = 2**17  # characters of the validation text, its beginning
STREAMS = 32
FLOW_STEPS = (64, 32, 16, 8, 4)  # how far back the gradient is followed: as far as the text allows
FLOW_POSITIONS = 16


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Bits per character by name, the model's first, and the text that they are of."""

    of: str
    rows: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Report:
    """All that the page shows."""

    name: str
    corpus: str
    summary: list[tuple[str, str]]
    learning: Chart | None
    evaluation: Evaluation
    written: list[Written]
    compared: str | None  # the corpus that novelty was measured against
    per_line: bool
    source: str  # what text was read
    unseen: int  # of its tokens
    reading: Reading
    saturation: list[Saturation]
    flow: Flow | None
    contexts: Contexts
    version: str = charlm.__version__

    def to_json(self) -> dict[str, Any]:
        """What the page's script needs."""
        return self.reading.to_json() | {"contexts": self.contexts.to_json()}


def make(
    model: Model,
    name: str,
    origin: Origin | None = None,
    text: tuple[str, str] | None = None,
    *,
    characters: int = CHARACTERS,
    seed: int = 1,
    watch: Watch = lambda _: None,
) -> Report:
    """Reads a text, (what it is, itself), or else the start of the validation text, and the rest.

    Where the corpus is not at hand either, the model reads what it writes itself.
    """
    source, subject = _subject(model, origin, text, characters, seed)
    reading = read(model, subject)
    ids = reading.passage.ids
    watch(0.4)
    written = samples_at(model, TEMPERATURES, seed, origin.text if origin else None)
    watch(0.6)
    evaluation = _evaluation(model, origin, subject, reading)
    watch(0.75)
    net = network(model.checkpoint).requires_grad_(False)
    has_gates = model.checkpoint.model.cell in GATES_OF
    return Report(
        name=name,
        corpus=model.checkpoint.corpus.name,
        summary=[
            (name.capitalize(), words)
            for name, words in summary(model.checkpoint)
            if name != "validation"  # of which there is a picture
        ],
        learning=_learning(model, name),
        evaluation=evaluation,
        written=written,
        compared=origin.what if origin else None,
        per_line=model.per_line,
        source=source,
        unseen=reading.passage.unseen,
        reading=reading,
        saturation=saturation(model.engine, model.checkpoint.weights, ids) if has_gates else [],
        flow=_flow(net, ids, name),
        contexts=contexts(net, model.engine, ids),
    )


def _subject(
    model: Model, origin: Origin | None, text: tuple[str, str] | None, characters: int, seed: int
) -> tuple[str, str]:
    """What is read, in words, and itself."""
    if text:
        return text
    if origin and (texts := valid_text(origin, model.checkpoint, characters)):
        what = f"the start of the validation text of {origin.text.name}"
        if len(texts) > 1:
            what += ", read as one text"
        if not origin.same:
            what += ", which is not the text that the model was trained on"
        return what, "".join(texts)
    missing = "its corpus was not found"
    if origin:
        missing = f"{origin.text.name} has no part that it was validated on"
        if model.per_line:
            missing += f", or none that begins with a line of at most {characters:,} characters"
    what = f"what the model wrote itself at temperature 1 with seed {seed}: a checkpoint keeps no "
    what += f"text, and {missing}, so this does not show how it reads people's text"
    return what, _own_text(model, characters, seed)


def _own_text(model: Model, characters: int, seed: int) -> str:
    written = write(model, 1.0, seed, lines=max(1, characters // 20), length=characters)
    lines = (f"{line}\n" for line in written.texts if line)
    text = first_of(lines if model.per_line else written.texts, characters, model.per_line)
    if not text:
        what = "no whole line" if model.per_line else "nothing"
        raise TextError(f"the model wrote {what} to read; give a TEXT")
    return text


def _evaluation(model: Model, origin: Origin | None, subject: str, reading: Reading) -> Evaluation:
    """On the validation text where it is known to be that, else on the text that was read."""
    texts = valid_text(origin, model.checkpoint, EVALUATED) if origin and origin.same else []
    if texts:
        text = text_of("".join(texts))
        tokens = tokenize([[one] for one in texts], model.tokenizer, model.per_line)
        engine = TorchEngine.of(model.checkpoint.model, model.checkpoint.weights)
        bits = evaluate(engine, tokens, STREAMS).bits_per_character
        known = model.checkpoint.corpus.valid_characters
        part = f"the first {text.characters:,} characters of " if text.characters < known else ""
        of = f"{part}the validation text ({known:,} characters)"
    else:
        text = text_of(subject)
        bits = reading.bits / reading.passage.characters
        of = f"the text read below ({text.characters:,} characters)"
    simpler = sorted(baselines(text, model.per_line).items(), key=_bits)
    return Evaluation(of, {"this model": bits, **dict(simpler)})


def _bits(row: tuple[str, float]) -> float:
    return row[1]


def _flow(net: Any, ids: Ids, name: str) -> Flow | None:
    """As far back as the text is long enough for."""
    for steps in FLOW_STEPS:
        try:
            columns = windows(ids, steps, FLOW_POSITIONS, per_line=net.config.per_line)
        except TextError:
            continue
        return flow(net, columns, steps, name)
    return None


def _learning(model: Model, name: str) -> Chart | None:
    """Bits per character over the steps."""
    if not model.checkpoint.history:
        return None
    run = Run.of(model.checkpoint, name)
    assert run.bits is not None
    return Chart(
        "Learning curve",
        "steps",
        "bits per character",
        [
            Line("training", run.points("train_nats", scale=run.bits)),
            Line("validation", run.points("valid_nats", scale=run.bits)),
        ],
    )


def check_characters(characters: int) -> None:
    """Raises OptionError for more than a page can hold."""
    if characters > 5 * CHARACTERS:
        raise OptionError(f"--characters: {characters:,} cannot be shown; give at most 50,000")


def name_of(path: str | os.PathLike[str]) -> str:
    """What a report calls the model: its file's name."""
    return os.path.basename(os.fspath(path)).removesuffix(SUFFIX)
