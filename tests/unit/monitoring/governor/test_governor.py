import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from monitoring.__main__ import main
from monitoring.governor.events import Champion, Started, Wish
from monitoring.governor.journal import read_journal
from monitoring.governor.replay import explain
from monitoring.governor.state import fold
from tests.governor import HOUR, alert
from tests.governor_world import FEW, World


def test_drift_asks_for_labels_and_lines_start_the_training(world: World) -> None:
    asked = world.governor.take(alert())
    assert asked.choice == "ask_for_labels"
    assert asked.wanted == 10
    assert "0 corrected lines of 10" in asked.reason
    world.labels.number = 9
    world.turns(3)
    assert not world.cluster.runs()
    world.labels.number = 10
    world.turns(2)
    (run,) = world.cluster.runs()
    assert run["arguments"] == {"corrections": "corrected", "asked_by": run["key"]}


def test_a_degraded_error_rate_needs_fewer_lines(world: World) -> None:
    world.labels.number = 3
    world.turns(1)
    assert world.governor.take(alert(name="MeasuredErrorHigh")).choice == "train"


def test_retrain_at_once_waits_for_no_lines_and_trains_once_an_alarm(tmp_path: Path) -> None:
    world = World(tmp_path, replace(FEW, policy="retrain_at_once", cooldown_hours=0.0, backoff=1.0))
    assert world.governor.take(alert("e1")).choice == "train"
    world.turns(2)
    world.end("succeeded")
    world.turns(10, HOUR)
    assert len(world.cluster.runs()) == 1
    assert world.governor.take(alert("e2")).choice == "train"


def test_a_thousand_duplicate_and_shuffled_alerts_make_one_run(tmp_path: Path) -> None:
    world = World(tmp_path, behave=["down", "lost"])
    world.labels.number = 60
    rng = random.Random(4)
    storm = [alert(f"e{number % 7}", firing=number % 3 > 0) for number in range(1000)]
    rng.shuffle(storm)
    for number, one in enumerate(storm):
        world.governor.take(one)
        if number % 40 == 0:
            world.clock.set_wall(timedelta(days=rng.uniform(-900, 900)))
            world.turns(1)
        if number % 170 == 0:
            world.restart()
    world.turns(20)
    (run,) = world.cluster.runs()
    records = read_journal(world.folder)
    assert len([record for record in records if record.decision.choice == "train"]) == 1
    assert [record.event.run_id for record in records if isinstance(record.event, Started)] == [run["run_id"]]
    told = {(one.episode, one.firing) for one in storm}
    assert {(r.event.episode, r.event.firing) for r in records if r.event.KIND == "alert"} == told
    assert any(reason.startswith("not confirmed: timed out") for reason in world.reasons())


def test_a_rejected_challenger_asks_for_more_lines_and_doubles_the_cooldown(world: World) -> None:
    world.labels.number = 10
    world.turns(1)
    world.governor.take(alert())
    world.turns(2)
    world.end("succeeded")
    assert world.governor.state.misses == 1
    assert world.governor.state.labelling is not None
    world.labels.number = 30
    world.turns(23, HOUR)
    assert len(world.cluster.runs()) == 1
    world.turns(2, HOUR)
    assert len(world.cluster.runs()) == 2


def test_a_person_need_not_wait_for_the_cooldown(world: World) -> None:
    world.train_once(1)
    world.end("succeeded")
    assert world.governor.take(alert(name="HandwritingDrift")).choice == "ask_for_labels"
    assert world.governor.take(Wish(id="now", reason="new scanner")).choice == "train"


def test_a_wish_whose_training_failed_waits_for_the_cooldown_like_everybody(world: World) -> None:
    world.train_once(1)
    world.end("failed")
    world.turns(20, HOUR)
    assert len(world.cluster.runs()) == 1
    world.turns(5, HOUR)
    assert len(world.cluster.runs()) == 2


def test_a_schedule_without_lines_trains_nothing_and_asks_nobody(world: World) -> None:
    decision = world.governor.take(Wish(id="monthly-3", by="schedule"))
    assert decision.choice == "ignore"
    assert not world.governor.state.concerns


def test_an_alert_that_ends_asks_no_longer_but_lines_that_were_asked_for_are_learnt(world: World) -> None:
    world.governor.take(alert())
    world.governor.take(alert(firing=False))
    assert not world.governor.state.concerns
    world.labels.number = 12
    world.turns(2)
    assert len(world.cluster.runs()) == 1
    assert world.governor.take(alert()).reason.startswith("answered already, by record")


def test_news_that_come_in_the_wrong_order_open_nothing(world: World) -> None:
    world.governor.take(alert(firing=False))
    assert world.governor.take(alert()).reason == "HandwritingDrift has ended already; its news came late"


def test_an_alert_of_another_name_is_not_the_governors_affair(world: World) -> None:
    assert world.governor.take(alert(name="DiskFull")).reason == "the policy names no alert 'DiskFull'"


def test_with_a_restart_every_day_and_no_news_the_cooldown_ends_all_the_same(world: World) -> None:
    world.train_once(10)
    world.end("succeeded")
    world.governor.take(Wish(id="again", by="schedule"))
    begun = world.governor.at()
    for _ in range(4):  # 23 hours at work, one away
        for _ in range(23):
            world.turns(1, HOUR)
        world.clock.pass_by(HOUR)
        world.restart()
    assert world.governor.at() - begun == pytest.approx(4 * 24 * HOUR, abs=60.0)


def test_an_hour_of_silence_is_one_record_and_people_are_not_shown_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(read_journal(world.folder))
    world.turns(5 * 60, 60.0)
    quiet = read_journal(world.folder)[before:]
    assert [record.event.KIND for record in quiet] == ["tick"] * 5
    assert all(record.is_quiet for record in quiet)
    assert not [one for one in explain(read_journal(world.folder)) if one.differs]
    for command in ("history", "replay"):
        assert main([command, "--state", str(world.folder)]) == 0
        assert "tick" not in capsys.readouterr().out


def test_lines_asked_for_when_the_measured_error_was_high_are_learnt_after_the_alarm(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.governor.take(alert(name="MeasuredErrorHigh")).wanted == 3
    world.governor.take(alert(name="MeasuredErrorHigh", firing=False))
    world.labels.number = 2
    world.turns(2)
    assert not world.cluster.runs()
    world.restart()
    world.labels.number = 3
    world.turns(2)
    assert len(world.cluster.runs()) == 1


def test_lines_asked_for_by_an_alarm_that_ended_are_learnt_for_another_that_stands(world: World) -> None:
    world.governor.take(alert("e1", name="MeasuredErrorHigh"))
    world.governor.take(alert("e2"))
    world.governor.take(alert("e1", name="MeasuredErrorHigh", firing=False))
    world.labels.number = 3
    world.turns(2)
    assert len(world.cluster.runs()) == 1


def test_what_is_not_looked_at_at_this_turn_stays_a_trouble(world: World) -> None:
    world.registry.is_down = True
    world.governor._parts.registry_every_s = 60.0
    for _ in range(3):
        world.turns(1, 15.0)
        assert world.governor.troubles == {"registry": "MLflow is away"}
    world.registry.is_down = False
    world.turns(2, 60.0)
    assert not world.governor.troubles


def test_state_is_what_the_journal_adds_up_to(world: World) -> None:
    world.train_once(10)
    world.end("succeeded", promoted="B")
    live = world.governor.state
    assert fold(read_journal(world.folder)) == live
    assert world.restart().state == live
    assert live.champion == Champion(version="B", digest="B", previous="A", previous_digest="A")
