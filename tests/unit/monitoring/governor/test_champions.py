"""What the governor believes of the champion, and when."""

from pathlib import Path

import pytest

from htr.errors import ServiceError
from monitoring.governor.events import Champion, Wish
from monitoring.governor.journal import read_journal
from tests.governor import FolderCluster, SetLabels, SetRegistry, WorldClock, alert, make_governor
from tests.governor_world import FEW, World


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
