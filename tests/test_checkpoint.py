"""Checkpoints come back as they were; whatever is wrong with one is refused, in one line."""

import dataclasses
import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import corpus_of, random_checkpoint, train
from safetensors import safe_open
from torture import malformed
from torture.damage import refusals

from charlm import container
from charlm.checkpoint import Checkpoint, check_vocabulary, load, save
from charlm.config import CELLS, ModelConfig, TrainConfig
from charlm.container import LONGEST_HEADER
from charlm.errors import CheckpointError
from charlm.foreign import look_of
from charlm.tokenizers import KINDS

FOREIGN = dict(malformed.foreign())


def assert_equal(found: Checkpoint, wanted: Checkpoint) -> None:
    for field in dataclasses.fields(Checkpoint):
        mine, other = getattr(found, field.name), getattr(wanted, field.name)
        if field.name == "tokenizer":
            assert mine.header() == other.header()
        elif field.name in ("weights", "resume"):
            assert set(mine) == set(other)
            assert all(mine[name].dtype == np.float32 for name in mine)
            assert all((mine[name] == other[name]).all() for name in mine)
        else:
            assert mine == other


@pytest.fixture(scope="module")
def resumable() -> Checkpoint:
    text = "The cat was full.\n" * 20
    return train(corpus_of(text), steps=6, hidden_size=3, embedding_size=2).checkpoint()


@pytest.fixture(scope="module")
def content(resumable: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("content") / "small.safetensors"
    save(path, resumable)
    return path.read_bytes()


# Round trips


def test_how_long_it_was_trained_is_told_from_where_it_stands() -> None:
    record = {"step": 4, "epoch": 1.5, "seconds": 2.0, "valid_nats": 1.0}
    bare = random_checkpoint()
    assert bare.trained is None
    validated = dataclasses.replace(bare, history=(record,))
    assert validated.trained == {"steps": 4, "epochs": 1.5, "seconds": 2.0}
    later = dataclasses.replace(validated, progress={"step": 1234, "seconds": 9.0})
    assert later.trained == {"steps": 1234, "epochs": None, "seconds": 9.0}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_checkpoint_comes_back_as_it_was(kind: str, cell: str, tmp_path: Path) -> None:
    saved = random_checkpoint(cell, 2, tokenizer=kind, per_line=True)
    save(tmp_path / "a.safetensors", saved)
    assert_equal(load(tmp_path / "a.safetensors"), saved)


def test_what_resuming_needs_comes_back(resumable: Checkpoint, tmp_path: Path) -> None:
    save(tmp_path / "a.safetensors", resumable)
    assert_equal(load(tmp_path / "a.safetensors"), resumable)


def test_the_same_checkpoint_is_the_same_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    save(tmp_path / "b.safetensors", load(path))
    assert (tmp_path / "b.safetensors").read_bytes() == content


def test_the_safetensors_library_reads_it(tmp_path: Path) -> None:
    saved = random_checkpoint(tokenizer="bpe")
    save(tmp_path / "a.safetensors", saved)
    with safe_open(tmp_path / "a.safetensors", "np") as file:
        record = json.loads(file.metadata()["charlm"])
        assert ModelConfig.from_json(record["model"]) == saved.model
        for name, weight in saved.weights.items():
            assert (file.get_tensor(name) == weight).all()


def test_every_character_of_unicode_fits_the_header(tmp_path: Path) -> None:
    saved = random_checkpoint(hidden_size=1, embedding_size=1)
    characters = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x100000)]))
    tokenizer = type(saved.tokenizer)(characters)  # type: ignore[call-arg]
    model = dataclasses.replace(saved.model, vocabulary_size=tokenizer.size)
    weights = {name: np.zeros(shape, np.float32) for name, shape in model.weight_shapes().items()}
    save(
        tmp_path / "a.safetensors",
        dataclasses.replace(saved, model=model, tokenizer=tokenizer, weights=weights),
    )
    assert load(tmp_path / "a.safetensors").tokenizer.size == tokenizer.size
    assert (tmp_path / "a.safetensors").stat().st_size < LONGEST_HEADER + 12 * tokenizer.size + 99


def test_no_vocabulary_is_learned_that_a_checkpoint_has_no_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = random_checkpoint()
    check_vocabulary(saved.tokenizer)
    save(tmp_path / "a", saved)
    monkeypatch.setattr(container, "LONGEST_HEADER", 2**20 + 100)
    load(tmp_path / "a")
    with pytest.raises(CheckpointError, match="too large for a checkpoint: a header of"):
        check_vocabulary(saved.tokenizer)
    monkeypatch.setattr(container, "LONGEST_HEADER", 2**10)
    with pytest.raises(CheckpointError, match="not saved: a header of"):
        save(tmp_path / "a", saved)
    monkeypatch.undo()
    load(tmp_path / "a")
    monkeypatch.setattr(container, "MOST_VALUES", 99)
    with pytest.raises(CheckpointError, match="not saved"):
        save(tmp_path / "b", saved)


