"""A rollout ends where its canary is champion no longer, and none of such a bundle begins."""

from dataclasses import replace
from pathlib import Path

import pytest

from htr.errors import ServiceError, SettingsError
from monitoring.rollout.journal import Journal
from monitoring.rollout.policy import Policy
from monitoring.rollout.records import Looked
from tests.kubernetes_api import KubernetesApi
from tests.rollout import OLD, STABLE_PATH, SetAliases, Traits, World

QUICK = Policy(steps=(50,), min_minutes=0.0, min_requests=100)


@pytest.fixture
def world(api: KubernetesApi, tmp_path: Path) -> World:
    world = World(api, tmp_path, registry=SetAliases())
    world.do(lambda guard: guard.start(QUICK))
    return world


def aliases(world: World) -> SetAliases:
    assert isinstance(world.registry, SetAliases)
    return world.registry


def until(world: World, phase: str) -> Journal:
    for _ in range(20):
        journal = world.do(lambda guard: guard.step())
        if journal.state.phase == phase:
            return journal
        world.traffic()
    raise AssertionError(journal.state.phase)


def roll_back_elsewhere(world: World) -> None:
    """Do what the governor does."""
    aliases(world).move_back(aliases(world).champion())


def told_stable(api: KubernetesApi) -> str:
    return str(api.objects[STABLE_PATH]["spec"]["predictor"]["model"]["storageUri"])


@pytest.mark.parametrize("phase", ["waiting", "judging", "settling"])
def test_a_canary_that_was_rolled_back_loses_its_traffic_in_every_phase_and_the_cause_is_on_record(
    api: KubernetesApi, world: World, phase: str
) -> None:
    if phase != "waiting":
        until(world, phase)
    roll_back_elsewhere(world)
    journal = world.do(lambda guard: guard.step())
    result, why = journal.state.results["b" * 64]
    assert result == "rolled_back"
    assert why == "bbbbbbbbbbbb was rolled back; version 1 (aaaaaaaaaaaa) is champion"
    assert world.weights() == (100, 0)
    assert told_stable(api) == OLD
    assert aliases(world).moved == 1, "by the governor alone"
    for _ in range(3):
        world.traffic()
        world.do(lambda guard: guard.step())
    assert world.weights() == (100, 0)


def test_a_canary_that_a_newer_champion_took_the_alias_from_is_let_go_of_and_not_called_worse(
    api: KubernetesApi, world: World
) -> None:
    until(world, "judging")
    aliases(world).now = replace(aliases(world).now, version="3", digest="sha256:" + "c" * 64)
    journal = world.do(lambda guard: guard.step())
    assert journal.state.results["b" * 64] == (
        "aborted",
        "bbbbbbbbbbbb is not champion; version 3 (cccccccccccc) is champion",
    )
    assert world.weights() == (100, 0)


def test_a_promotion_that_was_decided_before_a_kill_is_not_carried_out_once_the_alias_is_lost(
    api: KubernetesApi, world: World
) -> None:
    until(world, "judging")
    world.traffic()
    api.allowed = set()  # what was decided stays undone
    with pytest.raises(ServiceError, match="403"):
        until(world, "settling")
    api.allowed = None
    with Journal(world.folder).alone() as journal:
        assert journal.state.pending == "promote"
    roll_back_elsewhere(world)
    writes = list(api.writes)
    journal = world.do(lambda guard: guard.step())
    assert journal.state.results["b" * 64][0] == "rolled_back"
    assert told_stable(api) == OLD
    assert [path for _, path in api.writes[len(writes) :]].count(STABLE_PATH) == 0, (
        "never told, not even for a moment"
    )


def test_while_the_registry_is_away_nothing_goes_on_and_a_bad_canary_is_taken_back_all_the_same(
    api: KubernetesApi, tmp_path: Path
) -> None:
    good = World(api, tmp_path / "good", registry=SetAliases())
    good.do(lambda guard: guard.start(QUICK))
    aliases(good).is_down = True
    for _ in range(4):
        good.do(lambda guard: guard.step())
        good.traffic()
    assert good.weights() == (100, 0)
    assert good.said[-1].endswith("but nobody knows whether it is champion (MLflow is away)")
    aliases(good).is_down = False
    good.do(lambda guard: guard.step())
    assert good.weights() == (50, 50)
    good.do(lambda guard: guard.abort("next"))
    bad = World(api, tmp_path / "bad", canary=Traits(failures=0.3), registry=SetAliases())
    bad.do(lambda guard: guard.start(QUICK))
    until(bad, "judging")
    aliases(bad).is_down = True
    with pytest.raises(ServiceError, match="MLflow is away"):  # the alias; traffic comes first
        until(bad, "ended")
    assert bad.weights() == (100, 0)
    aliases(bad).is_down = False
    journal = bad.do(lambda guard: guard.step())
    assert journal.state.results["b" * 64][0] == "rolled_back"
    assert aliases(bad).moved == 1


def test_a_bundle_that_is_not_champion_or_was_rolled_back_is_not_begun(api: KubernetesApi, tmp_path: Path) -> None:
    world = World(api, tmp_path, registry=SetAliases(digest="c" * 64))
    with Journal(tmp_path).alone() as journal:
        assert not world.guard(journal).is_untried()
    assert world.said[-1].startswith("not begun: bbbbbbbbbbbb is not champion; version 2 (cccccccccccc)")
    with pytest.raises(SettingsError, match=r"is not champion; version 2 .*deploy the champion"):
        world.do(lambda guard: guard.start(QUICK))
    world.registry = SetAliases()
    roll_back_elsewhere(world)
    aliases(world).now = SetAliases().now  # a person makes it champion again
    with pytest.raises(SettingsError, match="was rolled back"):
        world.do(lambda guard: guard.start(QUICK))
    world.do(lambda guard: guard.start(QUICK, again=True))
    journal = until(world, "judging")
    assert [one.event for one in journal.records if isinstance(one.event, Looked)][-1].choice == "advance"


def test_a_trial_without_a_registry_asks_for_no_champion(api: KubernetesApi, tmp_path: Path) -> None:
    world = World(api, tmp_path)
    world.do(lambda guard: guard.start(QUICK))
    assert until(world, "settling").state.weights.canary == 100
