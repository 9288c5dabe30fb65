"""A text becomes tokens in order; the split takes the end, or every tenth line."""

import errno
from pathlib import Path

import numpy as np
import pytest
from conftest import corpus_of

from charlm import corpus as corpora
from charlm.corpus import Tokens, blocks_of, build_corpus, tokenize
from charlm.errors import OptionError, TextError
from charlm.text import text_of
from charlm.tokenizers import EOS, UNK, train_tokenizer

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
    with pytest.raises(TextError, match="too short to train on"):
        corpus_of(text, per_line=per_line)


def test_a_share_that_leaves_nothing_to_train_on_is_named() -> None:
    with pytest.raises(TextError, match=r"--valid-fraction 0.999 leaves none of its 90 characters"):
        corpus_of("ab\n" * 30, valid_fraction=0.999)


def test_a_validation_text_of_empty_lines_is_refused() -> None:
    with pytest.raises(TextError, match="all its lines are empty"):
        corpus_of("Ada\nBob", valid=text_of("\n\n"), per_line=True)
    assert corpus_of("Ada\nBob", valid=text_of("\n\n")).valid.events == 2


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


@pytest.mark.parametrize("per_line", [False, True])
def test_frequencies_are_those_of_the_tokens_to_predict(per_line: bool) -> None:
    tokenizer = train_tokenizer("characters", ["ab\n"])
    tokens = tokenize([["abba\n", "aa\n"]], tokenizer, per_line=per_line)
    counts = np.bincount(tokens.ids[1:], minlength=tokenizer.size)
    assert counts.sum() == tokens.events == 8
    assert tokens.frequencies(tokenizer.size) == pytest.approx((counts + 1) / (8 + tokenizer.size))


def test_frequencies_of_a_long_text_are_of_a_sample_of_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = np.repeat([EOS, 2, 3, 4], [1, 5000, 3000, 2000]).astype(np.uint8)
    tokens = Tokens(ids, 10_000, 10_000, per_line=False)
    monkeypatch.setattr(corpora, "COUNTED", 100)
    for block in (1000, 10_000, 20_000):
        monkeypatch.setattr(corpora, "BLOCK", block)
        frequencies = tokens.frequencies(5)
        assert frequencies[2:] == pytest.approx([0.5, 0.3, 0.2], abs=0.02)
        assert (frequencies > 0).all()


def test_frequencies_count_a_short_last_block_no_more_than_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = np.repeat([EOS, 2, 3], [1, 4000, 500]).astype(np.uint8)
    monkeypatch.setattr(corpora, "COUNTED", 100)
    monkeypatch.setattr(corpora, "BLOCK", 4000)
    frequencies = Tokens(ids, 4500, 4500, per_line=False).frequencies(4)
    assert frequencies[2:] == pytest.approx([4000 / 4500, 500 / 4500], abs=0.01)


def test_a_document_without_tokens_is_none() -> None:
    tokenizer = train_tokenizer("words", ["the cat sat"])
    parts = [["the cat"], ["   "], ["sat"], [""]]
    expected = tokenize([parts[0], parts[2]], tokenizer, per_line=False).ids
    for order in ([0, 1, 2, 3], [1, 0, 2], [3, 0, 1, 1, 2]):
        found = tokenize([parts[k] for k in order], tokenizer, per_line=False)
        assert found.ids.tolist() == expected.tolist()
    assert not tokenize([parts[1]], tokenizer, per_line=False).events


def test_lines_need_a_token_that_ends_them() -> None:
    tokenizer = train_tokenizer("characters", ["ab"])
    with pytest.raises(OptionError, match="line's end"):
        tokenize([["a\n"]], tokenizer, per_line=True)


@pytest.mark.parametrize("characters", [10, 100, 1_000])
def test_a_share_is_what_it_says(characters: int) -> None:
    for tenths in range(1, 10):
        corpus = build_corpus(text_of("ab" * (characters // 2)), valid_fraction=tenths / 10)
        assert corpus.valid.characters == characters * tenths // 10


def test_a_text_without_a_word_is_refused() -> None:
    for text in (" \t ", "a" * 101):
        with pytest.raises(TextError, match="only white space, or words of more than 100 char"):
            build_corpus(text_of(text * 20), tokenizer="words", valid_fraction=0.5)


def test_a_text_in_many_documents_is_split_over_all_of_them() -> None:
    documents = (*text_of("abcde").documents, *text_of("fghij").documents)
    text = text_of("x").__class__(documents, [])
    corpus = build_corpus(text, valid_fraction=0.3)
    assert corpus.tokenizer.decode(corpus.train.ids) == "<EOS>abcde<EOS>fg"
    assert corpus.tokenizer.decode(corpus.valid.ids) == "<EOS><UNK><UNK><UNK>"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells of memory")
def test_a_pass_over_a_token_file_or_a_part_of_it_lets_its_memory_go() -> None:
    def resident() -> int:
        status = Path("/proc/self/status").read_text()
        return int(status.split("RssFile:")[1].split()[0]) * 1024

    size = 2**24
    tokenizer = train_tokenizer("characters", ["ab"])
    ids = tokenize([["ab" * (size // 2)]], tokenizer, per_line=False).ids
    for part in (ids, ids[:-1], ids[1:][2:]):
        assert int(part.max()) == 3
        before = resident()
        assert sum(len(block) for _, block in blocks_of(part)) == len(part)
        assert resident() < before - size // 2


def test_no_room_for_the_tokens_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(TextError, match="temporary file: No space left on device; make room"):
        corpus_of("abc" * 9)
