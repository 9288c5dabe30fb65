"""What a model is and how it was made: two frozen dataclasses.

A field's default, help text and limits stand here once; the command line makes its options from
them and the checkpoint keeps them as JSON. Knows nothing about torch, files or terminals.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from charlm.errors import OptionError

Config = TypeVar("Config", bound="_Checked")


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A dataclass field with its help text and its limits (`above` and `below` exclude the end)."""
    limits = {"minimum": minimum, "above": above, "maximum": maximum, "below": below}
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "choices": choices,
            "limits": {k: v for k, v in limits.items() if v is not None},
        },
    )


class _Checked:
    """A dataclass that refuses values of the wrong type or outside the limits of their fields."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_value(field, getattr(self, field.name))

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_json(cls: type[Config], values: Mapping[str, Any]) -> Config:
        """The inverse of `to_json`; raises OptionError at a missing, unknown or unusable field."""
        expected = {field.name for field in dataclasses.fields(cls)}
        if difference := expected ^ set(values):
            names = ", ".join(sorted(difference))
            raise OptionError(f"fields of {cls.__name__} missing or unknown: {names}")
        return cls(**values)


def field_types(field: dataclasses.Field[Any]) -> tuple[type, ...]:
    """The types that a field's annotation allows: `int | None` gives (int, NoneType)."""
    if isinstance(field.type, types.UnionType):
        return typing.get_args(field.type)
    assert isinstance(field.type, type)
    return (field.type,)


