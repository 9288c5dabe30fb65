"""Windows cover the text in order and once; the split takes the end, or every tenth line."""

import itertools

import numpy as np
import pytest
from conftest import corpus_of
from hypothesis import given
from hypothesis import strategies as st

from charlm.corpus import IGNORED, Lines, Streams, Tokens, Window, build_corpus, tokenize
from charlm.errors import OptionError, TextError
from charlm.text import text_of
from charlm.tokenizers import EOS, UNK, train_tokenizer

SIZES = st.integers(1, 12)
SEEDS = st.integers(0, 5)


def numbered(events: int) -> Tokens:
    """A text in which every token is its own place, so that a window tells what it covers."""
    return Tokens(np.arange(events + 1), events, events, per_line=False)


def numbered_lines(lengths: list[int]) -> tuple[Tokens, list[list[int]]]:
    """Lines of tokens that are all different, and the same as one file of tokens."""
    ends = np.cumsum([2, *lengths]).tolist()
    lines = [[*range(a, b), EOS] for a, b in itertools.pairwise(ends)]
    ids = np.array([EOS, *itertools.chain(*lines)])
    return Tokens(ids, len(ids) - 1, len(ids) - 1, per_line=True), lines


def epoch_of(windows: Streams | Lines, epoch: int) -> list[Window]:
    return [windows.window(epoch, index) for index in range(windows.windows(epoch))]


# Streams


@given(events=st.integers(1, 300), batch=SIZES, bptt=SIZES, seed=SEEDS, epoch=SEEDS)
def test_streams_predict_every_event_at_most_once(
    events: int, batch: int, bptt: int, seed: int, epoch: int
) -> None:
    streams = Streams(numbered(events), batch, bptt, seed, 0.3)
    windows = epoch_of(streams, epoch)
    targets = np.concatenate([window.targets.ravel() for window in windows])
    assert windows
    assert len(set(targets.tolist())) == len(targets)
    assert set(targets.tolist()) <= set(range(1, events + 1))
    assert len(targets) > events - streams.batch * streams.bptt - streams.batch
    for window in windows:
        assert window.inputs.shape == window.targets.shape == (streams.bptt, streams.batch)
        assert streams.bptt <= bptt
        assert streams.batch <= batch


@given(events=st.integers(1, 300), batch=SIZES, bptt=SIZES, seed=SEEDS, epoch=SEEDS)
def test_streams_go_on_from_window_to_window(
    events: int, batch: int, bptt: int, seed: int, epoch: int
) -> None:
    windows = epoch_of(Streams(numbered(events), batch, bptt, seed, 0.3), epoch)
    assert windows[0].starts.all()
    for before, window in zip([None, *windows], windows, strict=False):
        shifted = window.inputs + 1 == window.targets
        shifted[0, window.starts] = True
        assert shifted.all()
        assert (window.inputs[0, window.starts] == EOS).all()
        if before is not None:
            going = ~window.starts
            assert (window.inputs[0, going] == before.targets[-1, going] % events).all()


def test_a_window_depends_on_its_place_alone() -> None:
    one, other = (Streams(numbered(500), 4, 8, 3, 0.2) for _ in range(2))
    one.window(0, 0)
    for index in reversed(range(one.windows(2))):
        assert (one.window(2, index).inputs == other.window(2, index).inputs).all()
        assert (one.window(2, index).starts == other.window(2, index).starts).all()
    assert (one.window(0, 1).inputs != one.window(1, 1).inputs).any()


@pytest.mark.parametrize("probability", [0.0, 0.1, 1.0])
def test_streams_are_reset_as_often_as_asked(probability: float) -> None:
    windows = epoch_of(Streams(numbered(40_000), 10, 4, 1, probability), 0)[1:]
    share = np.mean([window.starts for window in windows])
    assert share == pytest.approx(probability, abs=0.01)


# Lines


@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=40),
    batch=SIZES,
    bptt=SIZES,
    seed=SEEDS,
    epoch=SEEDS,
)
def test_lines_are_each_seen_once_and_whole(
    lengths: list[int], batch: int, bptt: int, seed: int, epoch: int
) -> None:
    tokens, lines = numbered_lines(lengths)
    seen: list[list[int]] = []
    going: list[list[int]] = []
    for window in epoch_of(Lines(tokens, batch, bptt, seed), epoch):
        assert window.inputs.shape[0] <= bptt
        if window.starts.all():
            assert (window.inputs[0] == EOS).all()
            seen += going
            going = [[] for _ in range(window.inputs.shape[1])]
        else:
            assert not window.starts.any()
        for column, line in enumerate(going):
            inside = window.targets[:, column] != IGNORED
            inputs, targets = window.inputs[inside, column], window.targets[inside, column]
            assert inputs.tolist() == [*(line[-1:] or [EOS]), *targets.tolist()][: len(inputs)]
            assert not inside[inside.sum() :].any()
            assert (window.inputs[~inside, column] == EOS).all()
            line += targets.tolist()
    assert sorted(seen + going) == sorted(lines)


def test_lines_come_in_another_order_in_every_epoch() -> None:
    lines = Lines(numbered_lines(list(range(50)))[0], 4, 8, seed=1)
    first = [window.targets.tolist() for window in epoch_of(lines, 0)]
    assert first != [window.targets.tolist() for window in epoch_of(lines, 1)]
    assert first == [window.targets.tolist() for window in epoch_of(lines, 0)]


