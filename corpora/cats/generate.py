"""A small world of cats, in a probabilistic grammar whose entropy is known exactly.

    python corpora/cats/generate.py --size 1000000 --seed 1 -o cats.txt
    python corpora/cats/generate.py --entropy
    python corpora/cats/generate.py --pairs 360 -o charlm/data/cats-pairs.tsv

Every line is drawn independently from the grammar, with its newline as its last character. No line
has two derivations (a test proves it), so the entropy of a line is that of its derivation: a sum
over the grammar's choices. On average no model can need fewer bits per character. In the lines is
what recurrent networks are taught with: a verb that agrees with its subject across a clause of any
length, quotation marks that close after speech of any length, pears and pairs.

Needs the standard library only and knows nothing of charlm.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import sys
from bisect import bisect
from collections.abc import Callable, Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple


def words(text: str) -> dict[str, float]:
    """Alternatives from the commonest to the rarest: the n-th weighs 1/√n (Zipf's law, flatter)."""
    return {word: rank**-0.5 for rank, word in enumerate(text.split(", "), start=1)}


# Each rule: what it may become, and how often (weights, not yet probabilities). [name] is another
# rule. A rule with # stands for two, one for each number: # is .one or .many all through it.
# A rule that contains itself does so at its end, and once: its length is geometric.
NUMBERS = (".one", ".many")
RULES: dict[str, dict[str, float]] = {
    "line": {"[paragraph]\n": 1},
    "paragraph": {"[sentence]": 3, "[sentence] [paragraph]": 2},
    "sentence": {
        "[clause].": 6,
        '[name] [said], "[speech]."': 1,
        '"[speech]," [said] [name].': 1,
        '"[question]?" asked [name].': 0.5,
    },
    "speech": {"[clause]": 1, "[clause]. [speech]": 1},
    "clause": {
        "[clause.one]": 4,
        "[clause.many]": 4,
        "The [salad] salad [was.one] [fresh]": 1,
        "The pair of [red][shoes] [was.one] [new]": 0.3,
    },
    "clause#": {
        "The [small][animal#][which] [does#]": 6,
        "The [small][child#][who] [does#]": 2,
        "[person#][who] [does#]": 3,
    },
    "which": {"": 2, ", which [ate],": 3},
    "who": {"": 2, ", who [ate],": 1},
    "ate": {"[already][took] [foods]": 4, "slept [where]": 1, "[chased] [animals]": 1},
    "foods": {"[food]": 1, "[food] and [foods]": 1},
    "food": {"the [ripe][dish.one][place]": 1, "the [ripe][dish.many][place]": 1},
    "animals": {"the [small][animal.one][place]": 1, "the [small][animal.many][place]": 1},
    "place": {"": 2, " [where]": 1},
    "where": {"[near] the [old][house]": 1},
    "does#": {
        "[was#] [full][when]": 6,
        "[was#] [where][when]": 2,
        "[has#] [slept][when]": 2,
        "[likes#] [foods]": 2,
        "[chased] [animals]": 1,
        "[bought] [goods][when]": 1,
    },
    "question": {
        "Where [was.one] the [small][animal.one]": 1,
        "Where [was.many] the [small][animal.many]": 1,
        "Who [took] [foods]": 2,
        "Who [bought] [goods]": 1,
    },
    "goods": {"a pair of [red][shoes]": 2, "the [ripe][dish.one]": 1, "the [salad] salad": 1},
    "person.one": {"[name]": 1},
    "person.many": {"[girl] and [boy]": 1},
    "name": {"[girl]": 1, "[boy]": 1},
    "already": {"": 2, "[often] ": 3},
    "often": words("already, never, often, quietly, once, gladly"),
    "small": {"": 3, "[size] ": 1},
    "old": {"": 2, "[age] ": 1},
    "ripe": {"": 3, "[taste] ": 1},
    "red": {"": 1, "[colour] ": 1},
    "took": words("ate, stole, hid, tasted, shared, cooked, dropped, refused"),
    "said": words("said, whispered, answered, sang, cried, wrote"),
    "chased": words("saw, followed, found, heard, met, chased, watched, remembered"),
    "bought": words("bought, found, wanted, brought, carried, lost, borrowed"),
    "was.one": words("was, is, was not, is not, was never, is still"),
    "was.many": words("were, are, were not, are not, were never, are still"),
    "has.one": words("has, has just, has not"),
    "has.many": words("have, have just, have not"),
    "likes.one": words("likes, wants, loves, remembers, smells, dreams of, hides"),
    "likes.many": words("like, want, love, remember, smell, dream of, hide"),
    "slept": words(
        "gone home, eaten enough, fallen asleep, seen the sea, learned to read, come back"
    ),
    "animal.one": words(
        "cat, dog, mouse, kitten, bird, horse, cow, fox, duck, goose, hen, owl, rabbit, goat, "
        "pig, bear, wolf, hedgehog, frog, sparrow, squirrel, donkey"
    ),
    "animal.many": words(
        "cats, dogs, mice, kittens, birds, horses, cows, foxes, ducks, geese, hens, owls, rabbits, "
        "goats, pigs, bears, wolves, hedgehogs, frogs, sparrows, squirrels, donkeys"
    ),
    "child.one": words("girl, boy, child, woman, man, baker, farmer, sailor, teacher"),
    "child.many": words("girls, boys, children, women, men, bakers, farmers, sailors, teachers"),
    "girl": words("Anna, Mary, Lucy, Clara, Rosa, Nina, Ida, Olga, Emma, Julia, Vera, Greta"),
    "boy": words("Tom, Peter, Paul, Jack, Leo, Max, Oscar, Hugo, Simon, Victor, Felix, Otto"),
    "dish.one": words(
        "fish, apple, pear, cake, soup, egg, cheese, bread, plum, potato, pie, carrot, cherry, "
        "onion, sausage, pancake, porridge, honey"
    ),
    "dish.many": words(
        "apples, pears, cakes, eggs, plums, potatoes, pies, carrots, cherries, onions, sausages, "
        "pancakes, berries, beans, biscuits, walnuts"
    ),
    "salad": words(
        "apple and pear, plum and pear, pear and walnut, apple and cherry, potato and onion, "
        "bean and tomato, melon and pear, carrot and cabbage"
    ),
    "shoes": words("shoes, gloves, boots, socks, trousers, mittens, scissors, slippers, skates"),
    "house": words(
        "house, river, garden, barn, hills, tree, mill, trees, bridge, wall, houses, gate, church, "
        "lake, window, station, well, forest, market, boats, tower, roses, library, harbour"
    ),
    "near": words("near, behind, beside, by, above, opposite, far from"),
    "when": {"": 4, " [evening]": 1},
    "evening": words(
        "in the evening, all day, in the morning, again, on Sundays, at night, every winter, "
        "before breakfast, after the rain, today"
    ),
    "size": words("small, old, big, little, grey, black, white, young, brown, fat, clever"),
    "age": words("old, little, green, quiet, dark, empty, famous, grey, distant"),
    "taste": words("small, ripe, sweet, cold, warm, fresh, big, golden, last, yellow"),
    "colour": words("red, blue, black, green, warm, white, yellow, woollen, silver"),
    "full": words(
        "full, hungry, happy, tired, asleep, quiet, thirsty, ill, sad, busy, angry, warm, ready, "
        "lonely, proud, afraid, curious, lazy"
    ),
    "fresh": words("fresh, good, sweet, cold, ready, delicious, gone, too small, famous"),
    "new": words("new, too big, lost, old, dirty, under the bed, expensive, torn"),
}

Stack = tuple[str, ...]  # what is still to be written: rules, in brackets, and plain text
LINE: Stack = ("[line]",)


def _grammar() -> dict[str, list[tuple[Stack, float]]]:
    """RULES by name in brackets: for each alternative its symbols and its probability."""
    return {
        f"[{name}]".replace("#", number): [
            (
                tuple(re.findall(r"\[.+?]|[^[]+", text.replace("#", number))),
                weight / sum(of.values()),
            )
            for text, weight in of.items()
        ]
        for name, of in RULES.items()
        for number in NUMBERS
    }


GRAMMAR = _grammar()
_CUMULATIVE = {name: list(accumulate(p for _, p in of)) for name, of in GRAMMAR.items()}


def derive(stack: Stack, rng: random.Random) -> str:
    """A text drawn from the grammar, for all the symbols of the stack."""
    written = []
    waiting = list(reversed(stack))
    while waiting:
        symbol = waiting.pop()
        if symbol in GRAMMAR:
            choice = bisect(_CUMULATIVE[symbol], rng.random(), hi=len(GRAMMAR[symbol]) - 1)
            waiting.extend(reversed(GRAMMAR[symbol][choice][0]))
        else:
            written.append(symbol)
    return "".join(written)


def generate(size: int, seed: int) -> str:
    """As many whole lines as make at least `size` characters, always the same for one seed."""
    rng = random.Random(seed)
    lines, written = [], 0
    while written < size:
        lines.append(derive(LINE, rng))
        written += len(lines[-1])
    return "".join(lines)


class Entropy(NamedTuple):
    """Expectations over the grammar, for one line with its newline."""

    bits_per_line: float
    characters_per_line: float

    @property
    def bits_per_character(self) -> float:
        return self.bits_per_line / self.characters_per_line


def entropy() -> Entropy:
    """The exact entropy of the texts, and the expected length of a line.

    A rule's entropy is that of its choice and of what the choice leads to,
    H(A) = Σ p (−log2 p + Σ H(B)); its length is found likewise.
    """
    return Entropy(
        bits_per_line=_expectation(lambda p: -math.log2(p), lambda _: 0.0),
        characters_per_line=_expectation(lambda _: 0.0, len),
    )


def _expectation(choice: Callable[[float], float], text: Callable[[str], float]) -> float:
    """The mean over lines of a sum: what each choice (from its P) and each text in it adds.

    Linear equations, solved by substitution: from zero the values only rise, and the end is when
    the last binary digit of all of them stands still.
    """
    mean, before = dict.fromkeys(GRAMMAR, 0.0), dict[str, float]()
    while mean != before:
        before = mean
        mean = {
            name: sum(
                p * (choice(p) + sum(before[s] if s in before else text(s) for s in symbols))
                for symbols, p in of
            )
            for name, of in GRAMMAR.items()
        }
    return mean["[line]"]


@cache
def steps(stack: Stack) -> tuple[tuple[str, Stack, float], ...]:
    """Every way to write one more character: the character, what is left to write, P."""
    first, *rest = stack
    if first not in GRAMMAR:
        return ((first[0], (*((first[1:],) if first[1:] else ()), *rest), 1.0),)
    return tuple(
        (character, left, p * q)
        for symbols, p in GRAMMAR[first]
        for character, left, q in steps((*symbols, *rest))
    )


def surprisals(text: str) -> Iterator[float]:
    """−log2 P of each character given all before it: the bits that the best possible model needs.

    Follows all derivations of the text at once (the forward algorithm), from the start of a line.
    Infinite at the first character that the grammar cannot write there, and then at an end.
    """
    stacks: dict[Stack, float] = {LINE: 1.0}
    for character in text:
        after: dict[Stack, float] = {}
        for stack, p in stacks.items():
            for written, left, q in steps(stack):
                if written == character:
                    after[left or LINE] = after.get(left or LINE, 0.0) + p * q
        total = sum(after.values())
        if not total:
            yield math.inf
            return
        yield -math.log2(total)
        stacks = {stack: p / total for stack, p in after.items()}


class Pair(NamedTuple):
    """Two whole lines, newlines included, of which the grammar writes only the first."""

    good: str
    bad: str
    between: str  # the text between what decides and what is decided

    @property
    def distance(self) -> int:
        """The characters over which a model has to remember."""
        return len(self.between)


def agreement_pair(foods: int, rng: random.Random) -> Pair:
    """The cats, which already ate the fish and the pear (so many foods), were | was full."""
    one, many = rng.choice(list(zip(RULES["was.one"], RULES["was.many"], strict=True)))
    noun, right, wrong = rng.choice((("[animal.one]", one, many), ("[animal.many]", many, one)))
    subject = derive(("The ", "[small]", noun), rng)
    eaten = " and ".join(derive(("[food]",), rng) for _ in range(foods))
    between = derive((", which ", "[already]", f"ate {eaten}, "), rng) if foods else " "
    end = derive((" ", "[full]", ".\n"), rng)
    return Pair(f"{subject}{between}{right}{end}", f"{subject}{between}{wrong}{end}", between)


def quotation_pair(clauses: int, rng: random.Random) -> Pair:
    """Tom said, "The cat is full (so many clauses)." | the same with no second mark.

    Half the pairs are the other way round, a line that opened no quotation and must close none:
    a model that has forgotten the start is right in half of them, whatever it believes.
    """
    speech = ". ".join(derive(("[clause]",), rng) for _ in range(clauses))
    if rng.random() < 0.5:
        return Pair(f"{speech}.\n", f'{speech}."\n', speech)
    opening = derive(("[name]", " ", "[said]", ', "'), rng)
    return Pair(f'{opening}{speech}."\n', f"{opening}{speech}.\n", speech)


def pear_pair(rng: random.Random) -> Pair:
    """The apple and pear | pair salad was fresh, and: Anna found a pair | pear of shoes."""
    if rng.random() < 0.5:
        shoes = derive(("[name]", " ", "[bought]", " a pair of ", "[red]", "[shoes]", ".\n"), rng)
        return Pair(shoes, shoes.replace("pair", "pear"), " ")
    salads = [salad for salad in RULES["salad"] if "pear" in salad]
    salad = derive((f"The {rng.choice(salads)} salad ", "[was.one]", " ", "[fresh]", ".\n"), rng)
    return Pair(salad, salad.replace("pear", "pair"), " and ")


def minimal_pairs(count: int, seed: int) -> dict[str, list[Pair]]:
    """Pairs for each of three questions, so many, all different, the same for the same seed.

    Clauses of 0 to 8 foods and speeches of 1 to 9 clauses come in equal numbers, so that every
    distance is measured equally well; in the grammar's own lines the long ones are rare.
    """
    rng = random.Random(seed)

    def distinct(pair: Callable[[int], Pair]) -> list[Pair]:
        found: dict[Pair, None] = {}
        while len(found) < count:
            found[pair(len(found) % 9)] = None
        return list(found)

    return {
        "agreement": distinct(lambda parts: agreement_pair(parts, rng)),
        "quotation": distinct(lambda parts: quotation_pair(parts + 1, rng)),
        "pear": distinct(lambda _: pear_pair(rng)),
    }


def table(pairs: dict[str, list[Pair]]) -> str:
    """The pairs without their newlines, for `charlm probe`: columns that tabs separate."""
    rows = [
        f"{pair.good[:-1]}\t{pair.bad[:-1]}\t{question}\t{pair.distance}\n"
        for question, of in pairs.items()
        for pair in of
    ]
    return "".join(["better\tworse\tgroup\tdistance\n", *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes a text of cats, or says its entropy.")
    parser.add_argument("--size", type=int, default=1_000_000, help="least number of characters")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same text")
    parser.add_argument("-o", "--output", default="-", metavar="FILE", help="default: stdout")
    parser.add_argument("--entropy", action="store_true", help="print the exact entropy instead")
    parser.add_argument("--pairs", type=int, metavar="N", help="N minimal pairs a question instead")
    options = parser.parse_args()
    if options.entropy:
        exact = entropy()
        print(f"{exact.bits_per_character:.6f} bits per character")
        print(f"{2**exact.bits_per_character:.6f} perplexity per character")
        print(f"{exact.bits_per_line:.4f} bits per line")
        print(f"{exact.characters_per_line:.4f} characters per line, with its newline")
        return
    if options.pairs:
        text = table(minimal_pairs(options.pairs, options.seed))
    else:
        text = generate(options.size, options.seed)
    if options.output == "-":
        sys.stdout.write(text)
    else:
        Path(options.output).write_bytes(text.encode("ascii"))


if __name__ == "__main__":
    main()
