"""Checkpoints of every released version still load, and say what they said."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from charlm.checkpoint import load, save
from charlm.config import CELLS

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.safetensors"))
sys.path.insert(0, str(GOLDEN))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_an_older_file_loads_and_says_what_it_said(path: Path) -> None:
    from make import logits_of

    wanted = json.loads(path.with_suffix(".json").read_text())
    assert np.allclose(logits_of(load(path)), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_an_older_file_can_be_saved_again(path: Path, tmp_path: Path) -> None:
    before = load(path)
    save(tmp_path / "again.safetensors", before)
    after = load(tmp_path / "again.safetensors")
    assert (after.model, after.corpus, after.history) == (
        before.model,
        before.corpus,
        before.history,
    )


def test_there_are_golden_files_of_every_kind() -> None:
    kinds = {load(path).tokenizer.kind for path in FILES}
    assert kinds == {"characters", "bytes", "words", "unigram", "bpe"}
    assert {load(path).model.cell for path in FILES} == set(CELLS)
