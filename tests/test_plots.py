"""Pictures: every kind is drawn, labelled, named, and the same every time."""

import dataclasses
import doctest
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from conftest import random_checkpoint

from charlm.api import Model
from charlm.errors import OptionError, TextError
from charlm.extras import charts, runs, temperatures
from charlm.extras.runs import Run, read_run
from charlm.extras.temperatures import entropies, samples_at, write
from charlm.gradients import Flow
from charlm.probing import Accuracy
from charlm.text import text_of
from charlm.tokenizers import EOS

pytest.importorskip("matplotlib", reason="pip install '.[plot]'")
from charlm.extras import plots

RECORDS = [
    {
        "step": 10 * k,
        "epoch": k / 4,
        "seconds": 2.5 * k,
        "train_nats": 3 / k,
        "valid_nats": 3.2 / k if k % 2 else None,
        "gradient_norm": 1 / k,
        "clipped": 1.0 if k == 1 else 0.0,
        "learning_rate": 0.001 * k,
        "characters_per_second": 1000.0,
    }
    for k in range(1, 8)
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "a run.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in RECORDS), encoding="utf-8")
    return path


def names_in(figure: object) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]  # type: ignore[attr-defined]


def labels_of(figure: object) -> list[tuple[str, str]]:
    return [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes]  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", [charts, temperatures])
def test_examples_in_the_docstrings(module: object) -> None:
    failed, tried = doctest.testmod(module, extraglobs={"np": np})  # type: ignore[arg-type]
    assert tried
    assert not failed


def test_a_log_is_read_as_it_is(log: Path) -> None:
    run = read_run(log)
    assert run.name == "a run"
    assert run.points("train_nats") == [(10.0 * k, 3 / k) for k in range(1, 8)]
    assert run.points("valid_nats", "seconds", 2.0)[1] == (7.5, 3.2 / 3 * 2)


def test_half_a_line_at_the_end_of_a_log_is_left_out(log: Path) -> None:
    whole = read_run(log).records
    for half in ('{"step": 9, "sec', '{"step": '):
        log.write_text(log.read_text(encoding="utf-8") + half, encoding="utf-8")
        assert read_run(log).records == whole
        log.write_text(log.read_text(encoding="utf-8").removesuffix(half), encoding="utf-8")
    log.write_text(log.read_text(encoding="utf-8").rstrip("\n"), encoding="utf-8")
    assert read_run(log).records == whole


