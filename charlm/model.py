"""The language model: (tokens, state) → (logits, state).

Knows nothing about text, files, optimisers or sampling. The state is an argument and a result.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from charlm.cells import CELL_CLASSES, initialise
from charlm.config import ModelConfig

LayerState = tuple[Tensor, ...]  # an LSTM's (a, c), else one vector; each (1, batch, hidden)
State = list[LayerState]  # one entry a layer
Weights = Mapping[str, npt.NDArray[np.float32]]


class LanguageModel(nn.Module):
    """Embedding, recurrent layers, softmax layer: P(token t + 1 | tokens up to t).

    Each layer is a cell of `charlm.cells`, which gives its equation; dropout stands between the
    layers and before the softmax layer, with one mask for all steps of a window (Gal and
    Ghahramani 2016, arXiv:1512.05287).

    >>> from charlm.config import ModelConfig
    >>> model = LanguageModel(ModelConfig(vocabulary_size=10, hidden_size=16))
    >>> logits, state = model(torch.zeros(5, 2, dtype=torch.long), model.initial_state(2))
    >>> tuple(logits.shape)
    (5, 2, 10)
    """

    def __init__(self, config: ModelConfig, weights: Weights | None = None) -> None:
        """With a checkpoint's weights, by the names of `named_weights`, else with random ones."""
        super().__init__()
        self.config = config
        sizes = [config.embedding_size] + [config.hidden_size] * config.layers
        self.embedding = nn.Embedding(config.vocabulary_size, config.embedding_size)
        self.layers = nn.ModuleList(
            CELL_CLASSES[config.cell](sizes[k], sizes[k + 1]) for k in range(config.layers)
        )
        self.output = nn.Linear(config.hidden_size, config.vocabulary_size)
        if config.tie_weights:
            self.output.weight = self.embedding.weight
        if weights is None:
            self.initialise()
        else:
            self.load_weights(weights)

    @torch.no_grad()
    def initialise(self) -> None:
        """Small embeddings, the smaller if tied; each cell's own initialisation, zero biases."""
        nn.init.normal_(self.embedding.weight, std=0.1 if self.config.tie_weights else 0.3)
        for layer in self.layers:
            initialise(layer, self.config.cell)
        if not self.config.tie_weights:
            nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    @torch.no_grad()
    def expect(self, frequencies: npt.NDArray[np.float64]) -> None:
        """Begins by predicting each token as often as it comes, whatever was before it.

        frequencies: (vocabulary,) shares of 1, none 0. Their logarithms are the softmax layer's
        bias, which else takes hundreds of steps to learn them (Karpathy 2019, "init well").
        """
        self.output.bias.copy_(torch.from_numpy(np.log(frequencies)))

    def flatten(self) -> None:
        """Lays each layer's weights together in memory, as a GPU's kernels want them."""
        for layer in self.layers:
            if isinstance(layer, nn.RNNBase):
                layer.flatten_parameters()

    def initial_state(self, batch: int) -> State:
        """The zero state, with which every sequence starts."""
        weight = self.output.bias
        zeros = weight.new_zeros(1, batch, self.config.hidden_size)
        return [(zeros,) * self.config.state_parts] * self.config.layers

    def forward(
        self, tokens: Tensor, state: State, masks: list[Tensor] | None = None
    ) -> tuple[Tensor, State]:
        """Logits of the next token after each token.

        tokens: (time, batch) integers. masks: from `dropout_masks`, or None for no dropout.
        Returns logits (time, batch, vocabulary) and the state after the last step.
        """
        return self.from_vectors(self.embedding(tokens), state, masks)

    def from_vectors(
        self, vectors: Tensor, state: State, masks: list[Tensor] | None = None
    ) -> tuple[Tensor, State]:
        """`forward` from the tokens' vectors (time, batch, embedding) on."""
        hidden, after = self.hidden(vectors, state, masks)
        return self.output(hidden), after

    def hidden(
        self, vectors: Tensor, state: State, masks: list[Tensor] | None = None
    ) -> tuple[Tensor, State]:
        """The last layer's output (time, batch, hidden), which the softmax layer reads."""
        hidden = vectors
        after: State = []
        for k, layer in enumerate(self.layers):
            before = state[k] if self.config.state_parts > 1 else state[k][0]
            hidden, last = layer(hidden, before)
            parts = last if isinstance(last, tuple) else (last,)
            after.append(tuple(part.to(self.output.bias.dtype) for part in parts))
            if masks is not None:
                hidden = hidden * masks[k]
        return hidden, after

    def dropout_masks(self, batch: int, rate: float, generator: torch.Generator) -> list[Tensor]:
        """One (batch, hidden) mask a layer, zero with probability `rate`, else 1 / (1 − rate)."""
        masks = self.output.bias.new_empty(self.config.layers, batch, self.config.hidden_size)
        return list(masks.bernoulli_(1 - rate, generator=generator).div_(1 - rate))

    def named_weights(self) -> dict[str, Tensor]:
        """The parameters under the checkpoint's names, which are those of a stacked torch.nn.LSTM.

        `embedding.weight`, `rnn.weight_ih_l0`, …, `output.weight` (absent if tied), `output.bias`.
        """
        return {_checkpoint_name(name): weight for name, weight in self.named_parameters()}

    @torch.no_grad()
    def load_weights(self, weights: Weights) -> None:
        """The inverse of `named_weights`; names and shapes must agree."""
        own = self.named_weights()
        assert set(own) == set(weights)
        for name, parameter in own.items():
            assert parameter.shape == weights[name].shape
            parameter.copy_(torch.from_numpy(weights[name].copy()))


def _checkpoint_name(name: str) -> str:
    """`layers.2.weight_ih_l0` → `rnn.weight_ih_l2`; other names stay."""
    if not name.startswith("layers."):
        return name
    _, layer, parameter = name.split(".")
    return f"rnn.{parameter.removesuffix('0')}{layer}"
