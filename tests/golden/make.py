"""Makes the golden files of this version: `python tests/golden/make.py`, once for each release.

A file that is there already is never written again: it stands for what a released version wrote.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from conftest import corpus_of, random_checkpoint, train  # noqa: E402

import charlm  # noqa: E402
from charlm.checkpoint import Checkpoint, save  # noqa: E402
from charlm.inference import NumpyEngine  # noqa: E402


def checkpoints() -> dict[str, Checkpoint]:
    """One of each kind of tokenizer, cell, and sequence; those that are trained can be resumed."""
    cats = "The cat was full.\nThe cats were full.\n" * 9
    tiny = {"hidden_size": 4, "embedding_size": 3, "batch_size": 2, "bptt": 8, "steps": 4}
    small = {"hidden_size": 4, "embedding_size": 3}
    return {
        "lstm-characters": train(corpus_of(cats), **tiny).checkpoint(),
        "gru-characters-lines": train(
            corpus_of(cats, per_line=True), **tiny, cell="gru"
        ).checkpoint(),
        "rnn-bytes": random_checkpoint("rnn", tokenizer="bytes", **small),
        "lstm-words-tied": random_checkpoint(
            "lstm", 2, tokenizer="words", tie_weights=True, **small
        ),
        "gru-unigram": random_checkpoint("gru", tokenizer="unigram", per_line=True, **small),
        "lstm-bpe": random_checkpoint("lstm", tokenizer="bpe", **small),
        "rnn-relu": random_checkpoint("rnn-relu", 2, **small),
        "gru-simple-lines": random_checkpoint("gru-simple", per_line=True, **small),
        "gru-reset-before": random_checkpoint("gru-reset-before", 2, **small),
        "lstm-peephole": train(corpus_of(cats), **tiny, cell="lstm-peephole").checkpoint(),
    }


def tokens_of(checkpoint: Checkpoint) -> list[int]:
    """Some tokens of its vocabulary, <EOS> first."""
    size = checkpoint.model.vocabulary_size
    return [0, *(7 * number % size for number in range(1, 12))]


def logits_of(checkpoint: Checkpoint) -> list[float]:
    """Every logit after the last of the tokens."""
    import numpy as np

    engine = NumpyEngine(checkpoint.model, checkpoint.weights)
    tokens = np.array(tokens_of(checkpoint))[:, None]
    logits, _ = engine.logits(tokens, engine.initial_state(1))
    return [float(number) for number in logits[-1, 0]]


def main() -> None:
    """Writes what is not there yet."""
    for name, checkpoint in checkpoints().items():
        path = HERE / f"{charlm.__version__}-{name}.safetensors"
        if not path.exists():
            save(path, checkpoint)
            path.with_suffix(".json").write_text(json.dumps(logits_of(checkpoint)) + "\n")


if __name__ == "__main__":
    main()
