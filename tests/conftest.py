"""What the tests share: small trained models, random models of every kind, the hypothesis profile.

Fixtures, all made once a session (importing this file imports neither torch nor NumPy):

- `cat_text`: 12 KB of simple sentences of cat and cats, apples and pears, one a line.
- `cat_file`: the path of a file of it.
- `names`: 200 first names. `names_file`: the path of a file of them, one a line.
- `cat_path`: the path of a checkpoint, a whole-file LSTM trained on `cat_text` (characters,
  1 × 32) that can be resumed; its seen characters are those of `cat_text`.
- `name_path`: the same for a per-line GRU trained on `names`.
- `cat_model`, `name_model`: the two as `charlm.api.Model`.
- `machine`: a `planning.Machine` that never changes: CPU, float32, one thread.
- `charlm`: a function that runs a command line in this process: `charlm("info", path)` gives its
  exit code, stdout and stderr. `input=` is stdin; `code=None` accepts any exit code, else 0.

Functions to import (`from conftest import random_checkpoint`):

- `random_checkpoint(cell=, layers=, …)`: a checkpoint with random weights that predict sharply,
  of any cell, number of layers, tie_weights, tokenizer kind and per_line; nothing is trained.
- `corpus_of(text, …)`: a string as a `Corpus`, with the options of `build_corpus`.
- `train(corpus, **chosen)`: a `Run` trained to its end with tiny defaults.
- `KEYS`: the keys that the JSON of score and eval has, at least.
- `cat_sentences(count, seed)`: the sentences that `cat_text` consists of.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from charlm.api import Model
    from charlm.checkpoint import Checkpoint
    from charlm.corpus import Corpus
    from charlm.planning import Machine
    from charlm.run import Run

settings.register_profile("charlm", derandomize=True, deadline=None, max_examples=25, database=None)
settings.load_profile("charlm")

NAMES = """
Ada Adam Adele Agnes Aino Albert Alena Alice Alma Amir Amy Andrea Anna Anton Arne Arthur Astrid
August Aurora Barbara Basil Beate Ben Berta Bianca Bodil Boris Brita Bruno Carl Carla Carmen Cecil
Celia Chloe Clara Claude Cleo Conny Conrad Cora Dag Dana Daniel Daria David Delia Diana Dora Doris
Edda Edgar Edith Edwin Egon Elena Elias Elin Elisa Ella Elmar Elsa Emil Emilia Emma Erik Erna Ernst
Esther Eva Felix Fiona Flora Frank Franz Freya Frida Fritz Gerda Gina Gisela Greta Gudrun Gunnar
Gustav Hanna Hans Harald Heidi Helen Helga Henri Hilda Hugo Ida Igor Ilse Ines Inga Ingrid Irene
Iris Isa Ivan Ivar Jakob Jan Jana Jens Joan Johan Jonas Josef Judith Julia Julian Karin Karl Kasper
Katja Kira Klaus Klara Knut Lars Laura Lea Lena Leo Leon Lidia Lilian Lina Linda Lotte Louis Lucas
Luisa Lydia Magda Magnus Maja Marco Maria Marta Martin Max Mia Mila Mina Mona Nadia Nils Nina Nora
Olaf Olga Oscar Otto Paula Peter Petra Pia Rasmus Robert Rolf Rosa Ruth Sara Selma Signe Silvia
Simon Sofia Stella Sven Tanja Tekla Theo Thea Tilda Tina Tom Ulla Ulrik Uma Urs Vera Viktor Viola
Walter Wanda Wilma Xenia Yara Yves Zita Zoe Zora
Zuzana
"""
DOINGS = ("sat on the mat", "saw the apple and pear salad", "ate the fish", "went home")
TINY = {"hidden_size": 32, "embedding_size": 16, "batch_size": 8, "bptt": 32, "dropout": 0.0}


def cat_sentences(count: int, seed: int = 1) -> list[str]:
    """Sentences in which the verb agrees with cat or cats, across a clause or not."""
    draw = random.Random(seed)
    sentences = []
    for _ in range(count):
        noun, verb = draw.choice([("cat", "was"), ("cats", "were")])
        clause = f", which already {draw.choice(DOINGS)}," if draw.random() < 0.5 else ""
        sentences.append(f"The {noun}{clause} {verb} {draw.choice(['full', 'happy', 'here'])}.")
    return sentences


def corpus_of(text: str, **options: Any) -> "Corpus":
    """A string as a corpus; options are those of `charlm.corpus.build_corpus`."""
    from charlm.corpus import build_corpus
    from charlm.text import text_of

    return build_corpus(text_of(text), **options)


def fixed_machine() -> "Machine":
    from charlm.planning import Machine

    return Machine(device="cpu", precision="float32", threads=1, rate=1e11)


def train(corpus: "Corpus", **chosen: Any) -> "Run":
    """Begins a tiny run with what was chosen of both configurations, and trains it to its end."""
    from charlm.run import begin

    run = begin(corpus, fixed_machine(), {**TINY, **chosen})
    for _ in run.training.run():
        pass
    return run


TOKENIZER_TEXT = "".join(f"{line}\n" for line in cat_sentences(60, seed=5)) + "Äé€😀\t"


def random_checkpoint(
    cell: str = "lstm",
    layers: int = 1,
    *,
    tie_weights: bool = False,
    tokenizer: str = "characters",
    per_line: bool = False,
    hidden_size: int = 12,
    embedding_size: int = 7,
    seed: int = 0,
) -> "Checkpoint":
    """An untrained checkpoint; its weights are wide enough that gates open and close."""
    import numpy as np

    from charlm.checkpoint import Checkpoint, CorpusRecord
    from charlm.config import ModelConfig, TrainConfig
    from charlm.tokenizers import train_tokenizer

    sizes = {"unigram": 330, "bpe": 330, "words": 20}
    made = train_tokenizer(tokenizer, [TOKENIZER_TEXT], 1, sizes.get(tokenizer))
    config = ModelConfig(
        vocabulary_size=made.size,
        cell=cell,
        layers=layers,
        hidden_size=hidden_size,
        embedding_size=hidden_size if tie_weights else embedding_size,
        tie_weights=tie_weights,
        per_line=per_line,
    )
    draw = np.random.default_rng(seed)
    calm = 0.9 / hidden_size**0.5  # recurrent weights of a wider spread would be chaotic
    weights = {
        name: draw.normal(0, calm if "weight_hh" in name else 0.7, shape).astype(np.float32)
        for name, shape in config.weight_shapes().items()
    }
    corpus = CorpusRecord(
        name="random",
        train_characters=100,
        valid_characters=10,
        train_tokens=100,
        tokens_per_character=1.0,
        digest="0" * 16,
    )
    return Checkpoint(config, made, weights, TrainConfig(steps=1), corpus)


KEYS = {  # of the JSON of score and eval, at least
    "bits_per_token",
    "log_probability",
    "log10_probability",
    "tokens",
    "characters",
    "bytes",
    "unseen_tokens",
    "bits_per_character",
    "bits_per_byte",
    "nats_per_token",
    "perplexity",
    "eos_counted",
}


class Ran(NamedTuple):
    """What a command line gave."""

    code: int
    out: str
    err: str


@pytest.fixture
def charlm() -> Callable[..., Ran]:
    from click.testing import CliRunner

    from charlm.cli import charlm as group

    def run(*args: object, input: str | bytes | None = None, code: int | None = 0) -> Ran:
        result = CliRunner().invoke(group, [str(arg) for arg in args], input=input)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        ran = Ran(result.exit_code, result.stdout, result.stderr)
        assert code in (None, ran.code), ran
        return ran

    return run


@pytest.fixture(scope="session")
def machine() -> "Machine":
    return fixed_machine()


@pytest.fixture(scope="session")
def cat_text() -> str:
    return "".join(f"{line}\n" for line in cat_sentences(330))


@pytest.fixture(scope="session")
def names() -> list[str]:
    return NAMES.split()


@pytest.fixture(scope="session")
def cat_file(cat_text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "cats.txt"
    path.write_text(cat_text, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def names_file(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "names.txt"
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def cat_path(cat_text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from charlm.checkpoint import save

    path = tmp_path_factory.mktemp("checkpoints") / "cats.safetensors"
    save(path, train(corpus_of(cat_text), steps=500, learning_rate=0.01, seed=2).checkpoint())
    return path


@pytest.fixture(scope="session")
def name_path(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    from charlm.checkpoint import save

    corpus = corpus_of("\n".join(names), per_line=True)
    path = tmp_path_factory.mktemp("checkpoints") / "names.safetensors"
    save(path, train(corpus, cell="gru", steps=300, learning_rate=0.01, patience=99).checkpoint())
    return path


@pytest.fixture(scope="session")
def cat_model(cat_path: Path) -> "Model":
    from charlm.api import load

    return load(cat_path)


@pytest.fixture(scope="session")
def name_model(name_path: Path) -> "Model":
    from charlm.api import load

    return load(name_path)
