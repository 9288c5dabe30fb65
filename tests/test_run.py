"""A run begins anew, from another's weights, or where one stopped; else it says why not."""

from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, corpus_of, fixed_machine, train

from charlm import run
from charlm.config import CELLS
from charlm.corpus import Corpus, build_corpus
from charlm.errors import OptionError, TextError
from charlm.inference import NumpyEngine
from charlm.run import Run
from charlm.scoring import score
from charlm.text import text_of
from charlm.tokenizers import train_tokenizer

TEXT = "The cat sat. " * 30
SMALL = {**TINY, "hidden_size": 8, "embedding_size": 8, "steps": 4}


def begin(corpus: Corpus, **options: Any) -> Run:
    chosen = options.pop("chosen", SMALL)
    return run.begin(corpus, fixed_machine(), chosen, **options)


def grown_corpus(earlier: Run, text: str) -> Corpus:
    """The other text, with the earlier tokenizer grown by its characters."""
    new = train_tokenizer("characters", [text])
    return build_corpus(text_of(text), tokenizer=earlier.corpus.tokenizer.grown(new))


@pytest.mark.parametrize("cell", CELLS)
def test_a_run_begins_with_the_frequencies_of_its_tokens(cell: str) -> None:
    corpus = corpus_of(TEXT)
    begun = begin(corpus, chosen={**SMALL, "cell": cell})
    shares = corpus.train.frequencies(corpus.tokenizer.size)
    untrained = NumpyEngine(begun.model, begun.training.result())
    tokens, state = corpus.train.ids[:1, None], untrained.initial_state(1)
    nats, _ = untrained.nats(tokens, corpus.train.ids[1:2, None], state)
    assert nats.item() == pytest.approx(-np.log(shares[corpus.train.ids[1]]), abs=0.5)


# From another's weights


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("tie_weights", [False, True])
def test_known_characters_keep_their_rows(cell: str, tie_weights: bool) -> None:
    earlier = train(corpus_of(TEXT), **{**SMALL, "cell": cell, "tie_weights": tie_weights})
    source = earlier.checkpoint()
    corpus = grown_corpus(earlier, "Äh! The dog zat. " * 9)
    later = begin(corpus, init_from=source, chosen={"steps": 3})
    old, new = earlier.corpus.tokenizer, corpus.tokenizer
    assert new.size > old.size
    weights = {n: w.detach().numpy() for n, w in later.training.model.named_weights().items()}
    assert weights.keys() == source.weights.keys()
    for name, kept in source.weights.items():
        if weights[name].shape == kept.shape:
            assert (weights[name] == kept).all()
            continue
        for character in "The cats.":
            (a,), (b,) = old.encode(character), new.encode(character)
            assert (weights[name][b] == kept[a]).all()
        assert np.isfinite(weights[name]).all()
    assert weights["embedding.weight"][old.size :].any()


def test_a_run_from_weights_predicts_as_they_did() -> None:
    earlier = train(corpus_of(TEXT), **{**SMALL, "steps": 100})
    source = earlier.checkpoint()
    later = begin(corpus_of(TEXT), init_from=source, chosen={"steps": 1, "learning_rate": 1e-12})
    for _ in later.training.run():
        pass
    scores = [
        score(NumpyEngine(made.model, made.weights), made.tokenizer, ["The cat"], eos=False)[0]
        for made in (source, later.checkpoint())
    ]
    assert scores[0].log_probability == pytest.approx(scores[1].log_probability, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "value"), [("cell", "gru"), ("layers", 3), ("hidden_size", 9), ("embedding_size", 9)]
)
def test_another_architecture_is_refused_by_name(name: str, value: object) -> None:
    source = begin(corpus_of(TEXT)).checkpoint()
    with pytest.raises(OptionError, match="--" + name.replace("_", "-")):
        begin(corpus_of(TEXT), init_from=source, chosen={"steps": 3, name: value})
    same = getattr(source.model, name)
    assert begin(corpus_of(TEXT), init_from=source, chosen={"steps": 3, name: same}).model == (
        source.model
    )


