"""The report as a record and as a page: complete, escaped, small, and honest about its text."""

import ast
import base64
import dataclasses
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import corpus_of, random_checkpoint, train

import charlm as package
from charlm.api import Model
from charlm.checkpoint import save
from charlm.config import CELLS
from charlm.corpus import build_corpus
from charlm.errors import OptionError
from charlm.extras import reading, report
from charlm.extras.contexts import REACH, contexts
from charlm.figures import visible
from charlm.gradients import context, network
from charlm.inspection.activations import Cell, trace
from charlm.inspection.gates import GATES_OF
from charlm.origin import find_origin, first_of, origin_of, valid_text
from charlm.text import open_text, text_of

pytest.importorskip("jinja2", reason="pip install '.[report]'")
from charlm.extras.page import _temperatures, render

HOSTILE = '</script><script>alert(1)</script></style><b title="x">&amp; {{ 7 * 7 }}\0\u202e</b>'


class Page(HTMLParser):
    """What of a page the tests look at: its tags with their attributes, its scripts and styles."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self._open = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag in self.inside:
            self.inside[tag].append("")

    def handle_data(self, data: str) -> None:
        if self._open in self.inside:
            self.inside[self._open][-1] += data

    def handle_endtag(self, tag: str) -> None:
        assert tag not in self.inside or tag == self._open
        self._open = ""


@pytest.fixture(scope="module")
def made(cat_model: Model, cat_text: str) -> report.Report:
    return report.make(cat_model, "cats", text=("the test's text", cat_text[:700]))


def digest(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def test_the_page_needs_nothing_else(made: report.Report) -> None:
    source = render(made)
    page = Page(source)
    policy = next(
        attributes["content"]
        for tag, attributes in page.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    data, script = page.inside["script"]
    (style,) = page.inside["style"]
    assert policy == (
        f"default-src 'none'; script-src '{digest(script)}'; style-src '{digest(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert json.loads(data) == made.to_json()
    for tag, attributes in page.tags:
        assert not {"src", "srcset", "style", "onclick", "onload", "action"} & attributes.keys(), (
            tag
        )
        assert attributes.get("href", "#").startswith(("#", "data:"))  # type: ignore[union-attr]
    assert "http://" not in source
    assert "https://" not in source


def test_the_same_report_is_the_same_page(cat_model: Model, made: report.Report) -> None:
    text = made.reading.passage.text
    again = report.make(cat_model, "cats", text=("the test's text", text))
    assert render(again) == render(made)


def test_text_from_anywhere_is_only_text() -> None:
    checkpoint = train(corpus_of(20 * (HOSTILE + "\n")), steps=3).checkpoint()
    known = dataclasses.replace(checkpoint.corpus, name=HOSTILE)
    model = Model(dataclasses.replace(checkpoint, corpus=known, versions={"x": HOSTILE}))
    source = render(report.make(model, HOSTILE, text=(HOSTILE, HOSTILE)))
    page = Page(source)
    tags = [tag for tag, _ in page.tags]
    assert tags.count("script") == 2
    assert tags.count("style") == tags.count("title") == 1
    assert "b" not in tags
    assert "49" not in re.findall(r"&amp;amp; (\S+)", source)
    assert "\0" not in source
    assert "\u202e" not in source
    assert "".join(json.loads(page.inside["script"][0])["pieces"]) == visible(HOSTILE)


HIDDEN = [0xAD, 0x180E, 0x200B, 0x200D, 0x2060, 0x2064, 0x206A, 0x202E, 0xFEFF, 0xFFF9, 0xE0041]


@pytest.mark.parametrize("code", [*HIDDEN, 0xDCFF])
def test_what_a_page_would_hide_is_made_visible_as_on_a_terminal(code: int) -> None:
    assert visible(f"a{chr(code)}b") == f"a<U+{code:04X}>b"


def test_text_of_any_script_is_shown_as_it_is() -> None:
    text = "שלום العربية e\u0301 한 漢\u3000字\u00a0😀\ufe0f\n\t"
    assert visible(text) == text


def test_letters_are_joined_and_ordered_across_tokens(made: report.Report) -> None:
    """Were each token isolated, Hebrew would read backwards and accents stand alone."""
    assert "unicode-bidi" not in Page(render(made)).inside["style"][0]


def test_bits_and_probabilities_of_the_page_agree(made: report.Report) -> None:
    record = made.to_json()
    likely = 0
    for bits, rank, shares in zip(
        record["bits"], record["ranks"], record["probabilities"], strict=True
    ):
        if rank <= len(shares):
            assert 2**-bits == pytest.approx(shares[rank - 1] / reading.PROBABILITY, abs=1e-4)
            likely += 1
    assert likely > 600


def test_the_share_that_is_new_ends_at_one(name_model: Model, names_file: Path) -> None:
    origin = origin_of(names_file, name_model.checkpoint, "utf-8")
    made = report.make(name_model, "names", origin, characters=200)
    [drawn] = [one for one in _temperatures(made.written) if one.y_label == "share that is new"]
    assert drawn.y_range == (0.0, 1.0)


def test_one_place_is_no_mean(cat_model: Model) -> None:
    made = report.make(cat_model, "cats", text=("a text", "The cat was"))
    assert made.flow is not None
    assert made.flow.norms.shape[2] == 1
    source = render(made)
    assert "earlier, at 1 place in the text." in source
    assert "1 places" not in source


def unpacked(packed: str, *shape: int) -> Any:
    return np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8).reshape(shape)


def test_levels_are_the_cells_values(cat_model: Model, made: report.Report) -> None:
    record = made.to_json()
    tokens = len(made.reading.passage)
    levels = unpacked(record["levels"], len(record["cells"]), tokens)
    for row in (0, 17):
        cell = Cell.parse(record["cells"][row], cat_model.engine.config)
        values = trace(cat_model.engine, made.reading.passage.ids, cell)
        assert np.abs((levels[row] + 0.5) / 8 - 1 - values).max() <= 1 / 16 + 1e-6


def test_of_too_many_cells_the_found_and_the_moving_are_kept(
    cat_model: Model, cat_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_VALUES", 25 * 600)
    read = reading.read(cat_model, cat_text[:600])
    assert len(read.cells) == 25
    assert read.all_cells == 32
    best = {str(found.cells[0].cell) for found in read.found.values() if found.beyond_chance}
    assert best <= {str(cell) for cell in read.cells}
    assert list(read.cells) == sorted(read.cells)


def test_bits_are_those_of_the_score(cat_model: Model, made: report.Report) -> None:
    score = cat_model.score(made.reading.passage.text)
    assert made.reading.bits == pytest.approx(-score.log_probability / np.log(2), rel=1e-5)
    assert made.evaluation.rows["this model"] == pytest.approx(score.bits_per_character, rel=1e-5)
    assert {"xz", "bz2", "uniform over its characters"} <= made.evaluation.rows.keys()


@pytest.mark.parametrize("per_line", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_contexts_are_those_of_one_position_at_a_time(cell: str, per_line: bool) -> None:
    model = Model(random_checkpoint(cell, 2, per_line=per_line))
    text = "The cats, which already ate the fish, were happy.\nThe cat was full.\n" * 2
    ids = reading.Passage.of(model.tokenizer, text, per_line).ids
    net = network(model.checkpoint)
    strengths = contexts(net, model.engine, ids).strengths
    assert len(strengths) == len(ids) - 1
    for position in (1, 2, 30, REACH, REACH + 20, len(ids) - 1):
        alone = context(net, ids, position)[::-1][:REACH]
        assert np.allclose(strengths[position - 1, : len(alone)], alone, atol=1e-5)
        assert not strengths[position - 1, len(alone) :].any()


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_has_a_report(cell: str) -> None:
    model = Model(random_checkpoint(cell, 2))
    made = report.make(model, cell, text=("a text", "The cat was full.\n" * 3))
    assert bool(made.saturation) == (cell in GATES_OF)
    assert ("Gates</h2>" in render(made)) == (cell in GATES_OF)
    assert made.flow is not None
    assert made.learning is None


@pytest.mark.parametrize("tokenizer", ["bytes", "words", "bpe"])
def test_every_tokenizer_has_a_report(tokenizer: str) -> None:
    model = Model(random_checkpoint(tokenizer=tokenizer))
    made = report.make(model, tokenizer, text=("a text", "The cat, äé€ 😀, was full.\n" * 2))
    assert json.loads(Page(render(made)).inside["script"][0])["pieces"]


def test_words_have_the_bits_of_the_text_as_it_is() -> None:
    model = Model(random_checkpoint(tokenizer="words"))
    text = "The zebra   ate the xylophone.\nThe  cat is   gone.\n"
    made = report.make(model, "words", text=("a text", text))
    bits = model.evaluate(text).bits_per_character
    assert made.evaluation.rows["this model"] == pytest.approx(bits, rel=1e-4)


def test_a_short_text_has_what_it_can_have() -> None:
    model = Model(random_checkpoint())
    made = report.make(model, "short", text=("two characters", "Th"))
    assert made.flow is None
    assert made.reading.found == {}
    assert "Gradients through time" not in render(made)


@pytest.fixture
def trained(tmp_path: Path, cat_file: Path) -> Path:
    from charlm.corpus import build_corpus
    from charlm.text import open_text

    run = train(build_corpus(open_text([cat_file])), steps=5)
    path = tmp_path / "models" / "cats.safetensors"
    path.parent.mkdir()
    save(path, run.checkpoint())
    return path


def test_the_corpus_is_found_by_name_and_digest(
    trained: Path, cat_text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint = package.load(trained).checkpoint
    assert find_origin(trained, checkpoint, "utf-8") is None
    (tmp_path / "cats.txt").write_text(cat_text + "More.\n")  # of the name, not of the digest
    assert find_origin(trained, checkpoint, "utf-8") is None
    (tmp_path / "models" / "cats.txt").write_text(cat_text)
    origin = find_origin(trained, checkpoint, "utf-8")
    assert origin is not None
    assert origin.same
    begin = len(cat_text) - checkpoint.corpus.valid_characters
    assert valid_text(origin, checkpoint, 50) == [cat_text[begin : begin + 50]]
    other = origin_of(tmp_path / "cats.txt", checkpoint, "utf-8")
    assert not other.same
    assert "not the text" in other.what


def test_the_validation_text_of_lines_is_every_tenth(
    name_model: Model, names: list[str], tmp_path: Path
) -> None:
    (tmp_path / "names.txt").write_text("\n".join(names))
    origin = origin_of(tmp_path / "names.txt", name_model.checkpoint, "utf-8")
    assert origin.same
    assert "".join(valid_text(origin, name_model.checkpoint, 10**6)).split() == names[9::10]
    made = report.make(name_model, "names", origin)
    assert made.source == "the start of the validation text of names.txt"
    assert made.compared == "names.txt, the corpus it was trained on"
    score = name_model.evaluate("\n".join(names[9::10]))
    assert made.evaluation.rows["this model"] == pytest.approx(score.bits_per_character, rel=1e-4)
    assert all(written.novelty for written in made.written)


def test_the_validation_text_of_a_folder_is_measured_file_by_file(tmp_path: Path) -> None:
    for k in range(8):
        (tmp_path / f"{k}.txt").write_text("The cat sat.\nThe cats sat.\n" * (3 + k))
    corpus = build_corpus(open_text([tmp_path]), valid_fraction=0.4)
    model = Model(train(corpus, steps=20, batch_size=4, bptt=16).checkpoint())
    origin = origin_of(tmp_path, model.checkpoint, "utf-8")
    assert origin.same
    assert origin.validated
    parts = valid_text(origin, model.checkpoint, 10**6)
    assert len(parts) == 3
    (tmp_path / "held").mkdir()
    for k, part in enumerate(parts):
        (tmp_path / "held" / f"{k}").write_text(part)
    made = report.make(model, "cats", origin)
    score = model.evaluate(open_text([tmp_path / "held"]))
    assert made.evaluation.rows["this model"] == pytest.approx(score.bits_per_character, rel=1e-5)
    assert made.source.endswith(", read as one text")
    few = len(parts[0]) + 10
    assert valid_text(origin, model.checkpoint, few) == [parts[0], parts[1][:10]]


def test_lines_are_cut_where_they_end() -> None:
    pieces = ["Ada\nBo", "b\nCleo\n"]
    for characters, expected in (
        (3, ""),
        (4, "Ada\n"),
        (7, "Ada\n"),
        (8, "Ada\nBob\n"),
        (12, "Ada\nBob\n"),
        (13, "Ada\nBob\nCleo\n"),
    ):
        assert first_of(pieces, characters, per_line=True) == expected
        assert first_of(pieces, characters) == "Ada\nBob\nCleo\n"[:characters]
    assert first_of(["Ada"], 3, per_line=True) == "Ada"  # the text ends there


def test_no_line_that_is_read_has_an_end_that_it_has_not(
    name_model: Model, names: list[str], tmp_path: Path
) -> None:
    (tmp_path / "names.txt").write_text("\n".join(names))
    origin = origin_of(tmp_path / "names.txt", name_model.checkpoint, "utf-8")
    for characters in range(20, 30):
        lines = "".join(valid_text(origin, name_model.checkpoint, characters)).split("\n")
        assert lines[:-1] == names[9::10][: len(lines) - 1]
        assert lines[-1] == ""
        made = report.make(name_model, "names", characters=characters)
        assert len(made.reading.passage.text) <= characters
        whole = report.make(name_model, "names", characters=characters + 200).reading.passage.text
        assert whole.startswith(made.reading.passage.text)
    long = dataclasses.replace(origin, text=text_of("A" * 30))
    assert valid_text(dataclasses.replace(long, same=False), name_model.checkpoint, 20) == []


@pytest.mark.parametrize("per_line", [False, True])
def test_a_corpus_without_a_part_to_validate_on_is_known(
    per_line: bool, cat_text: str, tmp_path: Path
) -> None:
    path = tmp_path / "cats.txt"
    path.write_text(cat_text)
    valid = text_of(cat_text[:400])
    model = Model(train(corpus_of(cat_text, valid=valid, per_line=per_line), steps=2).checkpoint())
    origin = origin_of(path, model.checkpoint, "utf-8")
    assert origin.same
    assert valid_text(origin, model.checkpoint, 50) == []
    made = report.make(model, "cats", origin, characters=200)
    assert made.compared == "cats.txt, the corpus it was trained on"
    assert "cats.txt has no part that it was validated on" in made.source
    path.write_text(cat_text[1:])
    assert not origin_of(path, model.checkpoint, "utf-8").same


def test_without_a_text_it_reads_its_own_and_says_so(cat_model: Model) -> None:
    made = report.make(cat_model, "cats", characters=200)
    assert "what the model wrote itself" in made.source
    assert len(made.reading.passage) <= 200
    assert made.compared is None
    assert "The corpus was not at hand" in render(made)


def test_a_page_of_ten_thousand_characters_is_small() -> None:
    model = Model(random_checkpoint(hidden_size=600))
    draw = np.random.default_rng(0)
    text = "".join(draw.choice(list("The cat was full.\n"), 10_000))
    read = reading.read(model, text)
    assert len(read.cells) == 600
    assert len(json.dumps(read.to_json())) < 4_500_000


def test_more_than_a_page_can_hold_is_refused() -> None:
    with pytest.raises(OptionError, match="--characters: 60,000 cannot be shown"):
        report.check_characters(60_000)


def test_nothing_but_extras_and_commands_knows_extras() -> None:
    folder = Path(package.__file__).parent
    for path in folder.rglob("*.py"):
        if path.relative_to(folder).parts[0] in ("extras", "cli"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert name.split(".")[0] not in ("jinja2", "matplotlib", "markupsafe"), path
                assert not name.startswith("charlm.extras"), path