def test_a_batch_holds_lines_of_about_the_same_length() -> None:
    lines = Lines(numbered_lines([k % 40 for k in range(2_000)])[0], 16, 64, seed=1)
    padding = np.mean([np.mean(w.targets == IGNORED) for w in epoch_of(lines, 0)])
    assert padding < 0.05


# The split


@pytest.mark.parametrize("size", [2, 3, 9, 10, 11, 1_000])
def test_the_last_tenth_of_the_characters_is_for_validation(size: int) -> None:
    text = "".join(chr(ord("a") + k % 26) for k in range(size))
    corpus = corpus_of(text)
    boundary = int(size * 0.9)
    assert corpus.tokenizer.decode(corpus.train.ids[1:]) == text[:boundary]
    decoded = [text[k] for k in range(boundary, size)]
    known = set(text[:boundary])
    wanted = [c if c in known else "<UNK>" for c in decoded]
    assert [corpus.tokenizer.piece(token) for token in corpus.valid.ids[1:]] == wanted


def test_per_line_every_tenth_line_is_for_validation() -> None:
    lines = ["ab" * (k + 1) for k in range(35)]
    text = "\n\n".join(lines)  # empty lines are none
    corpus = corpus_of(text, per_line=True)
    shown = corpus.tokenizer.decode(corpus.train.ids).split("<EOS>")
    assert shown == ["", *[line for k, line in enumerate(lines) if k % 10 != 9], ""]
    shown = corpus.tokenizer.decode(corpus.valid.ids).split("<EOS>")
    assert shown == ["", *lines[9::10], ""]


def test_a_validation_text_of_its_own_leaves_the_other_whole() -> None:
    corpus = build_corpus(text_of("abc"), text_of("cab"))
    assert corpus.tokenizer.decode(corpus.train.ids) == "<EOS>abc"
    assert corpus.tokenizer.decode(corpus.valid.ids) == "<EOS>cab"


def test_the_vocabulary_is_learned_without_the_validation_text() -> None:
    corpus = corpus_of("ab" * 45 + "Z" * 10)
    assert corpus.tokenizer.size == 4
    assert corpus.valid.unseen == corpus.valid.events == 10
    assert corpus.train.unseen == 0


def test_rare_characters_become_unknown_where_asked() -> None:
    corpus = corpus_of("aaaaabbbbbbc" * 2 + "a" * 3, min_count=3)
    assert corpus.train.unseen == 2
    assert corpus.tokenizer.size == 4


@pytest.mark.parametrize(("text", "per_line"), [("a", False), ("\n\n", True)])
def test_what_is_too_short_to_train_on_is_refused(text: str, per_line: bool) -> None:
    with pytest.raises(TextError):
        corpus_of(text, per_line=per_line)


@pytest.mark.parametrize("per_line", [False, True])
def test_a_corpus_of_two_characters_has_an_event_to_learn(per_line: bool) -> None:
    corpus = corpus_of("ab", per_line=per_line)
    assert corpus.train.events >= 1
    assert corpus.valid.events >= 0


# Tokens


def test_tokens_count_characters_bytes_and_events() -> None:
    tokenizer = train_tokenizer("characters", ["aé€\n"])
    whole = tokenize([["aé"], ["€\n"]], tokenizer, per_line=False)
    assert whole.ids.tolist() == [EOS, *tokenizer.encode("aé"), EOS, *tokenizer.encode("€\n")]
    assert (whole.characters, whole.bytes, whole.events) == (4, 7, 5)
    lines = tokenize([["aé\n", "€\n"]], tokenizer, per_line=True)
    assert lines.ids.tolist() == [EOS, *tokenizer.encode("aé"), EOS, *tokenizer.encode("€"), EOS]
    assert (lines.characters, lines.bytes, lines.events) == (5, 8, 5)
    assert whole.ids.dtype == lines.ids.dtype == np.uint8


def test_no_text_is_no_event() -> None:
    tokenizer = train_tokenizer("characters", ["a\n"])
    assert tokenize([], tokenizer, per_line=False).events == 0
    assert tokenize([[]], tokenizer, per_line=True).events == 0


def test_unseen_characters_are_counted() -> None:
    tokens = tokenize([["abxya"]], train_tokenizer("characters", ["ab"]), per_line=False)
    assert tokens.unseen == 2
    assert np.flatnonzero(tokens.ids == UNK).tolist() == [3, 4]


def test_lines_need_a_token_that_ends_them() -> None:
    tokenizer = train_tokenizer("characters", ["ab"])
    with pytest.raises(OptionError, match="line's end"):
        tokenize([["a\n"]], tokenizer, per_line=True)


def test_a_text_in_many_documents_is_split_over_all_of_them() -> None:
    documents = (*text_of("abcde").documents, *text_of("fghij").documents)
    text = text_of("x").__class__(documents, [])
    corpus = build_corpus(text, valid_fraction=0.3)
    assert corpus.tokenizer.decode(corpus.train.ids) == "<EOS>abcde<EOS>fg"
    assert corpus.tokenizer.decode(corpus.valid.ids) == "<EOS><UNK><UNK><UNK>"