@pytest.mark.parametrize(
    "name", ["batch_size", "bptt", "learning_rate", "hidden_size", "layers", "epochs"]
)
def test_what_cannot_be_chosen_is_refused_by_name(name: str) -> None:
    flag = "--" + name.replace("_", "-")
    with pytest.raises(OptionError, match=f"{flag}: 0 cannot be used; it must be"):
        begin(corpus_of(TEXT), chosen={name: 0})


# Where one stopped


def test_another_text_is_refused() -> None:
    stopped = train(corpus_of(TEXT), **SMALL).checkpoint()
    for other, said in (
        (TEXT + "!", "what it was validated on is not"),
        (TEXT[1:], r"text \(350 characters to train on\) is not .* \(text, 351\); to"),
        (TEXT.replace("cat", "cta"), r"text \(351 characters .* \(text, 351 others\); to"),
    ):
        corpus = build_corpus(text_of(other), tokenizer=stopped.tokenizer)
        with pytest.raises(TextError, match=f"{said}.*--init-from"):
            run.resume(stopped, corpus, fixed_machine(), {"steps": 9})


@pytest.mark.parametrize("per_line", [False, True])
def test_the_same_text_split_otherwise_is_not_called_another(per_line: bool) -> None:
    text, one, two = TEXT.replace(". ", ".\n"), text_of("The cat\n" * 3), text_of("A cat.\n" * 3)
    for began, now in ((one, None), (one, two), (None, one)):
        stopped = train(corpus_of(text, valid=began, per_line=per_line), **SMALL).checkpoint()
        corpus = build_corpus(text_of(text), now, tokenizer=stopped.tokenizer, per_line=per_line)
        with pytest.raises(TextError, match="give the --valid") as refused:
            run.resume(stopped, corpus, fixed_machine(), {"steps": 9})
        assert "is not the text" not in str(refused.value)


def test_a_complete_run_asks_for_a_larger_budget() -> None:
    complete = train(corpus_of(TEXT), **SMALL)
    with pytest.raises(OptionError, match="complete"):
        run.resume(complete.checkpoint(), complete.corpus, fixed_machine(), {})
    longer = run.resume(complete.checkpoint(), complete.corpus, fixed_machine(), {"steps": 6})
    assert [progress.step for progress in longer.training.run()][-1] == 6
    other = run.resume(complete.checkpoint(), complete.corpus, fixed_machine(), {"epochs": 20.0})
    assert (other.config.steps, other.config.epochs) == (None, 20.0)
    with pytest.raises(OptionError, match="complete"):
        run.resume(complete.checkpoint(), complete.corpus, fixed_machine(), {"steps": 2})


def test_a_checkpoint_without_its_state_cannot_be_gone_on_with() -> None:
    complete = train(corpus_of(TEXT), **SMALL)
    checkpoint = complete.checkpoint()
    bare = type(checkpoint)(**{**vars(checkpoint), "resume": {}, "progress": {}})
    with pytest.raises(OptionError, match="--resume"):
        run.resume(bare, complete.corpus, fixed_machine(), {"steps": 9})


# What a checkpoint tells


def test_a_checkpoint_tells_of_the_text_and_the_versions() -> None:
    made = begin(corpus_of(TEXT))
    about = made.checkpoint()
    assert about.corpus.train_characters == int(len(TEXT) * 0.9)
    assert about.corpus.valid_characters == len(TEXT) - int(len(TEXT) * 0.9)
    assert about.corpus.train_tokens == about.corpus.train_characters
    assert made.about.bits_per_nat == pytest.approx(1 / np.log(2))
    assert about.versions["torch"] == torch.__version__
    assert begin(corpus_of(TEXT)).about == made.about


def test_the_same_seed_begins_the_same_model() -> None:
    one, other, third = (
        begin(corpus_of(TEXT), chosen={**SMALL, "seed": seed}).checkpoint().weights
        for seed in (1, 1, 2)
    )
    assert all((one[name] == other[name]).all() for name in one)
    assert not all((one[name] == third[name]).all() for name in one)
