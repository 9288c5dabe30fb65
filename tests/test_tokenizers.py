"""One contract over every tokenizer and every text, then what is particular to each kind."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import CheckpointError, OptionError, TextError
from charlm.tokenizers import EOS, KINDS, UNK, Tokenizer, load_tokenizer, train_tokenizer
from charlm.tokenizers.subwords import TENSOR, _sample

ENGLISH = """The cat, which already ate 3.14 fish (or 1,000?), was full.
"Don't," said Ann's well-known cat, "we're in the u.s. now."

    He paid $5 for 50% of the apple and pear salad.
"""
CORPUS = ENGLISH * 3 + "über naïve façade: Ωμέγα, Привет, हिन्दी, 猫は魚を食べた。 🐈\n"
TEXTS = {
    "empty": "",
    "english": ENGLISH,
    "special": "<EOS><UNK> <unk> <0xE2> <s></s>",
    "space marks": "▁a▁▁b \U000f2581\U000f000a \u2585\ufffd\ufeff\u2047",
    "spaces": "  two  three   \t tab \n\n\r\n end  ",
    "controls": "a\0b\0\0\x01\x1b[31m\x7f\x85\u2028\r",
    "long line": "verylong" * 3000 + " " + " " * 3000 + "x",
    "scripts": "हिन्दी עברית 猫は魚 👩‍👩‍👧 é \U0010ffff\U000f0000",
    "surrogates": "a\ud800b\udfff\ud83d",
}
SCALARS = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
LOSSLESS = [kind for kind in KINDS if kind != "words"]
SUBWORDS = ["unigram", "bpe"]
quick = settings(max_examples=40, derandomize=True, deadline=None)

TOKENIZERS = {kind: train_tokenizer(kind, [CORPUS]) for kind in KINDS}


@pytest.fixture(params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return TOKENIZERS[request.param]


def with_unknowns(tokenizer: Tokenizer, text: str) -> str:
    """What a lossless tokenizer makes of a text: the same, but for what it never saw."""
    characters = list(text)
    for offset, character in tokenizer.unseen(text):
        assert text[offset] == character
        characters[offset] = "<UNK>"
    return "".join(characters)


def stored(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer after a checkpoint."""
    return load_tokenizer(json.loads(json.dumps(tokenizer.header())), tokenizer.tensors())