def test_a_checkpoint_keeps_validations_and_no_gradients(cat_path: Path, cat_model: Model) -> None:
    run = read_run(cat_path)
    history = cat_model.checkpoint.history
    assert [y for _, y in run.points("valid_nats")] == [r["valid_nats"] for r in history]
    with pytest.raises(
        OptionError, match="keeps no gradient norm; give the file that charlm train"
    ):
        run.points("gradient_norm")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "there are no records"),
        ("no JSON\n", r"line 1 is no record of a training log; .* checkpoint \(\*"),
        ("[1, 2]\n", "line 1 is no record"),
        ('{"step": 1, "seconds": 2}\n', "line 1: there is no 'train_nats'"),
        ('{"step": 1, "seconds": null, "train_nats": 1}\n', "line 1: there is no 'seconds'"),
        ('{"step": "one", "seconds": 2, "train_nats": 1}\n', "line 1: 'step' is 'one'"),
        ('{"step": 1, "seconds": NaN, "train_nats": 1}\n', "line 1: 'seconds' is nan"),
        (f'{{"step": 1{"0" * 400}, "seconds": 2, "train_nats": 1}}\n', "line 1: 'step' is 1000"),
    ],
)
def test_what_is_no_log_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(TextError, match=message) as caught:
        read_run(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_learning_is_in_bits_only_where_all_runs_know_how(log: Path, cat_path: Path) -> None:
    checkpoint, logged = read_run(cat_path), read_run(log)
    assert labels_of(plots.learning([checkpoint], "step")) == [
        ("steps", "loss, bits per character")
    ]
    both = plots.learning([checkpoint, logged], "seconds")
    assert labels_of(both) == [("seconds", "loss, nats per token")]
    assert names_in(both) == [
        "cats, training",
        "cats, validation",
        "a run, training",
        "a run, validation",
    ]


def test_rate_gradient_and_perplexity(log: Path) -> None:
    run = read_run(log)
    assert labels_of(plots.rate([run], "step")) == [("steps", "learning rate")]
    above, below = labels_of(plots.gradient([run], "step"))
    assert above[1] == "gradient norm before clipping"
    assert below[1] == "share of steps clipped"
    figure = plots.perplexity([run], "step")
    drawn = figure.axes[0].lines[0].get_ydata()
    assert np.allclose(np.log(drawn), [3.2 / k for k in (1, 3, 5, 7)])  # type: ignore[arg-type]


def test_samples_and_their_novelty(cat_model: Model, cat_text: str) -> None:
    corpus = text_of(cat_text)
    written = [write(cat_model, heat, 1, 2, 120, corpus) for heat in (0.5, 1.0, 1.5)]
    assert written[0].entropy < written[1].entropy < written[2].entropy
    figure = plots.samples(["cats"], [written])
    assert names_in(figure) == ["cats", "spans of 8", "spans of 16", "spans of 32"]
    entropy, novelty = figure.axes
    assert entropy.get_xlim() == novelty.get_xlim()
    alone = plots.samples(["cats"], [[write(cat_model, 1.0, 1, 1, 20)]])
    assert labels_of(alone) == [("temperature", "entropy, bits per character")]


def test_of_lines_the_share_that_is_new_is_drawn(
    name_model: Model, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temperatures, "LINES", 30)
    written = samples_at(name_model, [0.5, 1.5], 1, text_of("\n".join(names)))
    assert [len(one.texts) for one in written] == [30, 30]
    figure = plots.samples(["names"], [written])
    assert "lines" in names_in(figure)
    shares = [one.novelty.new_lines for one in written if one.novelty]
    assert any(list(line.get_ydata()) == shares for line in figure.axes[1].lines)


def test_of_short_files_enough_are_written() -> None:
    checkpoint = random_checkpoint(seed=1)
    bias = checkpoint.weights["output.bias"].copy()
    bias[EOS] = 3.0
    weights = {**checkpoint.weights, "output.bias": bias}
    model = Model(dataclasses.replace(checkpoint, weights=weights))
    written = write(model, 1.0, 1, 1, 200)
    assert len(written.texts) > 5
    assert sum(map(len, written.texts)) + len(written.texts) - 1 in (199, 200)
    assert written.texts[0] == model.sample(length=200, seed=1)
    assert len(set(written.texts)) > 5


def test_of_one_long_text_there_are_no_lines(
    cat_model: Model, cat_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temperatures, "LENGTH", 50)
    [written] = samples_at(cat_model, [1.0], 1, text_of(cat_text))
    assert [len(text) for text in written.texts] == [50]
    assert "lines" not in names_in(plots.samples(["cats"], [[written]]))


def test_entropy_is_that_of_the_distribution_drawn_from() -> None:
    logits = np.array([[0.0, 5.0, 1.0, 2.0]], np.float32)  # the second is <UNK>, never drawn
    p = np.exp(np.array([0.0, 1.0, 2.0]) / 0.7)
    p /= p.sum()
    assert np.allclose(entropies(logits, 0.7, [1]), -(p * np.log2(p)).sum())
    assert entropies(logits, 0.0, [1]).tolist() == [0.0]
    assert entropies(np.array([[-1e4, 0.0, 1e4]], np.float32), 1e-3, [1]).tolist() == [0.0]


def test_gradient_flow_has_a_line_for_each_layer() -> None:
    flow = Flow("gru", "gru", 0.5 ** np.arange(20).reshape(2, 10, 1))
    vanished = Flow("gone", "rnn", np.zeros((1, 10, 1)))
    figure = plots.flows([flow, vanished])
    assert names_in(figure) == ["gru, layer 1", "gru, layer 2"]
    assert figure.axes[0].get_yscale() == "log"


NORMS = {
    "zero": np.zeros(10),
    "overflown": np.full(10, np.inf),
    "least": np.full(10, 5e-324),
    "greatest": np.full(10, 1e308),
    "tiny": 1e-30 * 0.5 ** np.arange(10),
    "all": np.append(10.0 ** np.linspace(-323, 308, 40), [np.inf, np.nan, 0.0]),
    "one": np.append(np.zeros(4), 1e-320),
}


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("form", ["png", "svg"])
def test_any_norm_can_be_drawn(kind: str, form: str) -> None:
    """Those that are 0, subnormal, near to the greatest float or beyond it."""
    flow = Flow("rnn", "rnn", NORMS[kind].reshape(1, -1, 1))
    known = kind not in ("zero", "overflown", "greatest")
    figure = plots.flows([flow, Flow("gone", "rnn", np.zeros((1, 10, 1)))])
    assert names_in(figure) == ["rnn"] * known
    assert plots.image(figure, form)
    points = list(zip(flow.steps.tolist(), flow.mean[0].tolist(), strict=True))
    lines = [charts.Line("rnn", points), charts.Line("gone", [(1, 0.0), (2, 0.0)])]
    drawn = charts.draw(charts.Chart("t", "x", "y", lines, log_y=True))
    assert [name for _, _, name, *_ in drawn.lines] == ["rnn"] * known
    for _, path, *_ in drawn.lines:
        assert "nan" not in path
        assert min(float(y) for y in re.findall(r" ([\d.]+)", path)) >= charts.TOP
    assert len({tick.text for tick in drawn.y_ticks}) == len(drawn.y_ticks) > 1


def test_a_line_keeps_its_style_where_another_is_left_out() -> None:
    lines = [charts.Line("gone", [(1, 0.0)]), charts.Line("here", [(1, 0.5)])]
    [(number, _, name, *_)] = charts.draw(charts.Chart("t", "x", "y", lines, log_y=True)).lines
    assert (number, name) == (1, "here")


def test_ticks_of_small_norms_say_what_they_are() -> None:
    figure = plots.flows([Flow("rnn", "rnn", np.linspace(9e-5, 6e-4, 10).reshape(1, 10, 1))])
    plots.image(figure, "png")
    axis = figure.axes[0].yaxis
    low, high = axis.get_view_interval()
    texts = [axis.get_major_formatter()(y) for y in axis.get_majorticklocs() if low <= y <= high]
    assert texts == ["10⁻⁴", "2 × 10⁻⁴", "5 × 10⁻⁴"]


HOSTILE = "a\x1b[2J\0\udcff\u202e\ufffe\n--><!-- 猫 & שלום"


@pytest.mark.parametrize("form", ["png", "svg"])
def test_any_name_can_be_drawn(form: str) -> None:
    """Warnings are errors here, as of characters that the font has not."""
    distances = [(1, 3, Accuracy(10, 9, 0, 1.0, 0)), (4, 9, Accuracy(10, 5, 0, 0.1, 0))]
    figure = plots.probes([HOSTILE], {HOSTILE: [distances]})
    image = plots.image(figure, form)
    [name] = names_in(figure)
    assert name == "a␛[2J␀<U+DCFF><U+202E><U+FFFE>␊--><!-- 猫 & שלום"
    if form == "svg":
        assert ElementTree.fromstring(image).tag.endswith("svg")


def test_probe_curves_show_their_intervals() -> None:
    distances = [(1, 3, Accuracy(10, 9, 0, 1.0, 0)), (4, 9, Accuracy(10, 5, 0, 0.1, 0))]
    figure = plots.probes(["a", "b"], {"agreement": [distances, distances], "": [distances] * 2})
    assert len(figure.axes) == 2
    assert len(figure.axes[0].collections) == 2
    assert names_in(figure) == ["a", "b"] * 2


@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_same_picture_is_the_same_bytes(log: Path, form: str) -> None:
    first, again = (plots.image(plots.learning([read_run(log)], "step"), form) for _ in range(2))
    assert first == again
    if form == "png":
        assert first.startswith(b"\x89PNG")
    else:
        assert ElementTree.fromstring(first).tag.endswith("svg")


def test_a_users_own_settings_change_nothing(log: Path) -> None:
    import matplotlib

    plain = plots.image(plots.rate([read_run(log)], "step"), "png")
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 40}):
        assert plots.image(plots.rate([read_run(log)], "step"), "png") == plain
        assert matplotlib.rcParams["font.size"] == 40


