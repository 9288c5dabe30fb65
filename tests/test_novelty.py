"""What is copied is found to the last character, wherever the corpus is cut."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm import novelty, sources, text
from charlm.novelty import LENGTHS, Novelty
from charlm.text import Text, open_text, text_of

TEXTS = st.lists(st.text("ab", max_size=40) | st.text("ab\n😀\ud800", max_size=12), max_size=5)
PIECES = st.lists(st.text("ab", max_size=40) | st.text("ab\n😀", max_size=12), max_size=8)


@dataclasses.dataclass
class Pieces:
    pieces: list[str]

    def to_read(self, per_line: bool) -> list[Iterator[str]]:
        return [iter([*self.pieces, "\n"] if per_line else self.pieces)]


def cut(pieces: list[str]) -> Text:
    """A corpus that is cut anywhere."""
    return cast(Text, Pieces(pieces))


def spans(string: str, length: int) -> list[str]:
    return [string[start : start + length] for start in range(len(string) - length + 1)]


def naive(texts: list[str], corpus: str, per_line: bool) -> Novelty:
    """The same by definition."""
    longest = ""
    for start in range(len(corpus)):
        stop = start + len(longest) + 1
        while stop <= len(corpus) and any(corpus[start:stop] in text for text in texts):
            longest = corpus[start:stop]
            stop += 1
    shares: dict[int, float | None] = {}
    for length in LENGTHS:
        new = [span not in corpus for text in texts for span in spans(text, length)]
        shares[length] = sum(new) / len(new) if new else None
    whole = corpus.split("\n") if per_line else corpus
    known = {text for text in texts if not text or text in whole}
    count = len(texts) if per_line else 0
    return Novelty(
        texts=len(texts),
        longest=longest,
        new_spans=shares,
        new_lines=sum(text not in known for text in texts) / count if count else None,
        distinct_lines=len(set(texts)) / count if count else None,
        known=frozenset(known),
    )


@settings(max_examples=250, deadline=None)
@given(texts=TEXTS, pieces=PIECES, per_line=st.booleans())
def test_equals_the_definition(texts: list[str], pieces: list[str], per_line: bool) -> None:
    corpus = "".join(pieces) + "\n" * per_line
    assert Novelty.of(texts, cut(pieces), per_line) == naive(texts, corpus, per_line)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), corpus=st.text("abc\n", min_size=80, max_size=200), per_line=st.booleans())
def test_equals_the_definition_where_much_is_copied(
    data: st.DataObject, corpus: str, per_line: bool
) -> None:
    ends = st.tuples(st.integers(0, 200), st.integers(0, 200)).map(sorted)
    parts = data.draw(st.lists(ends, min_size=1, max_size=6))
    texts = ["".join(corpus[slice(*part)] for part in parts[:2])]
    texts += [corpus[slice(*part)] for part in parts[2:]]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(corpus)), max_size=20)))
    pieces = [corpus[a:b] for a, b in zip([0, *cuts], [*cuts, len(corpus)], strict=True)]
    found = Novelty.of(texts, cut(pieces), per_line)
    assert found == naive(texts, corpus + "\n" * per_line, per_line)


def test_whatever_the_slots_of_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(novelty, "_GOLDEN", novelty._GOLDEN * 0)
    texts, corpus = (
        ["the cat sat on the mat", "a mat on the cat"],
        "the cat sat. A mat on the cat.\n",
    )
    assert Novelty.of(texts, text_of(corpus), True) == naive(texts, corpus, True)


def test_a_span_may_cross_pieces_but_not_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "BLOCK", 3)
    monkeypatch.setattr(text, "CHUNK", 5)
    (tmp_path / "1.txt").write_text("It was a dark and stor", "utf-8")
    (tmp_path / "2.txt").write_text("my night; naïve 😀\n", "utf-8")
    corpus = open_text([tmp_path])
    found = Novelty.of(["It was a stormy night; naïve 😀"], corpus, per_line=False)
    assert found.longest == "my night; naïve 😀"
    assert Novelty.of(["stormy"], corpus, per_line=False).known == frozenset()
    assert Novelty.of(["dark and stor"], corpus, per_line=False).known == {"dark and stor"}
    found = Novelty.of(["stor", "stormy night"], corpus, per_line=True)
    assert found.longest == "my night"
    assert found.known == frozenset()


def test_a_line_is_known_only_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "CHUNK", 4)
    texts = ["Ada", "Bob", "Ada", "Cleopatra", "leo", "Cleopatra the Great"]
    found = Novelty.of(texts, text_of("Cleopatra the Greatest\nAda\n\nBobby\nCleopatra"), True)
    assert found.known == {"Ada", "Cleopatra"}
    assert found.new_lines == pytest.approx(3 / 6)
    assert found.distinct_lines == pytest.approx(5 / 6)


def test_no_span_crosses_two_texts_but_lines_it_may() -> None:
    corpus = text_of("To be,\nor not")
    assert Novelty.of(["To be,\n", "or not"], corpus, False).longest == "To be,\n"
    assert Novelty.of(["?To be,\nor"], corpus, False).longest == "To be,\nor"


def test_shares_count_spans_with_their_repeats() -> None:
    found = Novelty.of(["abcdefgh", "abcdefgh", "abcdefgX"], text_of("xabcdefghx"), True)
    assert found.new_spans == {8: pytest.approx(1 / 3), 16: None, 32: None}


def test_in_words() -> None:
    found = Novelty.of(["Maria Anna", "Mia", "Mia"], text_of("Mia\nMaria Annabel\n"), True)
    assert found.in_words() == (
        "lines: 33.3 % new, 66.7 % distinct (of 3)\n"
        'longest copied span: 10 characters, "Maria Anna"\n'
        "new spans of 8 characters: 0.0 %"
    )
    story = "Once upon a time\tthere was\n" * 40
    found = Novelty.of([story], text_of(story), False)
    assert found.in_words().splitlines()[0] == (
        "longest copied span: 1,080 characters, "
        '"Once upon a time␉there was␊Once upon a t … on a time␉there was␊"'
    )


def test_nearly_all_is_not_shown_as_all() -> None:
    found = Novelty.of(["a"] * 9999 + ["b"], text_of("b\n"), True)
    assert found.in_words().startswith("lines: 99.9 % new, 0.1 % distinct (of 10,000)")


@pytest.mark.parametrize("per_line", [True, False])
def test_nothing_written(per_line: bool) -> None:
    found = Novelty.of([], text_of("Ada\n"), per_line)
    assert (found.longest, found.new_lines, found.distinct_lines) == ("", None, None)
    assert found.in_words() == "longest copied span: none"
    found = Novelty.of(["", ""], text_of("Ada\n"), per_line)
    assert found.known == {""}
    assert found.new_spans == {8: None, 16: None, 32: None}
