"""`charlm info`: what a checkpoint holds."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def test_everything_is_shown(charlm: Any, cat_path: Path) -> None:
    out = charlm("info", cat_path).out
    names = [line.split("  ")[0] for line in out.splitlines()]
    wanted = ["model", "tokenizer", "sequences", "corpus", "training", "trained", "best"]
    assert [name for name in names if name] == [*wanted, "validation", "versions"]
    assert "1 × 32 LSTM" in out
    assert "500 steps" in out
    assert "bits per character in validation" in out


def test_the_curve_falls(charlm: Any, cat_path: Path) -> None:
    (line,) = [
        line for line in charlm("info", cat_path).out.splitlines() if line.startswith("validation ")
    ]
    curve = line.split()[1]
    assert curve[0] == "█"
    assert "▁" in curve
    assert len(curve) <= 41
    *_, first, _, final, _ = line.split()
    assert float(first) > float(final) > 0


def test_json_holds_the_whole_history(charlm: Any, name_path: Path) -> None:
    record = json.loads(charlm("info", name_path, "--json").out)
    parts = {"model", "tokenizer", "corpus", "training", "trained", "best", "history", "versions"}
    assert record.keys() == parts
    assert record["trained"]["steps"] == 300
    best = min(one["valid_nats"] for one in record["history"])
    assert record["best"]["nats_per_token"] == best
    shown = charlm("info", name_path).out
    assert f"{record['best']['bits_per_character']:.4f} bits per character in validation" in shown
    assert record["model"]["cell"] == "gru"
    assert record["model"]["per_line"] is True
    assert record["model"]["parameters"] > 1000
    assert record["tokenizer"]["kind"] == "characters"
    assert record["training"]["steps"] == 300
    assert record["history"][-1]["step"] == 300
    assert record["history"][-1]["valid_nats"] > 0


def test_an_untrained_checkpoint_has_no_history(charlm: Any, tmp_path: Path) -> None:
    from conftest import random_checkpoint

    from charlm.checkpoint import save

    save(tmp_path / "a.safetensors", random_checkpoint("rnn", 2, tie_weights=True))
    out = charlm("info", tmp_path / "a.safetensors").out
    assert "2 × 12 RNN, embedding 12 (tied)" in out
    assert "validation" not in out


def test_a_training_without_validation_is_told(charlm: Any, cat_text: str, tmp_path: Path) -> None:
    from conftest import corpus_of, train

    from charlm.checkpoint import save

    made = train(corpus_of(cat_text, valid_fraction=0.0), steps=3).checkpoint()
    assert not made.history
    save(tmp_path / "a.safetensors", made)
    lines = charlm("info", tmp_path / "a.safetensors").out.splitlines()
    assert [line.split()[:3] for line in lines if line.startswith("trained")] == [
        ["trained", "3", "steps,"]
    ]


def test_torch_is_not_imported(cat_path: Path) -> None:
    script = (
        "import sys\nfrom charlm.cli import charlm\n"
        f"try:\n    charlm(['info', {str(cat_path)!r}])\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n    assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)