# Saving


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nothing_that_is_not_finite_is_saved(value: float, tmp_path: Path) -> None:
    saved = random_checkpoint()
    save(tmp_path / "a.safetensors", saved)
    before = (tmp_path / "a.safetensors").read_bytes()
    bad = {name: weight.copy() for name, weight in saved.weights.items()}
    bad["output.bias"][0] = value
    with pytest.raises(CheckpointError, match=r"output\.bias holds values that are not finite"):
        save(tmp_path / "a.safetensors", dataclasses.replace(saved, weights=bad))
    assert (tmp_path / "a.safetensors").read_bytes() == before
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    saved = random_checkpoint()
    for change in (
        {"weights": {}},
        {"corpus": dataclasses.replace(saved.corpus, tokens_per_character=0.0)},
        {"history": ({"step": 1},)},
        {"model": dataclasses.replace(saved.model, hidden_size=13)},
        {"tokenizer": random_checkpoint(tokenizer="bytes").tokenizer},
    ):
        with pytest.raises(CheckpointError, match="not saved"):
            save(tmp_path / "a.safetensors", dataclasses.replace(saved, **change))  # type: ignore[arg-type]
    assert not os.listdir(tmp_path)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link = tmp_path / "link.safetensors"
    link.symlink_to(tmp_path / "far" / "a.safetensors")
    save(link, random_checkpoint())
    assert link.is_symlink()
    assert load(link).model == load(tmp_path / "far" / "a.safetensors").model


def test_the_umask_decides_who_may_read(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        save(tmp_path / "a.safetensors", random_checkpoint())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == 0o640


def test_names_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 121 + ".safetensors")
    save(path, random_checkpoint())
    assert load(path).model.layers == 1


# What is refused


def refused(path: Path, made: bytes) -> str:
    path.write_bytes(made)
    with pytest.raises(CheckpointError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 200
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(("name", "made"), FOREIGN.items(), ids=list(FOREIGN))
def test_foreign_files_are_refused(name: str, made: bytes, tmp_path: Path) -> None:
    message = refused(tmp_path / "foreign", made)
    assert message.startswith("not a charlm checkpoint but ") or "damaged" in message
    unknown = {"one byte", "seven bytes", "zeros", "ones", "pickle 0", "pickle 1"}
    if name not in unknown and "pickle that" not in name:
        assert "unknown" not in message, name


@pytest.mark.parametrize("name", malformed.CRAFTED)
def test_crafted_files_are_refused(name: str, content: bytes, tmp_path: Path) -> None:
    parts = malformed.Parts.of(content)
    made = malformed.CRAFTED[name](parts)
    message = refused(tmp_path / "crafted", made if isinstance(made, bytes) else parts.joined())
    cut_or_changed = {"cut in the data", "bytes behind the data", "wrong digest of the data"}
    if name not in cut_or_changed | {"cut in the header", "no digest of the data"}:
        assert "digest" not in message, "the digest hides what the test is for"


def test_the_maker_of_crafted_files_makes_good_ones_too(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(malformed.Parts.of(content).joined())
    load(tmp_path / "a")


@pytest.mark.parametrize("name", malformed.SUBWORDS)
def test_damaged_sentencepiece_models_are_refused(name: str, tmp_path: Path) -> None:
    save(tmp_path / "a", random_checkpoint(tokenizer="bpe", hidden_size=2, embedding_size=2))
    made = dict(malformed.crafted_subwords((tmp_path / "a").read_bytes()))
    assert "sentencepiece" in refused(tmp_path / "b", made[f"SentencePiece: {name}"]).lower()


def test_at_least_80_malformed_files_are_tried() -> None:
    assert len(malformed.CRAFTED) + len(malformed.SUBWORDS) >= 80


def test_damage_is_refused(content: bytes, tmp_path: Path) -> None:
    tried, failures = refusals(content, tmp_path, 0.02, seed=1)
    assert tried > 1_000
    assert not failures


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (str, "no such file or directory"),
        (lambda path: path.mkdir(), "a folder, not a checkpoint"),
        (lambda path: os.mkfifo(path), "a device or a pipe, not a checkpoint"),
        (lambda path: path.symlink_to(path), "too many levels of symbolic links"),
        (lambda path: path.symlink_to("/dev/zero"), "a device or a pipe, not a checkpoint"),
    ],
)
def test_what_is_no_file_is_refused(make: Any, wanted: str, tmp_path: Path) -> None:
    make(tmp_path / "x")
    with pytest.raises(CheckpointError, match=wanted):
        load(tmp_path / "x")


def test_a_path_with_a_nul_is_refused() -> None:
    with pytest.raises(CheckpointError, match="NUL"):
        load("a\0b")


def test_a_huge_foreign_file_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "huge", "wb") as file:
        file.write((2**40).to_bytes(8, "little") + b'{"__metadata__":{}')
        file.truncate(2**40)  # a terabyte of nothing
    with pytest.raises(CheckpointError, match="not a charlm checkpoint"):
        load(tmp_path / "huge")


def test_data_that_the_header_does_not_know_is_not_read(content: bytes, tmp_path: Path) -> None:
    with open(tmp_path / "huge", "wb") as file:
        file.write(content)
        file.truncate(2**40)
    with pytest.raises(CheckpointError, match="1,099,511,627,776 bytes where"):
        load(tmp_path / "huge")


def test_looks_never_fail() -> None:
    draw = np.random.default_rng(1)
    for size in range(300):
        assert look_of(draw.integers(0, 256, size, np.uint8).tobytes())
    assert look_of(bytes(4096)) == "an unknown kind of file"
    assert look_of("ä".encode() * 2048)[:6] == "a text"
    assert look_of(b"x" + "ä".encode() * 2047 + b"\xc3") == look_of(b"text")


def test_a_budget_that_is_spent_is_kept(tmp_path: Path) -> None:
    saved = dataclasses.replace(random_checkpoint(), training=TrainConfig(epochs=2))
    save(tmp_path / "a", saved)
    assert load(tmp_path / "a").training == TrainConfig(epochs=2)
