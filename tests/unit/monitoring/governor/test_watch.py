from dataclasses import replace
from pathlib import Path

import pytest

from monitoring.governor.events import Figures, Measured
from monitoring.governor.governor import STOP, Governor
from monitoring.governor.journal import read_journal
from monitoring.governor.measures import PrometheusMeasures
from monitoring.governor.policy import Policy, WatchPolicy
from monitoring.governor.watch import compare
from tests.faults.lying import lying_proxy
from tests.governor import HOUR, FolderCluster, SetRegistry, WorldClock, make_governor
from tests.unit.monitoring.governor.test_measures import answering

BEFORE = Figures(readings=1000, doubt=0.10, error_rate=0.01, latency=0.2, cer=0.15)


@pytest.mark.parametrize(
    ("changes", "worse"),
    [
        ({}, []),
        ({"doubt": 0.149, "error_rate": 0.029, "latency": 0.29, "cer": 0.169}, []),
        ({"doubt": 0.16}, ["doubt 0.16 after 0.1, 0.05 more would be let be"]),
        ({"error_rate": 0.04}, ["error rate 0.04 after 0.01, 0.02 more would be let be"]),
        ({"latency": 0.31}, ["latency 0.31 after 0.2, 0.1 more would be let be"]),
        ({"cer": 0.18}, ["measured CER 0.18 after 0.15, 0.02 more would be let be"]),
        ({"cer": None, "doubt": 0.05}, []),
    ],
)
def test_a_champion_is_worse_where_a_figure_rose_by_more_than_its_margin(
    changes: dict[str, float], worse: list[str]
) -> None:
    assert list(compare(replace(BEFORE, **changes), BEFORE, WatchPolicy()).worse) == worse


def test_few_readings_of_either_judge_nothing() -> None:
    for now, before in ((199, 1000), (1000, 199)):
        compared = compare(
            replace(BEFORE, readings=now, doubt=0.9), replace(BEFORE, readings=before), WatchPolicy()
        )
        assert not compared.worse
        assert compared.remark == "199 readings of 200 to judge by"


class SetMeasures:
    """Figures that a test sets."""

    def __init__(self) -> None:
        self.now = self.before = BEFORE
        self.num_asked = 0

    def compare(self, champion: object, watched_s: float) -> tuple[Figures, Figures]:
        self.num_asked += 1
        return self.now, self.before


class Watched:
    """A governor whose champion B has just taken over from A."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.registry, self.measures = WorldClock(), SetRegistry(), SetMeasures()
        self.folder = folder
        self.governor = self.restart()
        self.registry.promote("B")
        self.turns(1)

    def restart(self) -> Governor:
        self.governor = make_governor(
            self.folder / "state",
            FolderCluster(self.folder / "cluster"),
            clock=self.clock,
            policy=Policy(),
            registry=self.registry,
            measures=self.measures,
        )
        self.governor.turn()
        return self.governor

    def turns(self, number: int) -> None:
        for _ in range(number):
            self.clock.pass_by(HOUR)
            self.governor.turn()

    def rolled_back(self) -> int:
        return sum(record.decision.choice == "roll_back" for record in read_journal(self.folder / "state"))


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_worse_champion_loses_the_alias_once_and_the_old_one_is_not_watched(watched: Watched) -> None:
    watched.turns(3)
    assert watched.registry.now.digest == "B"
    watched.measures.now = replace(BEFORE, doubt=0.3)
    watched.turns(10)
    watched.restart()
    watched.turns(10)
    assert watched.registry.now.digest == "A"
    assert watched.registry.num_moves == watched.rolled_back() == 1
    state = watched.governor.state
    assert (state.misses, state.num_rollbacks, state.watch) == (1, 1, None)


def test_while_prometheus_is_away_or_breaks_off_nothing_is_rolled_back_and_then_what_is_worse_is(
    watched: Watched,
) -> None:
    told: list[str] = []
    measures = SetMeasures()
    measures.now = replace(BEFORE, doubt=0.3)

    def answer(method: str, path: str, number: int) -> str:
        return ("refuse", "cut", "short", "page")[number % 4]

    with answering({}) as (truth, _), lying_proxy(truth, answer) as url:
        watched.measures = PrometheusMeasures(url)  # type: ignore[assignment]
        watched.restart()
        for _ in range(4):
            watched.turns(1)
            told.append(watched.governor.troubles["watch"])
    assert all("Prometheus at http://127.0.0.1" in one for one in told)
    assert (watched.rolled_back(), watched.registry.now.digest) == (0, "B")
    watched.measures = measures
    watched.restart()
    watched.turns(1)
    assert (watched.rolled_back(), watched.registry.now.digest) == (1, "A")
    assert "watch" not in watched.governor.troubles


def test_after_the_watch_a_worse_champion_is_peoples_affair(watched: Watched) -> None:
    watched.turns(24)
    watched.measures.now = replace(BEFORE, doubt=0.3)
    asked = watched.measures.num_asked
    watched.turns(10)
    assert watched.registry.now.digest == "B"
    assert watched.measures.num_asked == asked


def test_the_kill_switch_holds_a_rollback_back(watched: Watched) -> None:
    (watched.folder / "state" / STOP).touch()
    watched.measures.now = replace(BEFORE, doubt=0.3)
    watched.turns(3)
    assert watched.registry.now.digest == "B"
    (watched.folder / "state" / STOP).unlink()
    watched.turns(2)
    assert watched.registry.now.digest == "A"


def test_an_alias_that_a_person_moved_meanwhile_is_let_be(watched: Watched) -> None:
    watched.registry.promote("C")
    watched.governor.take(Measured(version="B", now=replace(BEFORE, doubt=0.3), before=BEFORE))
    watched.turns(2)
    assert watched.registry.now.digest == "C"
    assert watched.registry.num_moves == 0


def test_a_version_that_was_taken_back_and_promoted_by_hand_is_watched_again(watched: Watched) -> None:
    watched.measures.now = replace(BEFORE, doubt=0.3)
    watched.turns(2)
    watched.registry.promote("B")
    watched.turns(3)
    assert watched.registry.num_moves == watched.rolled_back() == 2
