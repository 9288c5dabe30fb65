"""What a checkpoint is, in names and words: its model, its text and its training."""

from collections.abc import Mapping
from typing import Any

from charlm.checkpoint import Checkpoint
from charlm.figures import duration, sparkline


def summary(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    """Names and values, what is not known left out."""
    model, corpus, training = checkpoint.model, checkpoint.corpus, checkpoint.training
    rows = [
        (
            "model",
            f"{model.shape}, embedding {model.embedding_size}"
            f"{' (tied)' if model.tie_weights else ''}, {model.parameters:,} parameters",
        ),
        ("tokenizer", f"{checkpoint.tokenizer.kind}, {checkpoint.tokenizer.size:,} tokens"),
        ("sequences", "each line is one" if model.per_line else "each file is one"),
        (
            "corpus",
            f"{corpus.name}, {corpus.train_characters:,} characters to train on, "
            f"{corpus.valid_characters:,} to validate on",
        ),
        (
            "training",
            f"AdamW, peak rate {training.learning_rate:g}, batch {training.batch_size}, BPTT "
            f"{training.bptt}, dropout {training.dropout:g}, decay {training.weight_decay:g}, clip "
            f"{training.clip:g}, seed {training.seed}, {training.precision}",
        ),
    ]
    if trained := checkpoint.trained:
        epochs = "" if trained["epochs"] is None else f", {trained['epochs']:.2f} epochs"
        how_long = f"{trained['steps']:,} steps{epochs}, {duration(trained['seconds'])}"
        rows.append(("trained", how_long))
    if best := checkpoint.best:
        rows += _validations(checkpoint, best)
    versions = ", ".join(f"{name} {version}" for name, version in checkpoint.versions.items())
    return [*rows, ("versions", versions)]


def _validations(checkpoint: Checkpoint, best: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The best one, and their curve."""
    corpus = checkpoint.corpus
    bits = [record["valid_nats"] * corpus.bits_per_nat for record in checkpoint.history]
    return [
        (
            "best",
            f"{best['bits_per_character']:.4f} bits per character in validation "
            f"({best['nats_per_token']:.4f} nats per token) at step {best['step']:,}",
        ),
        (
            "validation",
            f"{sparkline(bits, 40)}  from {bits[0]:.2f} to {bits[-1]:.2f} bits",
        ),
    ]
