"""The corpora that the project ships are what their READMEs say."""

import importlib.util
import math
import random
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

CORPORA = Path(__file__).parent.parent / "corpora"


def load_cats() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cats", CORPORA / "cats" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cats = load_cats()
Stack = tuple[str, ...]


@pytest.fixture(scope="module")
def text() -> str:
    return str(cats.generate(200_000, seed=7))


def test_rules_are_probabilities_and_all_are_used() -> None:
    used = {symbol for of in cats.GRAMMAR.values() for symbols, _ in of for symbol in symbols}
    assert set(cats.GRAMMAR) - used == {"[line]"}
    assert not {symbol for symbol in used if "[" in symbol or "#" in symbol} - set(cats.GRAMMAR)
    for of in cats.GRAMMAR.values():
        assert sum(p for _, p in of) == pytest.approx(1, abs=1e-12)


def has_two_derivations() -> bool:
    """Whether some line has: exact, for lines of any length. The grammar walks beside itself.

    Two derivations of a line part at some character, leaving two things to write. As the line is
    the same, these meet again, at its end at the latest. They are finitely many, because a rule
    that contains itself does so at its end: all that can be reached together are tried.
    """
    reached: set[Stack] = {cats.LINE}
    parted: set[tuple[Stack, Stack]] = set()
    waiting = [cats.LINE]
    while waiting:
        steps = cats.steps(waiting.pop())
        parted |= {
            (left, other)
            for i, (character, left, _) in enumerate(steps)
            for another, other, _ in steps[:i]
            if another == character
        }
        fresh = {left for _, left, _ in steps if left} - reached
        reached |= fresh
        waiting += fresh
    pairs = list(parted)
    while pairs:
        one, other = pairs.pop()
        if one == other:
            return True
        if one and other:
            fresh_pairs = {
                (left, right)
                for character, left, _ in cats.steps(one)
                for another, right, _ in cats.steps(other)
                if character == another
            } - parted
            parted |= fresh_pairs
            pairs += fresh_pairs
    return False


def test_no_line_has_two_derivations() -> None:
    assert not has_two_derivations()


