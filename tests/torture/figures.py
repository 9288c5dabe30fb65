"""A figure is a figure: laws of scores and samples, over random models of every kind."""

import itertools
import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from conftest import TOKENIZER_TEXT, random_checkpoint

from charlm.api import Model
from charlm.bulk import TorchEngine
from charlm.config import CELLS
from charlm.sampling import Sampler, generate
from charlm.tokenizers import EOS, KINDS

NEAR = 1e-5  # nats, of each token; where a text has figures above ten nats, a millionth of the
# largest: its logits are of that size, and float32 has no finer differences of them
Floats = npt.NDArray[np.float64]


def random_model(draw: random.Random, number: int) -> Model:
    """Cells and tokenizers in turn, all else at random.

    rnn-relu, whose activations know no bound, gets one layer: the logits of three go into the
    thousands, where float32 itself is coarser than 1e-5.
    """
    cell = CELLS[number % len(CELLS)]
    return Model(
        random_checkpoint(
            cell,
            1 if cell == "rnn-relu" else draw.randint(1, 3),
            tie_weights=draw.random() < 0.5,
            tokenizer=KINDS[number % len(KINDS)],
            per_line=draw.random() < 0.5,
            hidden_size=draw.randint(2, 24),
            embedding_size=draw.randint(1, 16),
            seed=draw.randrange(2**31),
        )
    )


def random_text(model: Model, draw: random.Random, most: int = 60) -> str:
    """A piece of what the tokenizers were trained on, with something unseen now and then.

    For a per-line model it is a line.
    """
    begin = draw.randrange(len(TOKENIZER_TEXT) - most)
    text = TOKENIZER_TEXT[begin : begin + draw.randint(1, most)]
    text = text.replace(draw.choice(text), "Ω", 1) if draw.random() < 0.2 else text
    return text.replace("\n", " ") if model.per_line else text


def whole(model: Model, text: str) -> Floats:
    """−ln P of each token of the text, all at once."""
    ids = ids_of(model, text)
    nats, _ = model.engine.nats(ids[:-1], ids[1:], model.engine.initial_state(1))
    return nats[:, 0].astype(np.float64)


def ids_of(model: Model, text: str) -> npt.NDArray[np.intp]:
    """<EOS> and the text, (time, 1)."""
    return np.array([EOS, *model.tokenizer.encode(text)], np.intp)[:, None]


def streaming(model: Model, draw: random.Random) -> str:
    """Token by token, as `score --per-token` has it; and their sum."""
    text = random_text(model, draw)
    one = np.array([token.nats for token in model.token_scores(text, eos=False)])
    total = model.score(text, eos=False).log_probability
    return apart(one, whole(model, text)) or apart(
        np.array([-total / len(one)]), np.array([one.mean()])
    )


def chunked(model: Model, draw: random.Random) -> str:
    """Cut anywhere, the state carried; and one step after the other."""
    text = random_text(model, draw)
    ids = ids_of(model, text)
    cuts = sorted(draw.sample(range(1, len(ids)), min(4, len(ids) - 1)))
    for bounds in ([0, *cuts, len(ids) - 1], [*range(len(ids))]):
        state, parts = model.engine.initial_state(1), [np.zeros((0, 1), np.float32)]
        for begin, end in itertools.pairwise(bounds):
            if begin < end:
                part = ids[begin : end + 1]
                nats, state = model.engine.nats(part[:-1], part[1:], state)
                parts.append(nats)
        if wrong := apart(np.concatenate(parts)[:, 0], whole(model, text)):
            return wrong
    return ""


def batched(model: Model, draw: random.Random) -> str:
    """Many texts at once, in any order."""
    texts = [random_text(model, draw) for _ in range(draw.randint(2, 9))]
    alone = {text: model.score(text, eos=True) for text in texts}
    draw.shuffle(texts)
    together = model.scores(texts, eos=True)
    return apart(
        np.array([score.nats_per_token for score in together]),
        np.array([alone[text].nats_per_token for text in texts]),
    )


def in_torch(model: Model, draw: random.Random) -> str:
    """By the other engine."""
    text = random_text(model, draw)
    ids, engine = ids_of(model, text), TorchEngine.of(model.checkpoint.model, weights_of(model))
    nats, _ = engine.nats(ids[:-1], ids[1:], engine.initial_state(1))
    return apart(nats[:, 0], whole(model, text))


def weights_of(model: Model) -> dict[str, npt.NDArray[np.float32]]:
    return dict(model.checkpoint.weights)


def sums_to_one(model: Model, draw: random.Random) -> str:
    """Of every token that may come next, at every step."""
    ids = ids_of(model, random_text(model, draw, 20))
    size = model.tokenizer.size
    every = np.broadcast_to(np.arange(size), (len(ids), size))
    nats, _ = model.engine.nats(
        np.repeat(ids, size, axis=1), every, model.engine.initial_state(size)
    )
    sums = np.exp(-nats.astype(np.float64)).sum(axis=1)
    return apart(sums, np.ones(len(sums)))


def evaluation(model: Model, draw: random.Random) -> str:
    """A file is its parts with the state carried or, per line, its lines."""
    text = "\n".join(random_text(model, draw).replace("\n", " ") for _ in range(9))
    found = model.evaluate(text)
    if model.per_line:
        lines = [score.log_probability for score in model.scores(text.split("\n"), eos=True)]
        expected = -sum(lines) / found.tokens
    else:
        expected = float(whole(model, text).mean())
    return apart(np.array([found.nats_per_token]), np.array([expected]))


def one_text_a_seed(model: Model, draw: random.Random) -> str:
    """Whatever is written beside it."""
    prompt = model.tokenizer.encode("The cat")
    seeds = [[draw.randrange(9999), number] for number in range(5)]
    sampler = Sampler(draw.choice([0.0, 0.7, 1.0]))

    def written(some: list[list[int]]) -> list[list[int]]:
        steps = np.stack(list(generate(model.engine, sampler, prompt, some, 25)), axis=1)
        return [row[: row.index(EOS) if EOS in row else None] for row in steps.tolist()]

    alone = [written([seed])[0] for seed in seeds]
    return "" if written(seeds) == alone else "another text in a batch than alone"


LAWS: tuple[Callable[[Model, random.Random], str], ...] = (
    streaming,
    chunked,
    batched,
    in_torch,
    sums_to_one,
    evaluation,
    one_text_a_seed,
)


def apart(found: npt.NDArray[np.floating], expected: npt.NDArray[np.floating]) -> str:
    """How far two rows of figures are apart, or ''."""
    if found.shape != expected.shape:
        return f"{found.shape} figures, not {expected.shape}"
    difference = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    scale = max(1.0, float(np.abs(expected).max(initial=0)) / 10)
    far = difference > NEAR * scale
    return f"{difference.max():.2g} nats apart" if far.any() else ""


def laws(count: int, seed: int) -> tuple[int, list[str]]:
    """Every law for so many models."""
    failures = []
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        model = random_model(draw, number)
        for law in LAWS:
            if wrong := law(model, draw):
                failures.append(f"{law.__name__}, model {number}: {wrong}")
    return count * len(LAWS), failures