# --- the contract


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_encode_gives_numbers_of_the_smallest_type(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert ids.dtype == (np.uint8 if tokenizer.size <= 256 else np.uint16)
    assert ids.max(initial=0) < tokenizer.size
    assert EOS not in ids
    assert np.count_nonzero(ids == UNK) == len(tokenizer.unseen(text))
    assert np.count_nonzero(ids == tokenizer.newline) == text.count("\n")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("kind", LOSSLESS)
def test_text_comes_back_exactly(kind: str, text: str) -> None:
    tokenizer = TOKENIZERS[kind]
    assert tokenizer.decode(tokenizer.encode(text)) == with_unknowns(tokenizer, text)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_any_text_comes_back_exactly(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]

    @quick
    @given(st.text(st.characters() | st.sampled_from(" \n\t\0▁\U000f2581aé<"), max_size=60))
    def check(text: str) -> None:
        assert tokenizer.decode(tokenizer.encode(text)) == with_unknowns(tokenizer, text)

    check()


@pytest.mark.parametrize("kind", ["bytes", *SUBWORDS])
def test_every_unicode_scalar_comes_back(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]
    assert tokenizer.decode(tokenizer.encode(SCALARS)) == SCALARS
    for character in random.Random(0).sample(SCALARS, 2000):
        for text in (character, f"a{character}b", f" {character} {character}"):
            assert tokenizer.decode(tokenizer.encode(text)) == text


def test_characters_of_all_unicode_come_back() -> None:
    tokenizer = train_tokenizer("characters", [SCALARS])
    assert tokenizer.size == len(SCALARS) + 2 == 1_112_066
    assert tokenizer.decode(tokenizer.encode(SCALARS)) == SCALARS


def test_a_streamed_decode_equals_the_whole(tokenizer: Tokenizer) -> None:
    @quick
    @given(st.lists(st.integers(0, tokenizer.size - 1), max_size=60))
    def check(tokens: list[int]) -> None:
        decoder = tokenizer.decoder()
        texts = [decoder.feed(token) for token in tokens]
        assert "".join(texts) + decoder.finish() == tokenizer.decode(tokens)

    check()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_streamed_decode_of_a_text_holds_nothing_back(tokenizer: Tokenizer, text: str) -> None:
    decoder = tokenizer.decoder()
    ids = tokenizer.encode(text)
    assert "".join(decoder.feed(int(token)) for token in ids) == tokenizer.decode(ids)
    assert decoder.finish() == ""


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_checkpoint_keeps_the_tokenizer(tokenizer: Tokenizer, text: str) -> None:
    loaded = stored(tokenizer)
    assert loaded.kind == tokenizer.kind
    assert loaded.size == tokenizer.size
    assert loaded.header() == tokenizer.header()
    np.testing.assert_array_equal(loaded.encode(text), tokenizer.encode(text))


def test_special_tokens_are_written_by_name(tokenizer: Tokenizer) -> None:
    assert [tokenizer.piece(EOS), tokenizer.piece(UNK)] == ["<EOS>", "<UNK>"]
    assert tokenizer.decode([EOS]) == "<EOS>"
    assert tokenizer.decode([UNK]) == "<UNK>"


def test_a_piece_is_the_token_s_text_or_a_lone_byte(tokenizer: Tokenizer) -> None:
    for token in range(tokenizer.size):
        piece = tokenizer.piece(token)
        assert piece == tokenizer.decode([token]) or piece.startswith("<0x")
    assert tokenizer.piece(tokenizer.newline) == "\n"


def test_training_is_deterministic(tokenizer: Tokenizer) -> None:
    again = train_tokenizer(tokenizer.kind, [CORPUS])
    assert again.header() == tokenizer.header()
    for name, tensor in tokenizer.tensors().items():
        np.testing.assert_array_equal(again.tensors()[name], tensor)


def test_chunks_change_nothing_when_cut_at_line_ends(tokenizer: Tokenizer) -> None:
    chunks = CORPUS.splitlines(keepends=True)
    assert train_tokenizer(tokenizer.kind, chunks).header() == tokenizer.header()
    ids = np.concatenate([tokenizer.encode(chunk) for chunk in chunks])
    np.testing.assert_array_equal(ids, tokenizer.encode(CORPUS))


def test_a_tokenizer_does_not_grow_by_another_kind(tokenizer: Tokenizer) -> None:
    for kind in set(KINDS) - {tokenizer.kind}:
        with pytest.raises(OptionError, match=f"{tokenizer.kind} tokenizer cannot grow .*{kind}"):
            tokenizer.grown(TOKENIZERS[kind])


@pytest.mark.parametrize("kind", ["bytes", *SUBWORDS])
def test_what_writes_every_text_has_no_need_to_grow(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]
    assert tokenizer.grown(stored(tokenizer)) is tokenizer


def test_importing_the_tokenizers_does_not_import_sentencepiece() -> None:
    check = (
        "import sys, charlm.tokenizers as t; t.train_tokenizer('words', ['a']); "
        "assert not {'sentencepiece', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


# --- options


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_rare_tokens_become_unknown(kind: str) -> None:
    tokenizer = train_tokenizer(kind, ["a a b ", "a b c"], min_count=2)
    assert [offset for offset, _ in tokenizer.unseen("a b c d")] == [4, 6]


@pytest.mark.parametrize(("kind", "size"), [("characters", 4), ("words", 4), ("bpe", 270)])
def test_vocabulary_size_is_the_most_tokens(kind: str, size: int) -> None:
    assert train_tokenizer(kind, [CORPUS], vocabulary_size=size).size == size


def test_of_equally_frequent_tokens_the_first_in_order_are_taken() -> None:
    assert train_tokenizer("characters", ["dcbbaa"], vocabulary_size=5).header()["characters"] == (
        "abc"
    )
    assert train_tokenizer("words", ["d c b b a a"], vocabulary_size=5).header()["words"] == (
        ["a", "b", "c"]
    )


@pytest.mark.parametrize("kind", SUBWORDS)
@pytest.mark.parametrize("size", [261, 262, 263, 300, 50_000, 2**31])
@pytest.mark.parametrize("text", ["hello", "a", " ", "é中\n", CORPUS], ids=ascii)
def test_subwords_train_on_little(kind: str, size: int, text: str) -> None:
    tokenizer = train_tokenizer(kind, [text], vocabulary_size=size)
    assert tokenizer.size <= size
    assert stored(tokenizer).decode(tokenizer.encode(CORPUS)) == CORPUS


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("letters", {}, "no tokenizer is called 'letters'; there are characters, bytes"),
        ("words", {"min_count": 0}, "--min-count: 0 cannot be used; it must be at least 1"),
        ("words", {"min_count": 99}, "--min-count 99: no word is seen so often; give 15 or less"),
        ("characters", {"min_count": 999}, "--min-count 999: no character is seen so often"),
        ("characters", {"vocabulary_size": 2}, "--vocab-size 2: give 3 or more"),
        ("bytes", {"vocabulary_size": 100}, "--vocab-size 100: bytes always have 258 tokens"),
        ("unigram", {"vocabulary_size": 200}, "--vocab-size 200: .*; give 261 or more"),
        ("bpe", {"vocabulary_size": 260}, "--vocab-size 260: .*; give 261 or more"),
    ],
)
def test_an_option_that_cannot_be_is_refused(
    kind: str, options: dict[str, int], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        train_tokenizer(kind, [CORPUS], **options)


@pytest.mark.parametrize("kind", ["characters", "words", *SUBWORDS])
@pytest.mark.parametrize("chunks", [[], [""], ["\ud800"]], ids=["none", "empty", "surrogate"])
def test_a_text_with_nothing_to_learn_is_refused(kind: str, chunks: list[str]) -> None:
    with pytest.raises(TextError, match="to learn"):
        train_tokenizer(kind, chunks)


# --- characters and bytes


def test_characters_are_ordered_and_new_ones_appended() -> None:
    tokenizer = train_tokenizer("characters", ["hello\n"])
    assert tokenizer.header() == {"kind": "characters", "characters": "\nehlo"}
    grown = tokenizer.grown(train_tokenizer("characters", ["a hole"]))
    assert grown.header()["characters"] == "\nehlo a"
    assert stored(grown).encode("hello a?").tolist() == [4, 3, 5, 5, 6, 7, 8, UNK]


@pytest.mark.parametrize("count", [253, 254, 255, 300])
def test_characters_encode_ascii_alike_in_small_and_large_vocabularies(count: int) -> None:
    vocabulary = "".join(map(chr, range(32, 32 + count)))
    tokenizer = train_tokenizer("characters", [vocabulary])
    assert tokenizer.encode("A b\n").tolist() == [35, 2, 68, UNK]
    assert tokenizer.encode("A b\n").flags.writeable


def test_a_byte_decoder_waits_for_the_whole_character() -> None:
    tokenizer = TOKENIZERS["bytes"]
    decoder = tokenizer.decoder()
    ids = tokenizer.encode("a猫🐈").tolist()
    assert [decoder.feed(token) for token in ids] == ["a", "", "", "猫", "", "", "", "🐈"]
    assert [decoder.feed(token) for token in ids[1:3] + ids[:1]] == ["", "", "\ufffda"]
    assert decoder.feed(ids[1]) + decoder.finish() == "\ufffd"
    assert [tokenizer.piece(token) for token in ids[:2]] == ["a", "<0xE7>"]


# --- words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't know.", ["I", "don't", "know", "."]),
        ("do n't , it 's", ["do", "n't", ",", "it", "'s"]),
        ("a well-known x--y", ["a", "well-known", "x", "-", "-", "y"]),
        ("3.14, 1,000 yes,no", ["3.14", ",", "1,000", "yes", ",", "no"]),
        ("the u.s. <unk> of <UNK>", ["the", "u.s", ".", "<unk>", "of", "<UNK>"]),
        ("'quoted' \"x\"", ["'", "quoted", "'", '"', "x", '"']),
        ("हिन्दी naïve e\u0301a", ["हिन्दी", "naïve", "e\u0301a"]),
        ("a\r\n\tb", ["a", "\n", "b"]),
    ],
)
def test_where_words_end(text: str, words: list[str]) -> None:
    nothing_known = train_tokenizer("words", ["zebra"])
    assert [word for _, word in nothing_known.unseen(text)] == words