@pytest.fixture
def replace_rule(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    def replace(name: str, *alternatives: Stack) -> None:
        equally = [(symbols, 1 / len(alternatives)) for symbols in alternatives]
        monkeypatch.setitem(cats.GRAMMAR, name, equally)
        cats.steps.cache_clear()

    yield replace
    cats.steps.cache_clear()


@pytest.mark.parametrize(
    "ate",
    [
        [("ate ", "[foods]"), ("ate ", "[foods]")],
        [("ate ", "[foods]"), ("ate the fish",)],
        [("ate ", "[foods]"), ("ate ", "[food]", " and ", "[food]")],
    ],
)
def test_an_ambiguous_grammar_would_be_noticed(
    ate: list[Stack], replace_rule: Callable[..., None]
) -> None:
    replace_rule("[ate]", *ate)
    assert has_two_derivations()


def test_probability_over_all_derivations_is_that_of_the_one() -> None:
    rng = random.Random(3)
    for _ in range(300):
        line, bits, waiting = "", 0.0, ["[line]"]
        while waiting:
            symbol = waiting.pop()
            if symbol in cats.GRAMMAR:
                of = cats.GRAMMAR[symbol]
                symbols, p = rng.choices(of, [p for _, p in of])[0]
                bits -= math.log2(p)
                waiting.extend(reversed(symbols))
            else:
                line += symbol
        assert sum(cats.surprisals(line)) == pytest.approx(bits, rel=1e-9)


def test_generated_text_needs_the_exact_entropy(text: str) -> None:
    exact = cats.entropy()
    assert 0.5 < exact.bits_per_character < 1
    assert len(text) / text.count("\n") == pytest.approx(exact.characters_per_line, rel=0.08)
    assert sum(cats.surprisals(text)) / len(text) == pytest.approx(
        exact.bits_per_character, rel=0.01
    )


def test_entropy_of_a_grammar_done_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters a or b, going on with probability ⅔: on average 3, of 1 bit each."""
    rules = {
        "[line]": [(("[letters]", "\n"), 1.0)],
        "[letters]": [(("[letter]",), 1 / 3), (("[letter]", "[letters]"), 2 / 3)],
        "[letter]": [(("a",), 0.5), (("b",), 0.5)],
    }
    monkeypatch.setattr(cats, "GRAMMAR", rules)
    stop = -math.log2(1 / 3) / 3 - 2 * math.log2(2 / 3) / 3
    exact = cats.entropy()
    assert exact.bits_per_line == pytest.approx(3 * (1 + stop), rel=1e-12)
    assert exact.characters_per_line == pytest.approx(4, rel=1e-12)


def test_text_is_the_same_for_a_seed_and_at_least_the_size() -> None:
    assert cats.generate(5_000, seed=1) == cats.generate(5_000, seed=1)
    assert cats.generate(5_000, seed=1) != cats.generate(5_000, seed=2)
    assert cats.generate(9_000, seed=1).startswith(cats.generate(5_000, seed=1))
    assert 5_000 <= len(cats.generate(5_000, seed=1)) < 7_000
    assert cats.generate(0, seed=1) == ""


def test_script_writes_the_text_and_the_entropy(tmp_path: Path) -> None:
    script = [sys.executable, str(CORPORA / "cats" / "generate.py")]
    out = tmp_path / "cats.txt"
    subprocess.run([*script, "--size", "3000", "--seed", "4", "-o", str(out)], check=True)
    assert out.read_bytes().decode() == cats.generate(3_000, seed=4)
    shown = subprocess.run([*script, "--entropy"], check=True, capture_output=True, text=True)
    assert f"{cats.entropy().bits_per_character:.6f} bits per character" in shown.stdout
    assert f"{cats.entropy().bits_per_character:.3f}" in (CORPORA / "cats/README.md").read_text()


def test_verbs_agree_with_their_subjects(text: str) -> None:
    """By the eye of a regular expression, which knows nothing of the grammar's two numbers."""
    clause = r"The (?:[a-z]+ )??{}(?:, wh(?:ich|o) [a-z ]+,)? ([a-z]+)"
    plural_verbs = {"were", "are", "have", *(w.split()[0] for w in cats.RULES["likes.many"])}
    singular_verbs = {"was", "is", "has", *(w.split()[0] for w in cats.RULES["likes.one"])}
    for number, wrong in ((".one", plural_verbs), (".many", singular_verbs)):
        nouns = "|".join([*cats.RULES[f"animal{number}"], *cats.RULES[f"child{number}"]])
        verbs = re.findall(clause.format(f"(?:{nouns})"), text)
        assert len(verbs) > 500
        assert not wrong & set(verbs)


def test_quotation_marks_are_closed_in_every_line(text: str) -> None:
    speech = re.compile(r'"[A-Z][^"]*[a-z][.,?]"')
    assert all('"' not in speech.sub("", line) for line in text.splitlines())
    assert max(len(quoted) for quoted in speech.findall(text)) > 200


@pytest.mark.parametrize(
    "line",
    [
        "The cat, which already ate the fish, was full.\n",
        "The cats, which already ate the fish and the small pear near the old house, were full.\n",
        "The apple and pear salad was fresh.\n",
    ],
)
def test_lines_of_the_lecture_are_in_the_grammar(line: str) -> None:
    assert sum(cats.surprisals(line)) < math.inf


@pytest.mark.parametrize(
    "line",
    [
        "The cat, which already ate the fish, were full.\n",
        "The apple and pair salad was fresh.\n",
        'Tom said, "The cat was full.\n',
    ],
)
def test_their_mistakes_are_not(line: str) -> None:
    assert sum(cats.surprisals(line)) == math.inf


def test_of_each_minimal_pair_the_grammar_writes_only_the_good_line() -> None:
    questions = cats.minimal_pairs(count=90, seed=1)
    assert set(questions) == {"agreement", "quotation", "pear"}
    assert questions == cats.minimal_pairs(count=90, seed=1)
    for pairs in questions.values():
        assert len(set(pairs)) == 90
        for pair in pairs:
            assert sum(cats.surprisals(pair.good)) < math.inf
            assert sum(cats.surprisals(pair.bad)) == math.inf
            assert pair.between in pair.good
            assert pair.distance == len(pair.between)


def test_pairs_reach_far() -> None:
    questions = cats.minimal_pairs(count=90, seed=1)
    for question in ("agreement", "quotation"):
        distances = sorted(pair.distance for pair in questions[question])
        assert distances[0] < 50
        assert distances[-10] > 150


def test_names_are_many_distinct_sorted_and_composed() -> None:
    text = (CORPORA / "names" / "names.txt").read_text(encoding="utf-8")
    names = text.splitlines()
    assert text == "".join(f"{name}\n" for name in names)
    assert len(names) >= 1_000
    assert names == sorted(set(names))
    for name in names:
        assert name == " ".join(name.split())
        assert name == unicodedata.normalize("NFC", name)
        assert not re.search(r"[\d_,;()]", name)
    readme = (CORPORA / "names" / "README.md").read_text(encoding="utf-8")
    assert f"{len(names):,} names" in readme
