"""The Python API has the words of the command line, needs no torch for one stream, and its
examples run."""

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import random_checkpoint

import charlm
from charlm import api
from charlm.api import Model
from charlm.bulk import TorchEngine
from charlm.checkpoint import save
from charlm.config import CELLS
from charlm.errors import CheckpointError, OptionError, TextError, VocabularyError
from charlm.inference import NumpyEngine
from charlm.text import open_text, text_of
from charlm.tokenizers import KINDS, UNK

MODULES = [info.name for info in pkgutil.walk_packages(charlm.__path__, "charlm.")]


@pytest.mark.parametrize("name", ["charlm", *[m for m in MODULES if m != "charlm.__main__"]])
def test_examples_in_docstrings_run(name: str, cat_path: Path, cat_model: Model) -> None:
    module = importlib.import_module(name)
    found = doctest.testmod(module, extraglobs={"model": cat_model, "path": cat_path})
    assert found.failed == 0


def test_each_way_to_use_a_model_has_an_example() -> None:
    for method in (api.load, Model.sample, Model.score, Model.scores, Model.evaluate):
        assert ">>>" in (method.__doc__ or "")


def test_public_names_are_there() -> None:
    for name in charlm.__all__:
        assert getattr(charlm, name) is not None
    assert charlm.load is api.load
    with pytest.raises(AttributeError, match="nothing"):
        charlm.nothing  # noqa: B018


USES = {
    "sampling": "model.sample('The cat', length=30, temperature=0.7, seed=1)",
    "a batch": "list(model.stream('The', length=5, seeds=[[1, k] for k in range(9)]))",
    "scoring": "model.scores(['The cat was full.', 'The cats were full.'])",
    "tokens": "model.token_scores('The cat'), model.next_tokens('The')",
    "evaluating": "model.evaluate('The cat was full.' * 20)",
}


