"""All of Unicode through each lossless tokenizer, and back, whole and token by token."""

import random

from conftest import TOKENIZER_TEXT

from charlm.tokenizers import Tokenizer, train_tokenizer

SCALARS = [*range(0xD800), *range(0xE000, 0x110000)]
SPECIAL = ["<EOS>", "<UNK>", "\u2581", "\ufeff", "\0", "\r\n", "  "]


def lossless() -> dict[str, Tokenizer]:
    """A small tokenizer of each kind; that of characters knows all of them."""
    sizes = {"unigram": 330, "bpe": 330}
    known = {
        kind: train_tokenizer(kind, [TOKENIZER_TEXT], 1, sizes.get(kind))
        for kind in ("bytes", "unigram", "bpe")
    }
    known["characters"] = train_tokenizer("characters", ["".join(map(chr, SCALARS))])
    return known


def texts_of(share: float, count: int, seed: int) -> list[str]:
    """A share of all scalars, alone and in context, and so many random strings."""
    draw = random.Random(seed)
    texts = [chr(code) for code in SCALARS[:: max(1, round(1 / share))]]
    texts += [f"a {character}b" for character in texts]
    for _ in range(count):
        pieces = [chr(draw.choice(SCALARS)) for _ in range(draw.randrange(12))]
        texts.append("".join([*pieces, *draw.choices(SPECIAL, k=draw.randrange(3))]))
    return texts


def round_trips(share: float, count: int, seed: int) -> tuple[int, list[str]]:
    """Each text encoded and decoded at once, and token by token: every split there is."""
    tried, failures = 0, []
    texts = texts_of(share, count, seed)
    for kind, tokenizer in lossless().items():
        for text in texts:
            tried += 1
            ids = tokenizer.encode(text).tolist()
            decoder = tokenizer.decoder()
            fed = "".join(map(decoder.feed, ids)) + decoder.finish()
            if not text == fed == tokenizer.decode(ids):
                failures.append(f"{kind}: {text!r} became {fed!r}")
    return tried, failures
