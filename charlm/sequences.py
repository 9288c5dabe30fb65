"""Sequences of tokens read: many side by side, −ln P of every token, or one in full.

Knows engines and token numbers; knows nothing about texts or what is made of the figures.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from charlm.inference import Array, Engine, Exact, Ids, State, ln_softmax, rows_of
from charlm.tokenizers import EOS

WINDOW = 256  # steps run at once
BATCH_TOKENS = 2**13  # padded tokens of one batch of sequences: more leave the cache


def sequence_nats(
    engine: Engine, sequences: Sequence[Ids], states: State | None = None
) -> list[Array]:
    """−ln P of every token after the first of each sequence.

    Each starts from its row of `states`, from the only row there is, or else from the zero state.
    Sequences of about the same length run together; long ones run in windows with their state.
    """
    states = engine.initial_state(1) if states is None else states
    rows = len(states[0][0])
    results: list[Array] = [np.zeros(0, np.float32)] * len(sequences)
    for group, ids in _side_by_side(sequences):
        state = rows_of(states, [k % rows for k in group])
        windows = [nats for nats, _ in _run(engine, ids, state)]
        nats = np.concatenate(windows) if windows else np.zeros((0, len(group)), np.float32)
        for column, k in enumerate(group):
            results[k] = nats[: len(sequences[k]) - 1, column]
    return results


def state_after(engine: Engine, ids: Ids) -> State:
    """The state of one stream that has read these tokens from the zero state."""
    state = engine.initial_state(1)
    for at in range(0, len(ids), WINDOW):
        state = engine.after(ids[at : at + WINDOW, None].astype(np.intp), state)
    return state


def predictions(engine: Engine, ids: Ids, state: State) -> Iterator[tuple[Exact, Ids]]:
    """What one stream that goes on from `state` predicts at each of ids[1:], window by window.

    ln P of every possible token, (time, vocabulary), and the tokens that came, (time,).
    """
    for at in range(0, len(ids) - 1, WINDOW):
        window = ids[at : at + WINDOW + 1].astype(np.intp)
        logits, state = engine.logits(window[:-1, None], state)
        yield ln_softmax(logits[:, 0]), window[1:]


def pair_nats(
    engine: Engine, firsts: Sequence[Ids], seconds: Sequence[Ids]
) -> tuple[list[Array], list[Array]]:
    """The same of both sequences of each pair; what the two begin with is read once.

    All start from the zero state.
    """
    forks = [_fork(*pair) for pair in zip(firsts, seconds, strict=True)]
    first_nats, states = _read_past(engine, firsts, forks)
    tails = [second[fork:] for second, fork in zip(seconds, forks, strict=True)]
    tail_nats = sequence_nats(engine, tails, states)
    second_nats = [
        np.concatenate([first[:fork], tail])
        for first, fork, tail in zip(first_nats, forks, tail_nats, strict=True)
    ]
    return first_nats, second_nats


def _fork(first: Ids, second: Ids) -> int:
    """How many tokens stand before the last that both have in common."""
    length = min(len(first), len(second)) - 1
    differ = np.flatnonzero(first[:length] != second[:length])
    return max(0, int(differ[0] if len(differ) else length) - 1)


def _read_past(
    engine: Engine, sequences: Sequence[Ids], forks: Sequence[int]
) -> tuple[list[Array], State]:
    """−ln P of every token after the first, and the state that each sequence has at its fork."""
    states = rows_of(engine.initial_state(1), [0] * len(sequences))
    results: list[Array] = [np.zeros(0, np.float32)] * len(sequences)
    for group, ids in _side_by_side(sequences):
        nats = np.empty((len(ids) - 1, len(group)), np.float32)
        state, numbers = engine.initial_state(len(group)), np.array(group)
        here = np.array([forks[k] for k in group])
        for t in range(len(ids) - 1):
            _keep(states, numbers[here == t], state, here == t)
            nats[t : t + 1], state = engine.nats(ids[t : t + 1], ids[t + 1 : t + 2], state)
        for column, k in enumerate(group):
            results[k] = nats[: len(sequences[k]) - 1, column]
    return results, states


def _keep(states: State, rows: Ids, state: State, columns: Ids) -> None:
    """Writes some columns of a batch's state into rows of `states`."""
    for kept_layer, layer in zip(states, state, strict=True):
        for kept, part in zip(kept_layer, layer, strict=True):
            kept[rows] = part[columns]


def _side_by_side(sequences: Sequence[Ids]) -> Iterator[tuple[list[int], Ids]]:
    """Batches of about equal lengths: which sequences, and their tokens (time, batch).

    What is shorter than a batch's longest is filled up with <EOS>.
    """
    lengths = [len(sequence) for sequence in sequences]
    for group in _groups(sorted(range(len(lengths)), key=lambda k: lengths[k]), lengths):
        ids = np.full((lengths[group[-1]], len(group)), EOS)
        for column, k in enumerate(group):
            ids[: lengths[k], column] = sequences[k]
        yield group, ids


def _groups(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Runs of `order`, whose lengths rise, that fill a batch."""
    group: list[int] = []
    for k in order:
        if group and (len(group) + 1) * lengths[k] > BATCH_TOKENS:
            yield group
            group = []
        group.append(k)
    if group:
        yield group


def _run(engine: Engine, ids: Ids, state: State) -> Iterator[tuple[Array, State]]:
    """−ln P of ids[1:] (time, batch) window by window, with the state after each."""
    for at in range(0, len(ids) - 1, WINDOW):
        window = ids[at : at + WINDOW + 1].astype(np.intp)
        nats, state = engine.nats(window[:-1], window[1:], state)
        yield nats, state
