"""Gradients through time: how far back a loss is felt, and what a prediction rests on.

Pascanu, Mikolov and Bengio 2013 (arXiv:1211.5063): the gradient of the loss of step t with respect
to the state k steps earlier is a product of k Jacobians, so that its norm vanishes or explodes
about geometrically with k. Knows networks and token numbers; knows nothing about files or drawing.
"""

import copy
import dataclasses

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from charlm.checkpoint import Checkpoint
from charlm.errors import OptionError, TextError
from charlm.inference import Ids
from charlm.model import LanguageModel, State
from charlm.tokenizers import EOS

Exact = npt.NDArray[np.float64]
WARM_UP = 64  # tokens read before a window, so that its state is not cold
REACH = 1000  # tokens before a position over which `context` goes back


@dataclasses.dataclass(frozen=True)
class Flow:
    """‖∂L⟨t⟩ / ∂state⟨t−k⟩‖ for k = 1, 2, …, L⟨t⟩ being −ln P of the token after step t.

    norms: (layers, steps, positions), in float64; norms[l, k − 1, p] is that of the state of layer
    l (an LSTM's a and c together) at the p-th position t.

    >>> flow = Flow("x", "rnn", 0.5 ** np.arange(1, 9).reshape(1, 8, 1))
    >>> flow.steps.tolist(), flow.factors().round(3).tolist()
    ([1, 2, 3, 4, 5, 6, 7, 8], [0.5])
    """

    name: str
    cell: str
    norms: Exact

    @property
    def steps(self) -> npt.NDArray[np.int64]:
        """k, (steps,)."""
        return np.arange(1, self.norms.shape[1] + 1)

    @property
    def mean(self) -> Exact:
        """The mean over the positions, (layers, steps)."""
        with np.errstate(over="ignore"):
            mean: Exact = self.norms.mean(axis=2)
        return mean

    def factors(self) -> Exact:
        """By what the mean norm is multiplied with each step back, (layers,): a fitted line's.

        Least squares through ln ‖·‖ against k; nan where fewer than two norms are finite and above
        zero.
        """
        slopes = [_slope(self.steps, row) for row in self.mean]
        return np.exp(slopes)


def _slope(steps: npt.NDArray[np.int64], norms: Exact) -> float:
    """Of the line through ln norms against steps, where the norms have a logarithm."""
    known = (norms > 0) & np.isfinite(norms)
    if known.sum() < 2:
        return float("nan")
    return float(np.polyfit(steps[known], np.log(norms[known]), 1)[0])


def network(checkpoint: Checkpoint) -> LanguageModel:
    """A checkpoint's network."""
    return LanguageModel(checkpoint.model, checkpoint.weights).eval()


def windows(ids: Ids, steps: int, positions: int, *, per_line: bool) -> Ids:
    """Where to measure: columns of tokens (time, at most `positions`), the last is the target.

    ids: <EOS>, the text's tokens (per line, every line's after its <EOS>). Columns are spread
    evenly over the text, with up to 64 tokens to warm up, or are the beginnings of lines that are
    long enough. Raises TextError where there is none.
    """
    if per_line:
        starts = np.flatnonzero(ids[:-1] == EOS)
        lengths = np.append(starts[1:], len(ids) - 1) - starts
        longest, length = lengths.max(initial=0), steps + 1
        starts = starts[lengths >= steps]
    else:
        longest, length = len(ids) - 1, min(len(ids), WARM_UP + steps + 1)
        starts = np.arange(len(ids) - length + 1)
    if longest < steps:
        found = f"the text has {longest} tokens, fewer than {steps}"
        if per_line:
            found = f"no line of the text has {steps} tokens, the longest has {longest}"
        raise TextError(f"{found}; give a longer text or a lower --steps")
    chosen = np.linspace(0, len(starts) - 1, min(positions, len(starts))).astype(np.intp)
    columns: Ids = ids[starts[chosen] + np.arange(length)[:, None]]
    return columns


def flow(model: LanguageModel, columns: Ids, steps: int, name: str = "") -> Flow:
    """Goes back from the last step of each column, which starts from the zero state.

    columns: (time, positions) tokens, as `windows` gives them, at least steps + 1 of them. The
    arithmetic is in float64, as float32 would lose the smallest norms, and squares none of them.
    """
    model = copy.deepcopy(model).double()
    tokens = torch.from_numpy(columns.astype(np.int64))
    first = len(tokens) - 1 - steps
    state = model.initial_state(tokens.shape[1])
    if first:
        with torch.no_grad():
            state = model(tokens[:first], state)[1]
    states: list[State] = []
    for t in range(first, len(tokens) - 1):
        if not states:
            state = [tuple(part.clone().requires_grad_() for part in layer) for layer in state]
        states.append(state)
        logits, state = model(tokens[t : t + 1], state)
    loss = functional.cross_entropy(logits[0], tokens[-1], reduction="sum")
    parts = [part for state in reversed(states) for layer in state for part in layer]
    gradients = torch.stack(torch.autograd.grad(loss, parts))  # (…, 1, positions, hidden)
    shaped = gradients.reshape(steps, model.config.layers, -1, *gradients.shape[2:])
    with np.errstate(over="ignore"):
        norms: Exact = np.hypot.reduce(shaped.numpy(), axis=(2, 4))
    return Flow(name or model.config.cell, model.config.cell, norms.swapaxes(0, 1))


def context(model: LanguageModel, ids: Ids, position: int) -> Exact:
    """How strongly each earlier token bears on one prediction: |gradient times input|.

    ids: <EOS>, then the text's tokens. Gives (position,) numbers, of ids[:position]:
    |∂ ln P(ids[position]) / ∂e⟨j⟩ · e⟨j⟩|, e⟨j⟩ being the embedding of ids[j], in nats. Tokens
    more than 1,000 before the position, or before the line of a per-line model, have 0. After
    Madsen 2019, "Visualizing memorization in RNNs", Distill. Raises OptionError for a position
    outside the text.
    """
    if not 0 < position < len(ids):
        raise OptionError(f"position {position} is outside the text; give 1 to {len(ids) - 1}")
    begin = 0
    if model.config.per_line:
        begin = int(np.flatnonzero(ids[:position] == EOS)[-1])
    tokens = torch.from_numpy(ids[begin : position + 1].astype(np.int64))[:, None]
    first = max(0, len(tokens) - 1 - REACH)
    state = model.initial_state(1)
    if first:
        with torch.no_grad():
            state = model(tokens[:first], state)[1]
    read, last = tokens[first:-1], torch.tensor([len(tokens) - 2 - first])
    strengths = np.zeros(position)
    strengths[begin + first :] = bearings(model, read, state, last, tokens[-1])[:, 0]
    return strengths


def bearings(
    model: LanguageModel, tokens: Tensor, state: State, last: Tensor, targets: Tensor
) -> Exact:
    """|∂ ln P / ∂e · e| of every token read, e being its embedding, in nats: (time, batch).

    tokens: (time, batch), read from the state. In column k P is that of targets[k] after step
    last[k], so that what is read later has 0.
    """
    vectors = model.embedding(tokens).detach().requires_grad_()
    logits, _ = model.from_vectors(vectors, state)
    rows = logits[last, torch.arange(len(last))].double()
    chosen = torch.log_softmax(rows, 1).gather(1, targets[:, None]).sum()
    (gradient,) = torch.autograd.grad(chosen, vectors)
    strengths: Exact = (gradient * vectors).detach().double().sum(-1).abs().numpy()
    return strengths
