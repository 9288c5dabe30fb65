"""Training follows its schedule, and a run that was stopped ends as one that never was."""

import copy
import dataclasses
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, cat_sentences, corpus_of, fixed_machine, train
from torture.stopping import finish, stop_after

from charlm import planning, run, stepping, training, validation
from charlm.config import CELLS
from charlm.corpus import Corpus
from charlm.devices import has_bfloat16
from charlm.errors import OptionError, TrainingError
from charlm.inference import NumpyEngine
from charlm.optimiser import AVERAGING, BETAS, FINAL_RATE, Optimiser, copies
from charlm.run import Run
from charlm.scoring import score
from charlm.tokenizers import EOS
from charlm.training import MOST_FAILURES, Progress

SMALL = {**TINY, "hidden_size": 8, "embedding_size": 5, "batch_size": 4, "bptt": 8}
TEXT = "".join(f"{line}\n" for line in cat_sentences(24))
Arrays = dict[str, np.ndarray[Any, Any]]


def begin(corpus: Corpus, **chosen: Any) -> Run:
    return run.begin(corpus, fixed_machine(), {**SMALL, **chosen})


def small_run(**chosen: Any) -> Run:
    return begin(corpus_of(TEXT), **chosen)


def resumed(stopped: Run) -> Run:
    """Another process' run, from nothing but the checkpoint."""
    machine = dataclasses.replace(fixed_machine(), precision=stopped.config.precision)
    return run.resume(stopped.checkpoint(), stopped.corpus, machine, {})


def everything(running: Run) -> tuple[dict[str, Any], list[dict[str, Any]], Arrays]:
    """All that a checkpoint keeps, but for times."""
    checkpoint = running.checkpoint()
    times = {"seconds", "training_from", "validation_seconds"}
    place = {key: value for key, value in checkpoint.progress.items() if key not in times}
    history = [{k: v for k, v in record.items() if k != "seconds"} for record in checkpoint.history]
    best = {f"best.{name}": value for name, value in checkpoint.weights.items()}
    return place, history, {**best, **checkpoint.resume}


def assert_same(one: Run, other: Run) -> None:
    (place, history, arrays), (other_place, other_history, other_arrays) = map(
        everything, (one, other)
    )
    assert place == other_place
    assert history == other_history
    assert arrays.keys() == other_arrays.keys()
    for name, value in arrays.items():
        assert value.tobytes() == other_arrays[name].tobytes(), name


