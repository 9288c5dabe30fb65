"""Windows cover the text in order and once, each within one sequence."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.corpus import Tokens
from charlm.tokenizers import EOS
from charlm.windows import IGNORED, Lines, Streams, Window

SIZES = st.integers(1, 12)
SEEDS = st.integers(0, 5)
FILES = st.lists(st.integers(1, 30), min_size=1, max_size=12)


def numbered(events: int) -> Tokens:
    """A text in which every token is its own place, so that a window tells what it covers."""
    return Tokens(np.arange(events + 1), events, events, per_line=False)


def numbered_lines(lengths: list[int]) -> tuple[Tokens, list[list[int]]]:
    """Lines of tokens that are all different, and the same as one file of tokens."""
    ends = np.cumsum([2, *lengths]).tolist()
    lines = [[*range(a, b), EOS] for a, b in itertools.pairwise(ends)]
    ids = np.array([EOS, *itertools.chain(*lines)])
    return Tokens(ids, len(ids) - 1, len(ids) - 1, per_line=True), lines


def numbered_files(lengths: list[int]) -> Tokens:
    """Files of tokens, every one its own place, with <EOS> before each file."""
    ids = np.arange(sum(lengths) + len(lengths))
    ids[np.cumsum([0, *(length + 1 for length in lengths[:-1])])] = EOS
    return Tokens(ids, len(ids) - 1, len(ids) - 1, per_line=False)


def targets_of(windows: list[Window]) -> list[int]:
    """All that is predicted, padding left out."""
    every = np.concatenate([window.targets.ravel() for window in windows])
    found: list[int] = every[every != IGNORED].tolist()
    return found


def epoch_of(windows: Streams | Lines, epoch: int) -> list[Window]:
    return [windows.window(epoch, index) for index in range(windows.windows(epoch))]


# Streams


@given(events=st.integers(1, 300), batch=SIZES, bptt=SIZES, seed=SEEDS, epoch=SEEDS)
def test_streams_predict_every_event_at_most_once(
    events: int, batch: int, bptt: int, seed: int, epoch: int
) -> None:
    streams = Streams(numbered(events), batch, bptt, seed, 0.3)
    windows = epoch_of(streams, epoch)
    targets = targets_of(windows)
    assert windows
    assert len(set(targets)) == len(targets)
    assert set(targets) <= set(range(1, events + 1))
    assert len(targets) > events - streams.batch * streams.bptt, "less than a window a stream"
    for window in windows:
        assert window.inputs.shape == window.targets.shape == (len(window.inputs), streams.batch)
        assert 1 <= len(window.inputs) <= streams.bptt <= bptt
        assert streams.batch <= batch


@given(events=st.integers(1, 300), batch=SIZES, bptt=SIZES, seed=SEEDS, epoch=SEEDS)
def test_streams_go_on_from_window_to_window(
    events: int, batch: int, bptt: int, seed: int, epoch: int
) -> None:
    windows = epoch_of(Streams(numbered(events), batch, bptt, seed, 0.3), epoch)
    assert windows[0].starts.all()
    for before, window in zip([None, *windows], windows, strict=False):
        shifted = (window.inputs + 1 == window.targets) | (window.targets == IGNORED)
        shifted[0, window.starts] = True
        assert shifted.all()
        assert (window.inputs[0, window.starts] == EOS).all()
        if before is not None:
            going = ~window.starts
            assert (window.inputs[0, going] == before.targets[-1, going]).all()


@given(lengths=FILES, batch=SIZES, bptt=SIZES, seed=SEEDS, epoch=SEEDS)
def test_no_state_is_carried_from_file_to_file(
    lengths: list[int], batch: int, bptt: int, seed: int, epoch: int
) -> None:
    """Every window reads from one file a stream; a file's first token starts from zero."""
    tokens = numbered_files(lengths)
    streams = Streams(tokens, batch, bptt, seed, 0.0)
    file_of = np.cumsum(tokens.ids[:-1] == EOS)  # by the number of the token before the event
    windows = epoch_of(streams, epoch)
    seen = targets_of(windows)
    assert windows
    assert len({token for token in seen if token != EOS}) == len([t for t in seen if t != EOS])
    going = np.zeros(streams.batch, int)
    for index, window in enumerate(windows):
        for column in range(streams.batch):
            inside = window.targets[:, column] != IGNORED
            assert inside.any()
            assert not inside[inside.sum() :].any()
            targets = window.targets[inside, column]
            files = {int(file_of[t - 1]) for t in targets.tolist() if t != EOS}
            assert len(files) <= 1
            assert EOS not in targets[:-1]
            assert EOS not in window.inputs[inside, column][1:]
            if window.starts[column]:
                assert window.inputs[0, column] == EOS
                assert index == 0 or going[column] == EOS
            else:
                assert window.inputs[0, column] == going[column] != EOS
            going[column] = _after(targets[-1], tokens)


