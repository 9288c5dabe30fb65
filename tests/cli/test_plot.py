"""`charlm plot`: a picture of each kind, and every refusal in one line."""

import json
import os
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from conftest import random_checkpoint

from charlm.checkpoint import save

pytest.importorskip("matplotlib", reason="pip install '.[plot]'")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "run.jsonl"
    record = {
        "step": 1,
        "seconds": 1.0,
        "train_nats": 2.0,
        "valid_nats": 2.1,
        "gradient_norm": 0.4,
        "clipped": 0.0,
        "learning_rate": 0.1,
    }
    lines = [json.dumps(record | {"step": k, "seconds": 2.0 * k}) + "\n" for k in (1, 2, 3)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["learning", "perplexity", "rate", "gradient"])
@pytest.mark.parametrize("name", ["picture.png", "picture.SVG"])
def test_pictures_of_logs(charlm: Any, log: Path, tmp_path: Path, kind: str, name: str) -> None:
    ran = charlm("plot", log, "-o", tmp_path / name, "--kind", kind, "--over", "seconds")
    assert ran.err == f"saved {tmp_path / name}\n"
    head = (tmp_path / name).read_bytes()[:5]
    assert head == (b"\x89PNG\r" if name.endswith("png") else b"<?xml")


@pytest.mark.parametrize(
    "options",
    [
        ("--kind", "learning"),
        ("--kind", "samples", "--seed", 3),
        ("--kind", "samples", "--corpus", "CORPUS"),
        ("--kind", "flow", "--text", "CORPUS", "--steps", 20),
        ("--kind", "probe"),
    ],
    ids=str,
)
def test_pictures_of_checkpoints(
    charlm: Any, cat_path: Path, cat_file: Path, tmp_path: Path, options: tuple[object, ...]
) -> None:
    save(tmp_path / "other.safetensors", random_checkpoint("gru"))
    given = [cat_file if option == "CORPUS" else option for option in options]
    files = [cat_path] if options[1] == "learning" else [cat_path, tmp_path / "other.safetensors"]
    charlm("plot", *files, "-o", tmp_path / "p.png", *given)
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_a_checkpoint_of_any_name_is_one(charlm: Any, cat_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "mine"
    copy.write_bytes(cat_path.read_bytes())
    charlm("plot", copy, "-o", tmp_path / "p.png")
    assert (tmp_path / "p.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-o", "p.pdf"), "p.pdf: a picture is .png or .svg; give -o such a name"),
        (("-o", "no/p.png"), "no is not a folder; make it or give another -o"),
        (("-o", "p.png", "--kind", "flow"), "--kind flow: give the --text to follow gradients in"),
        (("-o", "p.png", "--steps", "9"), "--steps belongs to --kind flow, not to learning"),
        (("-o", "p.png", "--kind", "probe", "--corpus", "x"), "--corpus belongs to --kind samples"),
        (("-o", "p.png", "--seed", "2"), "--seed belongs to --kind samples, not to learning"),
        (
            ("-o", "p.png", "--encoding", "utf-16"),
            "--encoding belongs to --kind samples or",
        ),
        (("-o", "p.png", "--kind", "gradient"), "keeps no gradient norm; give the file that"),
    ],
    ids=str,
)
def test_refusals_are_one_line(
    charlm: Any,
    cat_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = charlm("plot", cat_path, *options, code=2)
    assert message in ran.err
    assert ran.err.startswith("charlm: ")
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "p.png").exists()