@pytest.fixture(autouse=True)
def seldom_reports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No record but those of validations, so that tests do not depend on the clock."""
    monkeypatch.setattr(training, "REPORT_SECONDS", math.inf)
    return


# Resumed equals uninterrupted


WAYS = {
    "lstm, steps": {"cell": "lstm", "steps": 48},
    "gru, epochs": {"cell": "gru", "epochs": 1.3, "layers": 2},
    "tied, often reset": {"steps": 48, "tie_weights": True, "reset_probability": 0.4},
}
for way in WAYS.values():
    way |= {"dropout": 0.3, "learning_rate": 0.02}
    if way.get("tie_weights"):
        way |= {"embedding_size": 8}


@pytest.mark.parametrize("per_line", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_resumed_run_equals_one_that_never_stopped(way: str, per_line: bool) -> None:
    corpus = corpus_of(TEXT, per_line=per_line)
    whole = finish(begin(corpus, **WAYS[way]))
    steps = whole.training.place["step"]
    windows = whole.training._windows.windows(0)
    assert windows < steps  # an epoch ends on the way
    validated = [record["step"] for record in whole.training.history]
    middle = validated[len(validated) // 2]
    for stop in {1, windows, windows + 1, middle, middle + 1, steps - 1}:
        assert_same(finish(resumed(stop_after(begin(corpus, **WAYS[way]), stop))), whole)


def test_a_run_stopped_in_its_last_step_still_validates() -> None:
    whole = finish(small_run(steps=10))
    stopped = stop_after(small_run(steps=10), 10)
    assert len(stopped.training.history) == len(whole.training.history) - 1
    assert_same(finish(resumed(stopped)), whole)


@pytest.mark.parametrize("cell", CELLS)
def test_a_run_stopped_many_times_equals_one_that_never_was(cell: str) -> None:
    running = small_run(steps=20, cell=cell, dropout=0.2)
    for _ in range(5):
        running = resumed(stop_after(running, 3))
    assert_same(finish(running), finish(small_run(steps=20, cell=cell, dropout=0.2)))


@pytest.mark.skipif(not has_bfloat16("cpu"), reason="needs AVX-512 or the like for bfloat16")
def test_a_run_in_bfloat16_resumes_bit_for_bit() -> None:
    whole = finish(small_run(steps=20, precision="bfloat16", dropout=0.2))
    stopped = stop_after(small_run(steps=20, precision="bfloat16", dropout=0.2), 7)
    assert_same(finish(resumed(stopped)), whole)
    exact = finish(small_run(steps=20, dropout=0.2))
    losses = [r.training.history[-1]["train_nats"] for r in (whole, exact)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_a_run_with_failed_steps_resumes_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    break_steps(monkeypatch, {4, 9})
    whole = finish(small_run(steps=20))
    break_steps(monkeypatch, {4, 9})
    stopped = stop_after(small_run(steps=20), 6)
    break_steps(monkeypatch, {3})  # of the second part
    assert_same(finish(resumed(stopped)), whole)


def test_showing_progress_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = finish(small_run(steps=20))
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)
    loud = small_run(steps=20)
    assert len(list(loud.training.run())) == 20
    assert_same(loud, quiet)


def test_another_seed_gives_another_model() -> None:
    one, other = (finish(small_run(steps=5, seed=seed)) for seed in (1, 2))
    assert (one.checkpoint().weights["rnn.weight_hh_l0"] != 0).all()
    difference = (
        one.checkpoint().weights["rnn.weight_hh_l0"]
        - other.checkpoint().weights["rnn.weight_hh_l0"]
    )
    assert difference.any()


# Learning


@pytest.mark.parametrize("cell", CELLS)
def test_a_model_overfits_one_line(cell: str) -> None:
    line = "The cat, which already ate the fish, was full."
    trained = train(
        corpus_of(line, per_line=True), cell=cell, steps=160, learning_rate=0.03, batch_size=1
    )
    checkpoint = trained.checkpoint()
    engine = NumpyEngine(checkpoint.model, checkpoint.weights)
    (found,) = score(engine, checkpoint.tokenizer, [line], eos=True)
    assert found.bits_per_character < 0.1


def test_dropout_trains_and_is_off_in_validation() -> None:
    kept = finish(small_run(steps=30, dropout=0.5))
    engine = validation.TorchEngine(kept.training._optimiser.averaged)
    valid = validation.evaluate(engine, kept.corpus.valid, validation.STREAMS)
    assert valid.nats_per_token == kept.training.history[-1]["valid_nats"]


def test_what_is_kept_is_the_best_of_the_validations() -> None:
    kept = finish(small_run(steps=80, learning_rate=0.05))
    history = kept.training.history
    assert kept.training.place["best_nats"] == min(record["valid_nats"] for record in history)
    checkpoint = kept.checkpoint()
    model = training.LanguageModel(checkpoint.model)
    model.load_weights(checkpoint.weights)
    engine = validation.TorchEngine(model)
    valid = validation.evaluate(engine, kept.corpus.valid, validation.STREAMS)
    assert valid.nats_per_token == kept.training.place["best_nats"]


# Texts of every length


@pytest.mark.parametrize("per_line", [False, True])
@pytest.mark.parametrize("size", [2, 3, 5, 10, 11, 31, 64, 200])
def test_short_texts_train_with_smaller_windows(size: int, per_line: bool) -> None:
    text = (TEXT * 2)[:size]
    kept = finish(begin(corpus_of(text, per_line=per_line), steps=4, batch_size=32, bptt=64))
    assert kept.training.place["step"] == 4
    assert all(np.isfinite(value).all() for value in kept.checkpoint().weights.values())
    assert (kept.training.place["best_nats"] is None) is (kept.corpus.valid.events == 0)


def test_without_a_text_to_validate_on_the_averaged_weights_are_kept() -> None:
    kept = finish(begin(corpus_of("Ada\nBob", per_line=True), steps=30, patience=1))
    assert kept.training.place["step"] == 30
    assert kept.training.history == []
    weights, averaged = kept.checkpoint().weights, copies(kept.training._optimiser.averaged)
    assert all((weights[name] == averaged[name]).all() for name in averaged)


def test_without_a_text_to_validate_on_the_end_is_still_told() -> None:
    running = begin(corpus_of("Ada\nBob", per_line=True), steps=3)
    (last,) = running.training.run()
    assert (last.fraction, last.valid_nats, last.best_nats) == (1.0, None, None)


@pytest.mark.parametrize("per_line", [False, True])
def test_a_long_validation_text_is_used_up_to_a_limit(
    per_line: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "MOST_EVENTS", 50)
    corpus = corpus_of(TEXT, per_line=per_line)
    assert corpus.valid.events > 50
    part = validation._beginning(corpus.valid)
    assert 0 < part.events <= 50
    assert part.ids.tolist() == corpus.valid.ids[: len(part.ids)].tolist()
    assert not per_line or part.ids[-1] == EOS
    monkeypatch.setattr(validation, "MOST_EVENTS", 5)  # shorter than the first line
    assert validation._beginning(corpus.valid).events >= 5


# The schedule and the budget


def rates(**chosen: Any) -> list[float]:
    """The learning rate before each step."""
    running = small_run(**chosen)
    found = []
    advance = running.training._advance

    def note() -> None:
        found.append(running.training.learning_rate())
        advance()

    running.training._advance = note  # type: ignore[method-assign]
    finish(running)
    return found


def test_the_rate_rises_and_falls_in_straight_lines() -> None:
    found = rates(steps=100, warmup=0.2, learning_rate=0.01, patience=99)
    assert len(found) == 100
    for step, rate in enumerate(found):
        if step < 20:
            wanted = max(step / 100, 1e-3) / 0.2
        else:
            wanted = FINAL_RATE + (1 - FINAL_RATE) * (100 - step) / 80
        assert rate == pytest.approx(0.01 * wanted)
    assert max(found) == 0.01


@pytest.mark.parametrize("warmup", [0.0, 1e-6, 1e-3, 1.0])
def test_the_rate_never_exceeds_its_peak(warmup: float) -> None:
    assert 0 < max(rates(steps=30, warmup=warmup, learning_rate=0.01)) <= 0.01


@pytest.mark.parametrize("budget", [{"steps": 37}, {"epochs": 0.7}, {"epochs": 3}])
def test_a_budget_is_spent_and_no_more(budget: dict[str, Any]) -> None:
    kept = finish(small_run(**budget, patience=99)).training
    windows = kept._windows.windows(0)
    wanted = budget.get("steps") or math.ceil(budget["epochs"] * windows)
    assert kept.place["step"] == wanted
    assert kept.complete
    assert kept.history[-1]["step"] == wanted


class Clock:
    """Stands still but for what tests add; `time.monotonic` in its place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)