def test_names_are_text_and_stand_apart() -> None:
    records = [{"step": k, "seconds": k, "train_nats": 1.0, "learning_rate": 1.0} for k in (1, 2)]
    many = [Run(f"$x_{k}^{{2}}$ \\frac", records) for k in range(6)]
    figure = plots.rate(many, "step")
    plots.image(figure, "png")
    heights = sorted(text.xy[1] for text in figure.axes[0].texts)  # type: ignore[attr-defined]
    assert np.diff(heights).min() > 0.05
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == 6


def test_charts_of_the_report_stay_in_their_frame() -> None:
    line = charts.Line("a", [(k, 10.0**-k) for k in range(9)])
    flat = charts.Line("b", [(0, 1.0), (8, 1.0)])
    for log_y in (False, True):
        drawn = charts.draw(charts.Chart("t", "x", "y", [line, flat], log_y=log_y))
        assert all(charts.TOP - 1 <= tick.at <= charts.HEIGHT for tick in drawn.y_ticks)
        assert len(drawn.y_ticks) >= 3
    alone = charts.draw(charts.Chart("t", "x", "y", [charts.Line("one", [(5, 2.0)])]))
    assert alone.lines[0][1].endswith("h0")
    assert runs.SUFFIX == ".safetensors"


def test_names_beside_one_another_stand_apart_in_height() -> None:
    assert plots._beside([0.5, 1.0, 0.55, 0.1, 0.6]) == [[3], [0, 2, 4], [1]]