def test_files_of_one_name_are_told_apart_by_their_folders(
    charlm: Any, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from charlm.extras import plots

    (tmp_path / "other").mkdir()
    files = [log, tmp_path / "other" / "run.jsonl"]
    files[1].write_bytes(log.read_bytes())
    drawn, draw = [], plots.rate

    def rate(runs: Any, over: str) -> Any:
        drawn.append([run.name for run in runs])
        return draw(runs, over)

    monkeypatch.setattr(plots, "rate", rate)
    for given in (files, files[:1]):
        charlm("plot", *given, "--kind", "rate", "-o", tmp_path / "p.png", "--force")
    assert drawn == [list(map(str, files)), ["run"]]


def test_an_existing_file_is_kept_unless_forced(charlm: Any, log: Path, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_text("mine")
    ran = charlm("plot", log, "-o", tmp_path / "p.png", code=2)
    assert "exists; give --force to overwrite it" in ran.err
    assert (tmp_path / "p.png").read_text() == "mine"
    charlm("plot", log, "-o", tmp_path / "p.png", "--force")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_a_checkpoint_without_a_history_has_no_curve(charlm: Any, tmp_path: Path) -> None:
    save(tmp_path / "new.safetensors", random_checkpoint())
    ran = charlm("plot", tmp_path / "new.safetensors", "-o", tmp_path / "p.png", code=2)
    assert "new: keeps no train nats; give the file that charlm train --log wrote" in ran.err


def test_flow_refuses_what_a_model_never_saw(charlm: Any, cat_path: Path, tmp_path: Path) -> None:
    asked = ("plot", cat_path, "-o", tmp_path / "p.png", "--kind", "flow", "--text", "Ж" * 60)
    assert "the model never saw 'Ж'" in charlm(*asked, code=1).err
    charlm(*asked, "--on-unknown", "unk")


def test_pairs_without_distances_are_refused(charlm: Any, cat_path: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("The cat was\tThe cat were\n")
    ran = charlm(
        *("plot", cat_path, "-o", tmp_path / "p.png", "--kind", "probe"),
        *("--pairs", tmp_path / "pairs.tsv"),
        code=2,
    )
    assert "none of the pairs has a distance" in ran.err


def test_without_matplotlib_one_line_says_how_to_get_it(
    charlm: Any, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ran = charlm("plot", log, "-o", tmp_path / "p.png", code=1)
    assert ran.err == (
        "charlm: this needs matplotlib, which is not installed; "
        "get it with: pip install '.[plot]', in charlm's folder\n"
    )


@pytest.mark.parametrize("option", ["FILE", "--text", "--pairs", "--corpus"])
def test_what_is_read_is_never_drawn_over(
    charlm: Any, log: Path, cat_path: Path, tmp_path: Path, option: str
) -> None:
    kinds = {"--text": "flow", "--pairs": "probe", "--corpus": "samples"}
    picture = tmp_path / "kept.png"
    picture.write_bytes(log.read_bytes())
    given = (cat_path, option, picture, "--kind", kinds.get(option))
    asked = (picture,) if option == "FILE" else given
    ran = charlm("plot", *asked, "-o", picture, "--force", code=2)
    assert ran.err == f"charlm: -o {picture} is the text {picture}; give another -o\n"
    assert picture.read_bytes() == log.read_bytes()


def test_a_checkpoint_is_never_drawn_over(charlm: Any, cat_path: Path, tmp_path: Path) -> None:
    path, link = tmp_path / "model.svg", tmp_path / "link.svg"
    path.write_bytes(cat_path.read_bytes())
    link.symlink_to(path)
    for output in (path, link):
        ran = charlm("plot", path, "-o", output, "--force", code=2)
        assert ran.err == f"charlm: -o {output} is the checkpoint {path}; give another -o\n"


def test_a_pipe_is_not_replaced(charlm: Any, log: Path, tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe.png")
    ran = charlm("plot", log, "-o", pipe, "--force", code=2)
    assert ran.err == f"charlm: {pipe} is a device or a pipe; give -o a file's name\n"
    assert pipe.is_fifo()


def test_names_of_any_script_draw_without_a_word(charlm: Any, log: Path, tmp_path: Path) -> None:
    path = tmp_path / "猫\x1b.jsonl"
    path.write_bytes(log.read_bytes())
    ran = charlm("plot", log, path, "-o", tmp_path / "p.svg")
    assert ran.err == f"saved {tmp_path / 'p.svg'}\n"
    assert ElementTree.parse(tmp_path / "p.svg")