@pytest.mark.parametrize("use", USES)
def test_one_stream_never_imports_torch(use: str, cat_path: Path) -> None:
    code = (
        f"import sys, charlm; model = charlm.load(sys.argv[1]); {USES[use]}; "
        "print({'torch', 'rich', 'sentencepiece'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(cat_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# Loading


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tie_weights", [False, True])
def test_a_saved_model_gives_the_same_logits(kind: str, tie_weights: bool, tmp_path: Path) -> None:
    for cell in CELLS:
        made = random_checkpoint(cell, 2, tie_weights=tie_weights, tokenizer=kind)
        save(tmp_path / "a.safetensors", made)
        loaded = charlm.load(tmp_path / "a.safetensors")
        ids = np.random.default_rng(0).integers(0, made.tokenizer.size, (20, 2))
        engine = NumpyEngine(made.model, made.weights)
        expected, _ = engine.logits(ids, engine.initial_state(2))
        logits, _ = loaded.engine.logits(ids, loaded.engine.initial_state(2))
        assert logits.tobytes() == expected.tobytes()
        assert loaded.score("The cats.") == Model(made).score("The cats.")
        assert loaded.sample(length=9, seed=1) == Model(made).sample(length=9, seed=1)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(CheckpointError, match=r"a\.safetensors"):
        charlm.load(path)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(charlm.CharlmError):
        charlm.load(path)


# Using


def test_the_model_learned_its_sentences(cat_model: Model) -> None:
    likely, unlikely = cat_model.scores(["The cats were full.", "The cats was full."])
    assert likely.log_probability > unlikely.log_probability + 1
    assert cat_model.evaluate("The cat was full.\n" * 9).bits_per_character < 1


def test_names_are_sequences(name_model: Model) -> None:
    assert name_model.score("Anna").eos_counted
    assert not name_model.score("Anna", eos=False).eos_counted
    assert name_model.score("Anna").log_probability > name_model.score("xqzkv").log_probability
    assert "\n" not in name_model.sample(length=200, seed=1)


def test_prompts_that_the_model_never_saw_are_refused_by_name(cat_model: Model) -> None:
    with pytest.raises(VocabularyError, match=r"'Ω' \(U\+03A9\) at character 4"):
        cat_model.sample("The Ω", length=3)
    with pytest.raises(VocabularyError, match="and 2 more"):
        cat_model.encode("ΩΨΧΦΥ")
    assert cat_model.encode("Ω", on_unknown="unk").tolist() == [UNK]
    assert len(cat_model.sample("The Ω", length=3, seed=1, on_unknown="unk")) == 3


def test_seeds_that_cannot_be_used(cat_model: Model) -> None:
    with pytest.raises(OptionError, match="--seed"):
        cat_model.sample(seed=-1)
    assert cat_model.sample(length=5, seed=2**80) == cat_model.sample(length=5, seed=2**80)


def test_a_text_can_be_a_string_or_files(cat_model: Model, cat_text: str, cat_file: Path) -> None:
    assert cat_model.evaluate(open_text([cat_file])) == cat_model.evaluate(cat_text)
    with pytest.raises(TextError, match="empty"):
        cat_model.evaluate("")


def test_a_path_is_a_file_and_a_string_is_the_text(cat_model: Model, cat_file: Path) -> None:
    assert cat_model.evaluate(cat_file) == cat_model.evaluate(open_text([cat_file]))
    assert cat_model.evaluate(str(cat_file)).characters == len(str(cat_file))
    assert cat_model.scores(text for text in ["The", "cat"]) == cat_model.scores(["The", "cat"])


def test_several_files_are_sequences_of_their_own(cat_model: Model, cat_file: Path) -> None:
    one, two = (
        cat_model.evaluate(open_text([cat_file])),
        cat_model.evaluate(open_text([cat_file, cat_file])),
    )
    assert two.log_probability == pytest.approx(2 * one.log_probability)
    assert (two.tokens, two.characters) == (2 * one.tokens, 2 * one.characters)
    assert two.bits_per_character == pytest.approx(one.bits_per_character)


@pytest.mark.parametrize("per_line", [False, True])
def test_work_in_bulk_goes_to_torch_with_the_same_figures(
    per_line: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(random_checkpoint("lstm", 2, per_line=per_line))
    text = "The cats were full.\nThe cat was here.\n" * 30
    expected = model.evaluate(text)
    greedy = list(model.stream("The", length=20, temperature=0, seeds=[[1], [2]]))
    monkeypatch.setattr(api, "BULK", 0)
    for device in ("auto", "cpu"):
        assert isinstance(model.engine_for(1, device), TorchEngine)
        found = model.evaluate(text, device=device)
        assert found.nats_per_token == pytest.approx(expected.nats_per_token, abs=1e-5)
        bulk = list(model.stream("The", length=20, temperature=0, seeds=[[1], [2]], device=device))
        np.testing.assert_array_equal(np.stack(bulk), np.stack(greedy))


def test_evaluating_tells_how_far_it_is(cat_model: Model, cat_text: str) -> None:
    shares: list[float] = []
    cat_model.evaluate(cat_text, watch=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    text = text_of(cat_text)
    assert cat_model.evaluate(text) == cat_model.evaluate(text)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "words"])
@pytest.mark.parametrize("prompt", ["", "The cats", "The cats "])
def test_text_is_decoded_as_it_follows_its_prompt(kind: str, prompt: str) -> None:
    model = Model(random_checkpoint(tokenizer=kind, seed=3))
    text = model.sample(prompt, length=12, seed=4)
    tokens = [int(token[0]) for token in model.stream(prompt, length=12, seeds=[[4, 0]])]
    whole = model.tokenizer.decode([*model.encode(prompt), *[t for t in tokens if t]])
    assert prompt + text == whole


def test_what_cannot_be_meant_is_refused(cat_model: Model) -> None:
    for wrong in (
        lambda: cat_model.encode("é", on_unknown="ignore"),
        lambda: cat_model.scores("abc"),
        lambda: cat_model.evaluate("The cat", streams=0),
        lambda: cat_model.sample(length=-1),
    ):
        with pytest.raises(OptionError):
            wrong()
    assert "load" in dir(charlm)


def test_a_model_says_what_it_is(cat_model: Model) -> None:
    assert repr(cat_model).startswith("<charlm model: 1 × 32 LSTM, embedding 16, ")