def timed_run(
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    step: float,
    validating: float,
    minutes: float,
    started: float | None = None,
) -> Run:
    """A run whose steps and validations take so many seconds."""
    chosen = {**SMALL, "minutes": minutes, "patience": 99}
    running = run.begin(corpus_of(TEXT), fixed_machine(), chosen, started)
    advance, evaluate = running.training._advance, validation.evaluate

    def slow_advance() -> None:
        clock.now += step
        advance()

    def slow_evaluate(*arguments: Any) -> Any:
        clock.now += validating
        return evaluate(*arguments)

    running.training._advance = slow_advance  # type: ignore[method-assign]
    monkeypatch.setattr(validation, "evaluate", slow_evaluate)
    return running


@pytest.mark.parametrize("validating", [0.0, 0.1, 2.0, 20.0, 100.0])
def test_a_time_budget_holds_the_validations_too(
    validating: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    kept = finish(timed_run(clock, monkeypatch, 0.25, validating, minutes=1.0)).training
    assert kept.history[-1]["step"] == kept.place["step"]
    spent = clock.now - 1_000.0
    assert spent <= max(60.0, kept.history[0]["seconds"]) + 1
    assert spent >= 55 - validating
    assert len(kept.history) * validating <= max(0.2 * 60, 2 * validating)
    assert len(kept.history) <= 41


@pytest.mark.parametrize("keeping", [0.1, 2.0])
def test_a_time_budget_holds_what_is_made_of_each_validation_too(
    keeping: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample is drawn and a checkpoint written, which take time where the model is large."""
    clock = Clock(monkeypatch)
    training = timed_run(clock, monkeypatch, 0.25, 1.0, minutes=1.0).training
    for progress in training.run():
        if progress.valid_nats is not None:
            clock.now += keeping
    assert 57.0 - keeping <= clock.now - 1_000.0 <= 60.0 + 0.25


def test_what_the_caller_takes_is_no_time_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint may be written at any record: the speed that is told is that of the steps."""
    clock = Clock(monkeypatch)
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.6)
    speeds = []
    for progress in timed_run(clock, monkeypatch, 0.25, 1.0, minutes=1.0).training.run():
        clock.now += 3.0
        speeds.append(progress.tokens_per_second)
    assert len(speeds) > 9
    assert max(speeds) == pytest.approx(min(speeds), rel=0.1)


@pytest.mark.parametrize("validating", [2.0, 16.0])
def test_a_stopped_run_measures_its_last_weights_if_that_is_soon_done(
    validating: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    stopped = timed_run(clock, monkeypatch, 0.25, validating, minutes=5.0).training
    for _ in stopped.run():
        if stopped.history:
            break
    first = stopped.place["best_nats"]
    for _ in range(30):
        stopped._advance()
    stopped.stop()
    assert not list(stopped.run())
    if (last := stopped.last_validation()) is None:
        assert validating > 15
        return
    assert last.valid_nats == stopped.place["best_nats"] < first
    assert stopped.history[-1]["step"] == stopped.place["step"] == last.step
    assert stopped.last_validation() is None


def test_a_stopped_run_by_steps_ends_as_if_it_had_not_stopped() -> None:
    assert stop_after(small_run(steps=20), 7).training.last_validation() is None


def test_at_least_one_step_is_made_however_short_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    late = clock.now - 9.0  # when the command was started
    running = timed_run(clock, monkeypatch, 0.25, 0.1, minutes=0.01, started=late)
    finish(running)
    assert running.training.place["step"] == 1
    assert running.training.place["best_nats"] is not None
    assert len(running.training.history) == 1
    with pytest.raises(OptionError, match="complete"):
        run.resume(running.checkpoint(), running.corpus, fixed_machine(), {})


def test_a_run_by_minutes_that_is_complete_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    running = timed_run(clock, monkeypatch, 0.25, 0.1, minutes=0.1)
    for progress in running.training.run():
        if progress.valid_nats is not None:
            clock.now += 0.5
    with pytest.raises(OptionError, match="complete"):
        run.resume(running.checkpoint(), running.corpus, fixed_machine(), {})
    longer = run.resume(running.checkpoint(), running.corpus, fixed_machine(), {"minutes": 0.2})
    assert not longer.complete


def test_patience_ends_a_run_that_gets_no_better() -> None:
    kept = finish(small_run(steps=400, learning_rate=1e-12, weight_decay=0.0, patience=3)).training
    nats = [record["valid_nats"] for record in kept.history]
    best = nats.index(min(nats))
    assert len(nats) == best + 1 + 3
    assert kept.place["step"] < 400


def test_a_larger_budget_goes_on_and_validates_soon() -> None:
    stopped = finish(begin(corpus_of(TEXT, valid_fraction=0.02), steps=40))
    longer = run.resume(stopped.checkpoint(), stopped.corpus, fixed_machine(), {"steps": 80})
    finish(longer)
    later = [record["step"] for record in longer.training.history if record["step"] > 40]
    assert later[0] <= 43
    assert later[-1] == 80
    assert max(b - a for a, b in itertools.pairwise(later)) <= 3


# One step


def test_clipping_bounds_the_gradient_of_every_update(monkeypatch: pytest.MonkeyPatch) -> None:
    norms = []
    step = Optimiser._step

    def watch(self: Optimiser, gradients: Any, *others: torch.Tensor) -> None:
        assert len(gradients) == len(self._parameters)
        norms.append(float(torch.cat([part.flatten() for part in gradients]).norm()))
        step(self, gradients, *others)

    monkeypatch.setattr(Optimiser, "_step", watch)
    shown = list(small_run(steps=20, clip=0.05).training.run())
    assert len(norms) == 20
    assert max(norms) <= 0.05 * (1 + 1e-4)
    assert max(progress.clipped for progress in shown) == 1.0
    assert max(progress.gradient_norm for progress in shown) > 0.05


def test_averaged_weights_are_the_polynomial_decay_average() -> None:
    """With weights t (t = 1, 2, …): ā_t = ā_{t−1} + (w_t − ā_{t−1})(γ + 1) / (t + γ)."""
    running = small_run(steps=9)
    optimiser, seen = running.training._optimiser, []
    advance = running.training._advance

    def note() -> None:
        advance()
        seen.append(copies(running.training.model)["output.bias"].astype(np.float64))

    running.training._advance = note  # type: ignore[method-assign]
    finish(running)
    average = np.zeros_like(seen[0])
    for t, weights in enumerate(seen, 1):
        average += (weights - average) * (AVERAGING + 1) / (t + AVERAGING)
    np.testing.assert_allclose(copies(optimiser.averaged)["output.bias"], average, atol=1e-6)


def test_updates_are_those_of_torch_where_matrices_decay_and_the_softmax_layer_is_faster() -> None:
    running = small_run(steps=5, weight_decay=0.5)
    model, twin = running.training.model, copy.deepcopy(running.training.model)
    optimiser, weights = Optimiser(model, running.config), list(twin.parameters())
    reference = torch.optim.AdamW(
        [
            {"params": [weight], "weight_decay": 0.5 if weight.dim() > 1 else 0.0}
            for weight in weights
        ],
        betas=BETAS,
        fused=True,
    )
    softmax_layer = list(twin.output.parameters())
    for number in range(1, 5):
        for network in (model, twin):
            logits, _ = network(torch.full((4, 2), number), network.initial_state(2))
            logits.square().mean().backward()
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        numbers = torch.from_numpy(optimiser.next_update(0.01 * number))
        optimiser.update(gradients, torch.zeros(()), numbers)
        model.zero_grad()
        torch.nn.utils.clip_grad_norm_(weights, running.config.clip)
        for group in reference.param_groups:
            of_softmax = any(group["params"][0] is weight for weight in softmax_layer)
            group["lr"] = 0.01 * number * (3 if of_softmax else 1)
        reference.step()
        reference.zero_grad()
        assert all(map(torch.equal, model.parameters(), weights))


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_a_window_has_one_mask_and_a_step_its_own(rate: float) -> None:
    running = small_run(steps=6, dropout=rate)
    seen: list[Any] = []
    forward = running.training.model.forward

    def watch(tokens: Any, state: Any, masks: Any = None) -> Any:
        seen.append(masks)
        return forward(tokens, state, masks)

    running.training.model.forward = watch  # type: ignore[method-assign]
    finish(running)
    assert len(seen) == 6
    if not rate:
        assert seen == [None] * 6
        return
    assert all(mask.shape == (4, 8) for masks in seen for mask in masks)
    assert len({mask.numpy().tobytes() for (mask,) in seen}) == 6


def test_the_state_is_carried_and_reset_where_a_stream_starts() -> None:
    running = small_run(steps=60, reset_probability=0.3)
    states, carried, starts = [], [], []
    before, advance = running.training._stepper._state_before, running.training._advance

    def watch(window: Any) -> Any:
        state = before(window)
        states.append(state)
        starts.append(window.starts)
        return state

    def note() -> None:
        advance()
        carried.append(running.training._stepper.state)

    running.training._stepper._state_before = watch  # type: ignore[method-assign]
    running.training._advance = note  # type: ignore[method-assign]
    finish(running)
    assert 0 < np.mean(starts) < 1
    for kept, state, start in zip(carried, states[1:], starts[1:], strict=False):
        for part, other in zip(kept[0], state[0], strict=True):
            assert not part.requires_grad
            assert not other[0, start].any()
            assert torch.equal(other[0, ~start], part[0, ~start])


# Faults


def break_steps(monkeypatch: pytest.MonkeyPatch, steps: set[int], value: float = math.nan) -> None:
    """From now on the loss of some steps, counted from 0, is not finite."""
    count, entropy = itertools.count(), torch.nn.functional.cross_entropy

    def broken(logits: Any, *arguments: Any, **options: Any) -> Any:
        loss = entropy(logits, *arguments, **options)
        if loss.requires_grad and next(count) in steps:
            return loss * value
        return loss

    monkeypatch.setattr(stepping, "functional", type("functional", (), {"cross_entropy": broken}))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_step_that_is_not_finite_is_undone(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    break_steps(monkeypatch, {0, 3}, value)
    running = small_run(steps=8)
    before = copies(running.training.model)
    first = next(iter(running.training.run()))
    assert first.notice is not None
    assert all((before[n] == now).all() for n, now in copies(running.training.model).items())
    shown = list(running.training.run())
    assert sum(progress.notice is not None for progress in shown) == 1
    assert running.training.place["failures"] == 2
    assert all(np.isfinite(value).all() for value in everything(running)[2].values())


def test_a_gradient_that_is_not_finite_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    clipped, count = Optimiser._shorten, itertools.count()

    def broken(self: Optimiser, gradients: Any) -> torch.Tensor:
        found = clipped(self, gradients)
        return found * math.inf if next(count) == 2 else found

    monkeypatch.setattr(Optimiser, "_shorten", broken)
    running = finish(small_run(steps=6))
    assert running.training.place["failures"] == 1
    assert running.training._optimiser.updates == 5


@pytest.mark.parametrize("look_every", [2, 7, 99])
def test_steps_that_are_looked_at_together_are_the_same_steps(look_every: int) -> None:
    """As on a GPU, where each look waits for it."""
    watched, alone = small_run(steps=30), small_run(steps=30)
    alone.training.look_every = look_every
    assert_same(finish(watched), finish(alone))


def test_failures_that_are_seen_late_move_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    break_steps(monkeypatch, {5, 6, 7, 8})
    training = small_run(steps=400).training
    training.look_every = 99
    for _ in range(5):
        training._advance()
    moved = [*training.model.parameters(), *training._optimiser.averaged.parameters()]
    before = [weight.clone() for weight in moved]
    for _ in range(4):
        training._advance()
    assert all(map(torch.equal, before, moved))
    assert training.place["failures"] == 0
    training._look()
    assert training.place["failures"] == 1
    assert training._optimiser.updates == 5


def test_each_failure_halves_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    found = rates(steps=40, learning_rate=0.01)
    break_steps(monkeypatch, {10, 20, 30})
    lowered = rates(steps=40, learning_rate=0.01)
    factors = [low / high for low, high in zip(lowered, found, strict=True)]
    assert factors == pytest.approx([1] * 11 + [0.5] * 10 + [0.25] * 10 + [0.125] * 9)


def test_training_gives_up_after_three_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    break_steps(monkeypatch, set(range(6, 99)))
    running = small_run(steps=40)
    shown: list[Progress] = []
    with pytest.raises(TrainingError, match="--learning-rate") as caught:
        shown += iter(running.training.run())
    assert "\n" not in str(caught.value)
    assert "step 9" in str(caught.value)
    assert running.training.place["failures"] == MOST_FAILURES + 1
    assert all(np.isfinite(value).all() for value in running.checkpoint().weights.values())


def test_a_validation_that_is_not_finite_ends_training(monkeypatch: pytest.MonkeyPatch) -> None:
    validate, count = validation.evaluate, itertools.count()

    def broken(*arguments: Any) -> Any:
        found = validate(*arguments)
        nats = math.nan if next(count) == 2 else found.log_probability
        return type(found)(**{**vars(found), "log_probability": nats})

    monkeypatch.setattr(validation, "evaluate", broken)
    running = small_run(steps=40)
    with pytest.raises(TrainingError, match="validation loss"):
        finish(running)
    assert len(running.training.history) == 2
    assert math.isfinite(running.training.place["best_nats"])


@pytest.mark.parametrize("seed", range(3))
def test_no_false_alarm_on_healthy_runs(seed: int) -> None:
    kept = finish(small_run(steps=40, seed=seed, learning_rate=0.03, dropout=0.3)).training
    assert kept.place["failures"] == 0


def test_the_module_that_plans_is_asked_once() -> None:
    """A run's configuration is what the plan said, with what was chosen."""
    corpus = corpus_of(TEXT)
    running = begin(corpus, steps=3)
    planned = planning.plan(
        corpus.train, corpus.tokenizer.size, fixed_machine(), {**SMALL, "steps": 3}
    )
    assert (running.model, running.config) == planned


def test_a_short_run_is_not_spent_on_validations() -> None:
    corpus = corpus_of(TEXT * 4, valid_fraction=0.9)
    run = train(corpus, steps=20, batch_size=2, bptt=8, hidden_size=8)
    assert [record["step"] for record in run.training.history] == [20]
    much = train(corpus_of(TEXT * 4, valid_fraction=0.003), steps=20, batch_size=2, bptt=8)
    assert len(much.training.history) > 5
