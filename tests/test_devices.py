"""A device is taken if it is there; one that is not is refused in one line."""

from pathlib import Path
from typing import Any

import pytest
import torch

from charlm.devices import device_of


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
