"""A device is taken if it is there; one that is not is refused in one line."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from charlm import devices, planning
from charlm.checkpoint import load, save
from charlm.devices import device_of, has_bfloat16


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Which GPUs torch finds; a test may say otherwise."""
    found = {"cuda": False, "mps": False}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: found["cuda"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: found["mps"])
    return found


def test_auto_is_a_gpu_where_there_is_one(there: dict[str, bool]) -> None:
    assert device_of("auto") == "cpu"
    there["cuda"] = True
    assert device_of("auto") == "cuda"


@pytest.mark.parametrize("name", ["cpu", "cuda", "mps"])
def test_what_is_there_is_taken(name: str, there: dict[str, bool]) -> None:
    there[name] = True
    assert device_of(name) == name


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("name", ["cuda", "mps"])
@pytest.mark.parametrize("command", ["eval", "sample", "train"])
def test_what_is_not_there_is_refused(
    command: str, name: str, charlm: Any, cat_path: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The cat was full.\n" * 30)
    words = {
        "eval": ["eval", cat_path, text],
        "sample": ["sample", cat_path, "--count", 2],
        "train": ["train", text, "--steps", 2, "-o", tmp_path / "new.safetensors"],
    }
    ran = charlm(*words[command], "--device", name, code=2)
    wanted = f"charlm: --device {name}: torch finds none here; give --device auto or cpu"
    assert ran.err.splitlines()[-1] == wanted
    assert ran.out == ""
    assert not (tmp_path / "new.safetensors").exists()


# Precision

SMALL = ("--steps", 2, "--hidden-size", 8, "--threads", 1)


@pytest.fixture
def without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_bfloat16", lambda _: False)
    monkeypatch.setattr(planning, "has_bfloat16", lambda _: False)


def test_bfloat16_is_trained_in_or_refused(charlm: Any, cat_file: Path, tmp_path: Path) -> None:
    options = ("-o", tmp_path / "new.safetensors", "--precision", "bfloat16", *SMALL)
    if has_bfloat16("cpu"):
        assert "saved" in charlm("train", cat_file, *options).err
    else:
        refused = charlm("train", cat_file, *options, code=2).err.splitlines()[-1]
        assert refused.startswith("charlm: --precision bfloat16: this processor cannot")


@pytest.mark.usefixtures("without_bfloat16")
def test_bfloat16_is_refused_where_there_is_none(charlm: Any, cat_file: Path) -> None:
    ran = charlm("train", cat_file, "-o", "m", "--precision", "bfloat16", *SMALL, code=2)
    assert ran.err == (
        "charlm: --precision bfloat16: this processor cannot train in it; give auto or float32\n"
    )


@pytest.mark.usefixtures("without_bfloat16")
def test_a_run_in_bfloat16_goes_on_in_float32_where_there_is_none(
    charlm: Any, cat_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.safetensors"
    charlm("train", cat_file, "-o", path, "--precision", "float32", *SMALL)
    made = load(path)
    save(path, replace(made, training=replace(made.training, precision="bfloat16")))
    ran = charlm("train", cat_file, "-o", path, "--resume", "--steps", 4, "--threads", 1)
    assert "the run began in bfloat16, in which this processor cannot train" in ran.err
    assert load(path).training.precision == "float32"
    assert load(path).progress["step"] == 4