@pytest.mark.parametrize(
    "text",
    [
        ENGLISH.replace("    ", ""),
        '"Oh!" he said: "(no) [yes] {50%}; $3, #4."\n"a" b',
        "“Curly,” ‘single’ quotes…\n\nit 's",
        '"open\nnew "line"',
    ],
)
def test_the_joining_rule_gives_plain_prose_back(text: str) -> None:
    tokenizer = train_tokenizer("words", [text])
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_decoded_words_encode_to_the_same_tokens() -> None:
    tokenizer = TOKENIZERS["words"]

    @quick
    @given(st.lists(st.integers(UNK, tokenizer.size - 1), max_size=60))
    def check(tokens: list[int]) -> None:
        assert tokenizer.encode(tokenizer.decode(tokens)).tolist() == tokens

    check()


def test_words_keep_the_most_frequent_and_grow() -> None:
    tokenizer = train_tokenizer("words", ["b b a <unk> <unk> <unk>\n"])
    assert tokenizer.header()["words"] == ["b", "\n", "a"]
    assert tokenizer.encode("<unk> a").tolist() == [UNK, 4]
    assert tokenizer.grown(train_tokenizer("words", ["c a"])).header()["words"] == (
        ["b", "\n", "a", "c"]
    )


def test_counting_words_forgets_the_rarest_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("charlm.tokenizers.words._MOST_COUNTED", 10)
    chunks = (f"often n{number} " for number in range(1000))
    words = train_tokenizer("words", chunks).header()["words"]
    assert words[0] == "often"
    assert len(words) <= 10