def _after(target: int, tokens: Tokens) -> int:
    """The input that follows a target; <EOS>, too, behind the last token of the text."""
    return EOS if target == tokens.ids[-1] else int(target)


@given(lengths=FILES, batch=SIZES, bptt=SIZES, seed=SEEDS, epoch=SEEDS)
def test_of_files_less_than_a_window_a_stream_is_left_out(
    lengths: list[int], batch: int, bptt: int, seed: int, epoch: int
) -> None:
    streams = Streams(numbered_files(lengths), batch, bptt, seed, 0.0)
    seen = len(targets_of(epoch_of(streams, epoch)))
    assert seen > streams._events - streams.batch * streams.bptt


def test_a_window_depends_on_its_place_alone() -> None:
    one, other = (Streams(numbered(500), 4, 8, 3, 0.2) for _ in range(2))
    one.window(0, 0)
    for index in reversed(range(one.windows(2))):
        assert (one.window(2, index).inputs == other.window(2, index).inputs).all()
        assert (one.window(2, index).starts == other.window(2, index).starts).all()
    assert (one.window(0, 1).inputs != one.window(1, 1).inputs).any()


@pytest.mark.parametrize("probability", [0.0, 0.1, 1.0])
def test_streams_are_reset_as_often_as_asked(probability: float) -> None:
    windows = epoch_of(Streams(numbered(40_000), 10, 4, 1, probability), 0)[1:]
    share = np.mean([window.starts for window in windows])
    assert share == pytest.approx(probability, abs=0.01)


# Lines


@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=40),
    batch=SIZES,
    bptt=SIZES,
    seed=SEEDS,
    epoch=SEEDS,
)
def test_lines_are_each_seen_once_and_whole(
    lengths: list[int], batch: int, bptt: int, seed: int, epoch: int
) -> None:
    tokens, lines = numbered_lines(lengths)
    seen: list[list[int]] = []
    going: list[list[int]] = []
    for window in epoch_of(Lines(tokens, batch, bptt, seed), epoch):
        assert window.inputs.shape[0] <= bptt
        if window.starts.all():
            assert (window.inputs[0] == EOS).all()
            seen += going
            going = [[] for _ in range(window.inputs.shape[1])]
        else:
            assert not window.starts.any()
        for column, line in enumerate(going):
            inside = window.targets[:, column] != IGNORED
            inputs, targets = window.inputs[inside, column], window.targets[inside, column]
            assert inputs.tolist() == [*(line[-1:] or [EOS]), *targets.tolist()][: len(inputs)]
            assert not inside[inside.sum() :].any()
            assert (window.inputs[~inside, column] == EOS).all()
            line += targets.tolist()
    assert sorted(seen + going) == sorted(lines)


def test_lines_come_in_another_order_in_every_epoch() -> None:
    lines = Lines(numbered_lines(list(range(50)))[0], 4, 8, seed=1)
    first = [window.targets.tolist() for window in epoch_of(lines, 0)]
    assert first != [window.targets.tolist() for window in epoch_of(lines, 1)]
    assert first == [window.targets.tolist() for window in epoch_of(lines, 0)]


def test_a_batch_holds_lines_of_about_the_same_length() -> None:
    lines = Lines(numbered_lines([k % 40 for k in range(2_000)])[0], 16, 64, seed=1)
    padding = np.mean([np.mean(w.targets == IGNORED) for w in epoch_of(lines, 0)])
    assert padding < 0.05