def check_value(field: dataclasses.Field[Any], value: Any) -> None:
    """Raises OptionError unless the value has the field's type, is finite and within its limits."""
    allowed = field_types(field)
    name = "--" + field.name.replace("_", "-")
    if float in allowed and type(value) is int:
        value = float(value)
    if type(value) not in allowed:
        raise OptionError(f"{name}: expected {allowed[0].__name__}, not {value!r}")
    choices = field.metadata["choices"]
    if choices and value not in choices and value is not None:
        raise OptionError(f"{name}: {value!r} is not one of {', '.join(choices)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        check_limits(name, value, **field.metadata["limits"])


def check_limits(name: str, value: float, **limits: float) -> None:
    """Raises OptionError, which says the name, unless the value is finite and within the limits."""
    within = {
        "minimum": value >= limits.get("minimum", value),
        "above": value > limits.get("above", -math.inf),
        "maximum": value <= limits.get("maximum", value),
        "below": value < limits.get("below", math.inf),
    }
    if not math.isfinite(value) or not all(within[limit] for limit in limits):
        must = in_words(limits)
        if isinstance(value, float) and not limits.keys() & {"maximum", "below"}:
            must += " and finite"
        raise OptionError(f"{name}: {_number(value)} cannot be used; it must be {must}")


def in_words(limits: Mapping[str, float]) -> str:
    """What a value must be.

    >>> in_words({"above": 0, "maximum": 4096})
    'above 0 and at most 4,096'
    """
    words = {"minimum": "at least", "above": "above", "maximum": "at most", "below": "below"}
    return " and ".join(f"{words[limit]} {_number(bound)}" for limit, bound in limits.items())


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


GATES = {  # blocks of rows in a cell's weights; `charlm.cells` has the equations and their order
    "rnn": 1,
    "rnn-relu": 1,
    "gru-simple": 2,
    "gru-reset-before": 3,
    "gru": 3,
    "lstm": 4,
    "lstm-peephole": 4,
}
CELLS = tuple(GATES)
TOKENIZERS = ("characters", "bytes", "words", "unigram", "bpe")
LARGEST = 2**20  # no vocabulary, layer or batch is larger
MOST = 10**9  # no budget is larger, in whatever unit


@dataclasses.dataclass(frozen=True)
class ModelConfig(_Checked):
    """What the weights are."""

    vocabulary_size: int = option(
        help="Number of tokens, <EOS> and <UNK> included.", minimum=2, maximum=LARGEST
    )
    cell: str = option("lstm", help="Recurrent cell.", choices=CELLS)
    layers: int = option(1, help="Recurrent layers.", minimum=1, maximum=64)
    hidden_size: int = option(512, help="Units of a layer.", minimum=1, maximum=65_536)
    embedding_size: int = option(64, help="Size of a token's vector.", minimum=1, maximum=65_536)
    tie_weights: bool = option(
        False, help="Use the embedding as the softmax layer's weights too (sizes must agree)."
    )
    per_line: bool = option(
        False, help="Each line is a sequence of its own (names, molecules, sentences)."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tie_weights and self.embedding_size != self.hidden_size:
            raise OptionError(
                f"--tie-weights needs --embedding-size ({self.embedding_size}) "
                f"equal to --hidden-size ({self.hidden_size})"
            )

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, as a torch.nn.LSTM, GRU or RNN under `rnn.` has them.

        Peepholes, which torch.nn lacks, are `rnn.weight_ch_l0` (3, hidden) and so on.
        """
        rows = GATES[self.cell] * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "embedding.weight": (self.vocabulary_size, self.embedding_size)
        }
        for k in range(self.layers):
            inputs = self.embedding_size if k == 0 else self.hidden_size
            shapes[f"rnn.weight_ih_l{k}"] = (rows, inputs)
            shapes[f"rnn.weight_hh_l{k}"] = (rows, self.hidden_size)
            shapes[f"rnn.bias_ih_l{k}"] = shapes[f"rnn.bias_hh_l{k}"] = (rows,)
            if self.cell == "lstm-peephole":
                shapes[f"rnn.weight_ch_l{k}"] = (3, self.hidden_size)
        if not self.tie_weights:
            shapes["output.weight"] = (self.vocabulary_size, self.hidden_size)
        shapes["output.bias"] = (self.vocabulary_size,)
        return shapes

    @property
    def shape(self) -> str:
        """Layers, units and cell: 1 × 512 LSTM."""
        return f"{self.layers} × {self.hidden_size} {self.cell.upper()}"

    @property
    def state_parts(self) -> int:
        """Vectors in a layer's state: an LSTM's (a, c), any other cell's (a,) or (c,)."""
        return 2 if self.cell in ("lstm", "lstm-peephole") else 1

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""
        return sum(math.prod(shape) for shape in self.weight_shapes().values())


@dataclasses.dataclass(frozen=True)
class TrainConfig(_Checked):
    """How the weights are made."""

    minutes: float | None = option(
        None,
        help="Time budget, in minutes from the start of the command; 3 if there is no budget.",
        above=0,
        maximum=MOST,
    )
    epochs: float | None = option(
        None, help="Budget in passes over the text.", above=0, maximum=MOST
    )
    steps: int | None = option(None, help="Budget in optimiser steps.", minimum=1, maximum=MOST)
    batch_size: int = option(
        32, help="Streams (or lines) trained at once.", minimum=1, maximum=LARGEST
    )
    bptt: int = option(
        64, help="Steps of truncated back-propagation through time.", minimum=1, maximum=LARGEST
    )
    learning_rate: float = option(
        3e-3,
        help="Peak learning rate of AdamW; that of output weights that are not tied is 3 times it.",
        above=0,
        maximum=10,
    )
    weight_decay: float = option(0.05, help="Weight decay of AdamW.", minimum=0, maximum=10)
    dropout: float = option(
        0.0,
        help="Dropout between layers and before the softmax, one mask per window.",
        minimum=0,
        below=1,
    )
    clip: float = option(0.25, help="Clip gradients to this global norm.", above=0)
    warmup: float = option(
        0.05, help="Share of the budget over which the learning rate rises.", minimum=0, maximum=1
    )
    reset_probability: float = option(
        0.01,
        help="Chance that a stream starts a window from the zero state.",
        minimum=0,
        maximum=1,
    )
    patience: int = option(
        20, help="Stop after this many validations without a better one.", minimum=1, maximum=MOST
    )
    seed: int = option(1, help="Seed of everything random.", minimum=0, maximum=2**32 - 1)
    precision: str = option(
        "float32", help="Arithmetic of training.", choices=("float32", "bfloat16")
    )
    threads: int = option(1, help="Threads on the CPU.", minimum=1, maximum=512)

    def __post_init__(self) -> None:
        super().__post_init__()
        if [self.minutes, self.epochs, self.steps].count(None) != 2:
            raise OptionError("give exactly one budget: --minutes, --epochs or --steps")