def test_words_of_no_end_are_not_learned() -> None:
    assert train_tokenizer("words", ["short " + "x" * 101]).header()["words"] == ["short"]


# --- subwords


@pytest.mark.parametrize("kind", SUBWORDS)
def test_subwords_learn_pieces(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]
    assert len(tokenizer.encode(ENGLISH)) < len(ENGLISH)
    assert " a" in {tokenizer.piece(token)[:2] for token in range(tokenizer.size)}


@pytest.mark.parametrize("kind", SUBWORDS)
def test_no_line_is_too_long_to_learn_from(kind: str) -> None:
    tokenizer = train_tokenizer(kind, ["x" * 50_000 + "needle" + "猫" * 5000])
    pieces = {tokenizer.piece(token) for token in range(tokenizer.size)}
    assert {"x", "n", "猫"} <= pieces


def test_the_training_sample_is_bounded_and_spread_evenly() -> None:
    lines = [f"{number:05}" + "." * 994 + "\n" for number in range(1000)]
    blocks = _sample(iter(lines), 100_000)
    numbers = [int(block[:5]) for block in blocks]
    assert 50 <= len(blocks) <= 100
    assert len(set(np.diff(numbers))) == 1
    assert numbers[-1] > 980


@pytest.mark.parametrize("kind", SUBWORDS)
def test_more_characters_than_places_leaves_the_rare_ones_to_bytes(kind: str) -> None:
    text = "common " * 100 + "".join(map(chr, range(0x4E00, 0x5E00)))
    tokenizer = train_tokenizer(kind, [text], vocabulary_size=300)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode("common").size < 6
    assert tokenizer.encode("\u5dff").size == 3


