"""Trainings that were decided on: when they may start, and what becomes of those that cannot."""

from dataclasses import replace
from pathlib import Path

import pytest

from htr.errors import DataError
from monitoring.governor.events import Ended, Wish
from monitoring.governor.governor import STOP
from monitoring.governor.journal import read_journal
from tests.governor import HOUR, alert
from tests.governor_world import FEW, World


def test_a_failed_training_is_tried_once_more_and_then_left_to_people(tmp_path: Path) -> None:
    world = World(tmp_path, replace(FEW, cooldown_hours=1.0))
    world.labels.number = 10
    world.turns(1)
    world.governor.take(alert())
    for _ in range(2):
        world.turns(5, HOUR)
        world.end("failed")
    world.turns(200, HOUR)
    first, second = world.cluster.runs()
    assert first["key"].removesuffix("-1") == second["key"].removesuffix("-2")
    wait = world.governor.take(alert("again"))
    assert wait.choice == "wait"
    assert "failed 2 times; new lines or a person" in wait.reason


def test_a_day_and_a_week_have_a_budget_that_people_cannot_spend_twice_either(tmp_path: Path) -> None:
    world = World(tmp_path, replace(FEW, cooldown_hours=0.0, max_runs_day=2, max_runs_week=3))
    begun = []
    for number in range(40):
        world.train_once(lines=number + 1)
        begun.append(world.cluster.end("succeeded"))
        world.turns(8, HOUR)
    starts = [record.at for record in read_journal(world.folder) if record.decision.choice == "train"]
    assert len(starts) == sum(begun)
    for window, most in ((24 * HOUR, 2), (7 * 24 * HOUR, 3)):
        busiest = max(sum(one <= other < one + window for other in starts) for one in starts)
        assert busiest == most
    assert any("3 trainings of 3 a week were begun" in reason for reason in world.reasons())


def test_the_kill_switch_holds_everything_back_and_nothing_is_lost(world: World) -> None:
    (world.folder / STOP).write_text("the archive is being moved\n")
    world.labels.number = 10
    world.turns(1)
    held = world.governor.take(alert())
    assert held.choice == "wait"
    assert "kill switch is on (the archive is being moved)" in held.reason
    world.turns(50, HOUR)
    assert not world.cluster.runs()
    (world.folder / STOP).unlink()
    world.turns(2)
    assert len(world.cluster.runs()) == 1


def test_the_switch_thrown_between_decision_and_start_holds_the_start_back(tmp_path: Path) -> None:
    world = World(tmp_path, replace(FEW, settle_s=600.0), behave=["down", "ok"])
    world.train_once(10)
    (world.folder / STOP).touch()
    world.turns(20, 60.0)
    assert not world.cluster.runs()
    (world.folder / STOP).unlink()
    world.turns(15, 60.0)
    assert len(world.cluster.runs()) == 1


def test_a_start_that_is_refused_for_good_fails_and_one_that_nobody_confirms_is_given_up(tmp_path: Path) -> None:
    world = World(tmp_path / "a", behave=["refuse"])
    world.train_once(10)
    assert world.governor.state.run is None
    assert "failed: the quota is spent for good" in world.reasons()
    world = World(tmp_path / "b", behave=["down"])
    world.train_once(10)
    world.turns(100, 600.0)
    ends = [record.event for record in read_journal(world.folder) if isinstance(record.event, Ended)]
    assert ends
    assert "nobody confirmed it within 6 hours" in ends[0].said


def test_while_nobody_answers_no_second_start_is_tried(tmp_path: Path) -> None:
    world = World(tmp_path, behave=["lost"])
    world.train_once(10)
    world.cluster.looks_down = True
    world.turns(100, 600.0)
    assert len(world.cluster.runs()) == 1
    assert "nobody answers" in world.governor.troubles["training"]
    world.cluster.looks_down = False
    world.turns(1)
    assert world.governor.state.run is not None
    assert world.governor.state.run.run_id == "run-1"


def test_a_wish_that_failed_for_good_keeps_no_alarm_back(tmp_path: Path) -> None:
    world = World(tmp_path, replace(FEW, policy="retrain_at_once", cooldown_hours=0.0, max_attempts=1))
    world.governor.take(Wish(id="w"))
    world.turns(2)
    world.end("failed")
    world.turns(2)
    assert len(world.cluster.runs()) == 1
    assert world.governor.take(alert()).choice == "train"


def test_a_fault_of_ours_is_a_trouble_and_the_other_acts_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(world.labels, "count", lambda: 1 // 0)
    world.governor.take(Wish(id="w"))
    world.turns(3)
    assert len(world.cluster.runs()) == 1
    assert world.governor.troubles == {
        "corrections": "unexpected: ZeroDivisionError: integer division or modulo by zero"
    }
    (told,) = [record for record in caplog.records if record.exc_info]
    assert "corrections" in told.message
    monkeypatch.undo()
    world.turns(1)
    assert not world.governor.troubles


def test_a_dataset_that_cannot_be_made_is_given_up_and_keeps_nothing_else_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(key: str) -> Path:
        raise DataError("store/log.jsonl: line 3: altered")

    monkeypatch.setattr(world.labels, "dataset", refuse)
    world.train_once(10)
    world.turns(5, HOUR)
    assert world.governor.state.run is not None
    world.turns(2, HOUR)
    assert world.governor.state.run is None
    said = [record.event.said for record in read_journal(world.folder) if isinstance(record.event, Ended)]
    assert said == ["no lines for it could be had within 6 hours: store/log.jsonl: line 3: altered"]
    monkeypatch.undo()
    world.turns(30, HOUR)
    assert len(world.cluster.runs()) == 1


def test_a_kill_switch_thrown_for_longer_than_starts_are_tried_gives_none_up(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.labels.number = 10
    world.turns(1)
    world.governor.take(Wish(id="w"))
    (world.folder / STOP).touch()
    world.turns(10, HOUR)
    (world.folder / STOP).unlink()
    world.turns(2)
    assert len(world.cluster.runs()) == 1


def test_a_kill_switch_that_is_no_file_is_one_all_the_same(world: World) -> None:
    (world.folder / STOP).mkdir()
    world.train_once(10)
    assert not world.cluster.runs()
    assert world.governor.state.stopped_why == "no reason given"
