import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from htr.errors import DataError, ServiceError
from monitoring.__main__ import main
from monitoring.governor.events import Champion, Ended, Started, Wish
from monitoring.governor.governor import STOP, Governor
from monitoring.governor.journal import read_journal
from monitoring.governor.policy import Policy
from monitoring.governor.replay import explain
from monitoring.governor.state import fold
from tests.governor import HOUR, FolderCluster, SetLabels, SetRegistry, WorldClock, alert, make_governor

FEW = Policy(settle_s=1.0, min_lines=10, min_lines_degraded=3)


class World:
    """A governor, its cluster, its lines and its registry."""

    def __init__(self, folder: Path, policy: Policy = FEW, behave: list[str] | None = None) -> None:
        self.folder = folder / "state"
        self.policy = policy
        self.clock = WorldClock()
        self.cluster = FolderCluster(folder / "cluster", behave)
        self.labels = SetLabels()
        self.registry = SetRegistry()
        self.governor = self.restart()

    def restart(self) -> Governor:
        self.governor = make_governor(
            self.folder,
            self.cluster,
            clock=self.clock,
            policy=self.policy,
            labels=self.labels,
            registry=self.registry,
        )
        self.governor.turn()
        return self.governor

    def turns(self, number: int, every_s: float = 30.0) -> None:
        for _ in range(number):
            self.clock.pass_by(every_s)
            self.governor.turn()

    def end(self, state: str, *, promoted: str = "") -> None:
        self.cluster.end(state, promoted=bool(promoted), digest=promoted)
        if promoted:
            self.registry.promote(promoted)
        self.turns(1)

    def train_once(self, lines: int) -> None:
        self.labels.number = lines
        self.governor.turn()
        self.governor.take(Wish(id=f"wish-{lines}"))
        self.turns(2)

    def reasons(self) -> list[str]:
        return [record.decision.reason for record in read_journal(self.folder)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


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


def test_an_alert_about_another_model_is_ignored_until_that_model_is_champion(world: World) -> None:
    assert world.governor.take(alert(model="B")).reason.startswith(
        "HandwritingDrift is about B, the champion is A"
    )
    world.registry.promote("B")
    world.turns(1)
    assert world.governor.take(alert(model="B")).choice == "ask_for_labels"


def test_a_promotion_closes_what_was_said_about_the_model_that_was(world: World) -> None:
    world.labels.number = 10
    world.turns(1)
    world.governor.take(alert())
    world.turns(2)
    world.end("succeeded", promoted="B")
    assert not world.governor.state.concerns
    assert world.governor.state.labelling is None
    assert world.governor.take(alert("e9")).choice == "ignore"
    assert any("version B takes over from A; closed: HandwritingDrift" in reason for reason in world.reasons())
    assert world.governor.state.fresh == 0


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


def test_a_wish_that_failed_for_good_keeps_no_alarm_back(tmp_path: Path) -> None:
    world = World(tmp_path, replace(FEW, policy="retrain_at_once", cooldown_hours=0.0, max_attempts=1))
    world.governor.take(Wish(id="w"))
    world.turns(2)
    world.end("failed")
    world.turns(2)
    assert len(world.cluster.runs()) == 1
    assert world.governor.take(alert()).choice == "train"


def test_without_a_registry_the_champion_is_known_before_the_end_of_its_training(tmp_path: Path) -> None:
    cluster, clock = FolderCluster(tmp_path / "cluster"), WorldClock()
    governor = make_governor(tmp_path / "state", cluster, clock=clock, policy=FEW)
    governor.take(Wish(id="w"))
    governor.turn()
    cluster.end("succeeded", promoted=True, digest="B")
    clock.pass_by(30.0)
    governor.turn()
    assert [r.event.KIND for r in read_journal(tmp_path / "state")][-2:] == ["champion", "ended"]
    assert governor.state.champion == Champion(version="B", digest="B")


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


@pytest.mark.parametrize(("whose", "result"), [("", "rejected"), ("another", "rejected"), ("ours", "promoted")])
def test_only_a_champion_that_says_so_itself_is_what_a_clusters_run_brought(
    world: World, whose: str, result: str
) -> None:
    world.train_once(10)
    run = world.governor.state.run
    assert run is not None
    world.registry.promote("B")  # by a person, by somebody else's run, or by ours: that is the question
    world.registry.brought["B"] = run.key if whose == "ours" else whose
    world.cluster.end("succeeded", promoted=None)
    world.turns(1)
    assert list(world.governor.state.results.values()) == [result]
    assert world.governor.state.champion == world.registry.now


def test_before_the_registry_has_answered_once_no_training_is_decided_on(tmp_path: Path) -> None:
    clock, registry = WorldClock(), SetRegistry()
    registry.is_down = True
    cluster = FolderCluster(tmp_path / "cluster")
    governor = make_governor(tmp_path / "state", cluster, clock=clock, policy=FEW, registry=registry)
    governor.turn()
    with pytest.raises(ServiceError, match="registry has not answered yet; send it again"):
        governor.take(Wish(id="w"))
    assert governor.take(alert()).choice == "ask_for_labels"
    registry.is_down = False
    governor.turn()
    assert governor.take(Wish(id="w")).choice == "train"
    assert governor.state.run is not None
    assert governor.state.run.champion == "A"


def test_lines_that_come_before_the_registry_has_answered_wait_for_it(tmp_path: Path) -> None:
    clock, registry, labels = WorldClock(), SetRegistry(), SetLabels()
    registry.is_down = True
    cluster = FolderCluster(tmp_path / "cluster")
    governor = make_governor(
        tmp_path / "state", cluster, clock=clock, policy=FEW, registry=registry, labels=labels
    )
    governor.take(alert())
    labels.number = 10
    governor.turn()
    assert not cluster.runs()
    registry.is_down = False
    governor.turn()
    assert len(cluster.runs()) == 1


def test_what_is_not_looked_at_at_this_turn_stays_a_trouble(world: World) -> None:
    world.registry.is_down = True
    world.governor._parts.registry_every_s = 60.0
    for _ in range(3):
        world.turns(1, 15.0)
        assert world.governor.troubles == {"registry": "MLflow is away"}
    world.registry.is_down = False
    world.turns(2, 60.0)
    assert not world.governor.troubles


def test_a_kill_switch_that_is_no_file_is_one_all_the_same(world: World) -> None:
    (world.folder / STOP).mkdir()
    world.train_once(10)
    assert not world.cluster.runs()
    assert world.governor.state.stopped_why == "no reason given"


def test_state_is_what_the_journal_adds_up_to(world: World) -> None:
    world.train_once(10)
    world.end("succeeded", promoted="B")
    live = world.governor.state
    assert fold(read_journal(world.folder)) == live
    assert world.restart().state == live
    assert live.champion == Champion(version="B", digest="B", previous="A", previous_digest="A")
