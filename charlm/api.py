"""A trained model to use from Python, with the words of the command line.

`load` reads a checkpoint; the `Model` it gives samples, scores and evaluates. The examples below
run against a small model that the tests train.
"""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from charlm import scoring
from charlm.beam import Found, beam_search
from charlm.checkpoint import Checkpoint
from charlm.checkpoint import load as load_checkpoint
from charlm.config import check_limits
from charlm.corpus import tokenize
from charlm.errors import OptionError, TextError, VocabularyError
from charlm.inference import Engine, Ids, NumpyEngine
from charlm.inspection.surprise import ScoredText
from charlm.sampling import Sampler, generate, never_written
from charlm.scoring import Score, TokenScore, Watch
from charlm.summary import summary
from charlm.text import Text, open_text, text_of
from charlm.tokenizers import EOS
from charlm.tokenizers.words import WordDecoder

LENGTH = 1000  # tokens of a text that is written, at most, if nothing else is said
BULK = 3e11  # floating-point operations above which importing torch pays


def load(path: str | os.PathLike[str]) -> "Model":
    """Reads a checkpoint; raises CheckpointError if it is not a sound one.

    >>> load(path).checkpoint.model.cell
    'lstm'
    """
    return Model(load_checkpoint(path))


class Model:
    """A checkpoint's network with its tokenizer. Torch is imported only for work in bulk."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.tokenizer = checkpoint.tokenizer
        self.per_line = checkpoint.model.per_line
        self.engine: Engine = NumpyEngine(checkpoint.model, checkpoint.weights)
        self._bulk: dict[str, Engine] = {}

    def __repr__(self) -> str:
        """The first line of `charlm info`."""
        return f"<charlm model: {summary(self.checkpoint)[0][1]}>"

    def engine_for(self, tokens: int, device: str = "auto") -> Engine:
        """The engine that runs this many tokens soonest: torch's pays when they are many."""
        if device in ("auto", "cpu") and 2 * tokens * self.checkpoint.model.parameters < BULK:
            return self.engine
        if device not in self._bulk:
            from charlm.bulk import TorchEngine

            made = TorchEngine.of(self.checkpoint.model, self.checkpoint.weights, device)
            self._bulk[device] = made
        return self._bulk[device]

    def encode(self, text: str, *, on_unknown: str = "error") -> Ids:
        """Token numbers of a text.

        Raises VocabularyError, which names what the model never saw, unless on_unknown is "unk".

        >>> model.encode("cat").tolist() == [model.encode(c)[0] for c in "cat"]
        True
        """
        if on_unknown not in ("error", "unk"):
            raise OptionError(f"on_unknown={on_unknown!r}: give 'error' or 'unk'")
        if on_unknown == "error" and (unseen := self.tokenizer.unseen(text)):
            raise VocabularyError.of(unseen)
        return self.tokenizer.encode(text)

    def sample(
        self,
        prompt: str = "",
        *,
        length: int = LENGTH,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int | None = None,
        allow_unk: bool = False,
        on_unknown: str = "error",
    ) -> str:
        """One text of at most `length` tokens after the prompt (which it does not repeat).

        >>> model.sample("The ", length=20, seed=1) == model.sample("The ", length=20, seed=1)
        True
        """
        tokens = self.stream(
            prompt,
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            seeds=[_seed(seed)],
            allow_unk=allow_unk,
            on_unknown=on_unknown,
        )
        return "".join(self.written(prompt, (token[0] for token in tokens)))

    def stream(
        self,
        prompt: str = "",
        *,
        length: int = LENGTH,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seeds: Sequence[Sequence[int]],
        allow_unk: bool = False,
        on_unknown: str = "error",
        device: str = "auto",
    ) -> Iterator[Ids]:
        """The next token of each of `len(seeds)` texts, as they are written; <EOS> ends a text."""
        check_limits("--length", length, minimum=0)
        if not seeds:
            raise OptionError("stream: give a seed for each text")
        forbidden = never_written(self.tokenizer, self.per_line, allow_unk)
        sampler = Sampler(temperature, top_k, top_p, min_p, forbidden)
        self.check_lines([prompt])
        ids = self.encode(prompt, on_unknown=on_unknown)
        engine = self.engine_for(length * len(seeds) if len(seeds) > 1 else 0, device)
        return generate(engine, sampler, ids, seeds, length)

    def search(
        self,
        prompt: str = "",
        *,
        width: int = 5,
        length: int = LENGTH,
        length_penalty: float = 0.0,
        allow_unk: bool = False,
        on_unknown: str = "error",
        device: str = "auto",
    ) -> list[Found]:
        """The best `width` sequences after the prompt by beam search (see `charlm.beam`).

        Of several that spell the same text, as sequences of bytes or subwords may, the best alone.

        >>> best, *others = model.search("The cat", width=3, length=12)
        >>> len(others), all(other.score <= best.score for other in others), len(best.text)
        (2, True, 12)
        """
        self.check_lines([prompt])
        ids = self.encode(prompt, on_unknown=on_unknown)
        engine = self.engine_for(length * width if width > 1 else 0, device)
        forbidden = never_written(self.tokenizer, self.per_line, allow_unk)
        texts: dict[str, Found] = {}
        for found in beam_search(
            engine, ids, width, length, length_penalty=length_penalty, forbidden=forbidden
        ):
            text = "".join(self.written(prompt, found.tokens))
            texts.setdefault(text, dataclasses.replace(found, text=text))
        return list(texts.values())

    def check_lines(self, texts: Sequence[str]) -> None:
        """Raises OptionError where a text of a per-line model holds a line end: it is a line."""
        if self.per_line and (several := [text for text in texts if "\n" in text]):
            raise OptionError(f"{several[0]!r:.40} holds a line end; this model's texts are lines")

    def written(self, prompt: str, tokens: Iterable[int]) -> Iterator[str]:
        """What tokens after a prompt write, piece by piece; words are joined to it as to others.

        >>> "".join(model.written("The ", model.encode("cat")))
        'cat'
        """
        decoder = self.tokenizer.decoder()
        for token in self.tokenizer.encode(prompt):
            decoder.feed(int(token))
        if isinstance(decoder, WordDecoder) and prompt[-1:].isspace():
            decoder.glue()
        for token in tokens:
            if token != EOS:
                yield decoder.feed(int(token))
        yield decoder.finish()

    def score(self, text: str, *, given: str = "", eos: bool | None = None) -> ScoredText:
        """P(text) by the chain rule, as a sequence from the zero state after <EOS> and `given`.

        eos: whether the sequence's end is counted; by default for per-line models alone. In a
        notebook the score shows itself as a map of what surprised the model. Raises OptionError
        where a text of a per-line model holds a line end.

        >>> a, b = model.score("The cat"), model.score("The ca"),
        >>> bool(a.log_probability < b.log_probability < 0)
        True
        """
        score = self.scores([text], given=given, eos=eos)[0]
        tokens = partial(self.token_scores, text, given=given, eos=eos)
        return ScoredText(**vars(score), token_scores=tokens)

    def scores(
        self, texts: Iterable[str], *, given: str = "", eos: bool | None = None
    ) -> list[Score]:
        """`score` of many texts, in batches of about the same length.

        >>> [score.tokens for score in model.scores(["The", "The cat"])]
        [3, 7]
        """
        if isinstance(texts, str):  # which is a sequence of texts of one character each
            raise OptionError("scores: give a list of texts; `score` takes one")
        texts = list(texts)
        self.check_lines([given, *texts])
        eos = self.per_line if eos is None else eos
        engine = self.engine_for(sum(map(len, texts)) if len(texts) > 1 else 0)
        return scoring.score(engine, self.tokenizer, texts, given=given, eos=eos)

    def token_scores(
        self, text: str, *, given: str = "", eos: bool | None = None
    ) -> list[TokenScore]:
        """Each token's −ln P and rank; the errors of `score`.

        >>> tokens = model.token_scores("The cat")
        >>> abs(sum(token.nats for token in tokens) + model.score("The cat").log_probability) < 1e-4
        True
        """
        self.check_lines([given, text])
        eos = self.per_line if eos is None else eos
        return scoring.score_tokens(self.engine, self.tokenizer, text, given=given, eos=eos)

    def next_tokens(self, text: str = "", count: int = 10, *, given: str = "") -> list[TokenScore]:
        """The likeliest tokens after <EOS>, `given` and the text.

        >>> len(model.next_tokens("The ", count=3))
        3
        """
        check_limits("count", count, minimum=1)
        self.check_lines([given, text])
        return scoring.next_tokens(self.engine, self.tokenizer, text, count, given=given)

    def evaluate(
        self,
        text: str | os.PathLike[str] | Text,
        *,
        streams: int = 1,
        adapt: bool = False,
        device: str = "auto",
        watch: Watch | None = None,
    ) -> Score:
        """Scores a whole text: one sequence with carried state or, per line, each line as one.

        A string is the text itself, a `Path` a file or a folder; of several files each is a
        sequence of its own. With `adapt` a copy of the model learns from what it has predicted
        (see `charlm.adapting`); OptionError with streams, or for a per-line model. `watch` is told
        the share that is done. Raises TextError for a text in which there is nothing to predict,
        OptionError for streams of a per-line model.

        >>> score = model.evaluate("The cat was full.\\n" * 9)
        >>> score.characters, score.unseen_tokens
        (162, 0)
        """
        check_limits("--streams", streams, minimum=1)
        if self.per_line and streams > 1 and not adapt:
            raise OptionError(
                f"--streams {streams}: a per-line model reads many lines side by side as it is; "
                "leave it out"
            )
        if isinstance(text, os.PathLike):
            text = open_text([text])
        elif isinstance(text, str):
            text = text_of(text)
        engine = (
            self._adapting(streams, device) if adapt else self.engine_for(text.characters, device)
        )
        tokens = tokenize(text.to_read(self.per_line), self.tokenizer, self.per_line)
        score = scoring.evaluate(engine, tokens, streams, watch)
        if not score.tokens:
            raise TextError(f"{text.name} is empty lines or spaces: it has nothing to predict")
        return score

    def _adapting(self, streams: int, device: str) -> Engine:
        if streams > 1 or self.per_line:
            kind = "several --streams" if streams > 1 else "a per-line model"
            raise OptionError(f"--adapt reads one text from its start to its end, not {kind}")
        from charlm.adapting import AdaptingEngine

        return AdaptingEngine.of(self.checkpoint.model, self.checkpoint.weights, device)


def _seed(seed: int | None) -> list[int]:
    if seed is None:
        return [int.from_bytes(os.urandom(4), "little"), 0]
    check_limits("--seed", seed, minimum=0)
    return [seed, 0]
