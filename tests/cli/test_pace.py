"""What takes long is done seldom while a model trains for so many minutes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_training import Clock

from charlm.cli.pace import SHARE, Pace
from charlm.cli.saving import SAVE_SECONDS, Keeper


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_what_is_bounded_takes_its_share_of_the_time(clock: Clock) -> None:
    pace, began, spent = Pace(bounded=True), clock.now, 0.0
    for _ in range(1000):
        if pace.due():
            with pace.timed():
                clock.now += 0.2
            spent += 0.2
        clock.now += 1.0
    assert 0.8 * SHARE < spent / (clock.now - began) <= SHARE


def test_what_is_not_bounded_is_always_due(clock: Clock) -> None:
    pace = Pace(bounded=False)
    with pace.timed():
        clock.now += 100.0
    assert pace.due()


@pytest.mark.parametrize(("minutes", "seconds"), [(1.0, [0, 50, 110]), (None, [0, 10, 50, 110])])
def test_a_run_by_minutes_saves_when_its_share_allows_and_each_minute(
    minutes: float | None, seconds: list[int], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Any = SimpleNamespace(
        config=SimpleNamespace(minutes=minutes),
        training=SimpleNamespace(place={"step": 0}, history=[]),
    )
    keeper, began = Keeper(run, Path("model"), print), clock.now
    saved: list[int] = []

    def save(_: Path) -> None:
        saved.append(round(clock.now - began))
        clock.now += 0.8

    monkeypatch.setattr(keeper, "_save", save)
    for at, validated in ((0, True), (10, True), (50, True), (60, False), (110, False)):
        clock.now = began + at
        keeper.keep(validated)
    assert saved == seconds
    assert seconds[-1] - seconds[-2] == SAVE_SECONDS


def test_a_validation_alone_is_worth_a_save(monkeypatch: pytest.MonkeyPatch) -> None:
    run: Any = SimpleNamespace(
        config=SimpleNamespace(minutes=None),
        training=SimpleNamespace(place={"step": 9}, history=[]),
    )
    keeper, saved = Keeper(run, Path("model"), print), list[Path]()
    monkeypatch.setattr(keeper, "_save", saved.append)
    assert not keeper.finish()
    run.training.history.append({})
    assert keeper.finish()
    assert len(saved) == 1


def test_what_is_saved_is_not_saved_again(monkeypatch: pytest.MonkeyPatch) -> None:
    run: Any = SimpleNamespace(
        config=SimpleNamespace(minutes=None),
        training=SimpleNamespace(place={"step": 0}, history=[]),
    )
    keeper, saved = Keeper(run, Path("model"), print), list[Path]()
    monkeypatch.setattr(keeper, "_save", saved.append)
    run.training.place["step"] = 3
    keeper.keep(validated=True)
    assert keeper.finish()
    assert len(saved) == 1
    run.training.history.append({})  # at the same step, after a save of the minute
    assert keeper.finish()
    assert len(saved) == 2