# --- untrusted input

CHARACTERS = {"kind": "characters", "characters": "ab"}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({}, "unknown kind, None"),
        ({"kind": "letters"}, "unknown kind, 'letters'"),
        ({"kind": ["words"]}, "unknown kind, "),
        ({"kind": "x" * 10_000}, "^.{0,80}$"),
        ({"kind": "characters"}, "no 'characters'"),
        (CHARACTERS | {"extra": 1}, "unknown key 'extra'"),
        (CHARACTERS | {"characters": ["a", "b"]}, "'characters' is list, not str"),
        (CHARACTERS | {"characters": "aba"}, "holds 'a' twice"),
        (CHARACTERS | {"characters": "a\ud800"}, r"a lone surrogate, '\\ud800'"),
        ({"kind": "bytes", "size": 258}, "unknown key 'size'"),
        ({"kind": "words", "words": "a b"}, "'words' is str, not list"),
        ({"kind": "words", "words": ["a", 1]}, "holds 1, not a word"),
        ({"kind": "words", "words": ["a", ""]}, "holds '', not a word"),
        ({"kind": "words", "words": ["a b"]}, "holds 'a b', not a word"),
        ({"kind": "words", "words": ["a", "a"]}, "holds 'a' twice"),
        ({"kind": "words", "words": ["<EOS>"]}, "holds '<EOS>' twice"),
        ({"kind": "words", "words": ["a\udfff"]}, "lone surrogate"),
        ({"kind": "bpe", "size": 300}, f"no tensor {TENSOR}"),
    ],
)
def test_a_malformed_header_is_refused(header: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_tokenizer(header, {})


def test_tensors_of_a_model_are_left_alone_and_unknown_ones_refused() -> None:
    assert load_tokenizer(CHARACTERS, {"embedding.weight": np.zeros(3, np.uint8)}).size == 4
    with pytest.raises(CheckpointError, match="unknown tensor 'tokenizer"):
        load_tokenizer(CHARACTERS, {TENSOR: np.zeros(3, np.uint8)})


def damaged(model: bytes) -> Iterator[bytes]:
    generator = random.Random(0)
    yield from (b"", b"\0", b"not a model", b"<!DOCTYPE html>", model[:-200], model[100:])
    for _ in range(300):
        copy = bytearray(model[: generator.choice([len(model), generator.randrange(len(model))])])
        for _ in range(generator.choice([0, 1, 5]) if copy else 0):
            copy[generator.randrange(len(copy))] ^= 1 << generator.randrange(8)
        yield bytes(copy)


@pytest.mark.parametrize("kind", SUBWORDS)
def test_a_damaged_model_is_refused_or_still_sound(kind: str) -> None:
    whole = train_tokenizer(kind, [ENGLISH], vocabulary_size=300)
    refused = 0
    for model in damaged(whole.tensors()[TENSOR].tobytes()):
        try:
            loaded = load_tokenizer(whole.header(), {TENSOR: np.frombuffer(model, np.uint8)})
        except CheckpointError:
            refused += 1
        else:  # a bit of a score; the checkpoint's digest is what finds those
            assert loaded.decode(loaded.encode(CORPUS)) == CORPUS
    assert refused > 100


@pytest.mark.parametrize("kind", SUBWORDS)
def test_a_model_that_is_not_charlm_s_is_refused(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]
    with pytest.raises(CheckpointError, match="not one of charlm's"):
        load_tokenizer({"kind": kind, "size": tokenizer.size + 1}, tokenizer.tensors())
    with pytest.raises(CheckpointError, match="no tensor"):
        load_tokenizer(tokenizer.header(), {TENSOR: np.zeros((2, 2), np.uint8)})
