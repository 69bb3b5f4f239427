"""A rollout's guard where servers are away, people step in, or Kubernetes does not mean what it says."""

from pathlib import Path

import pytest

from htr.errors import ServiceError, SettingsError
from k8s.cluster.release import Weights
from monitoring.rollout.journal import Journal
from monitoring.rollout.policy import Policy
from tests.kubernetes_api import KubernetesApi
from tests.rollout import (
    CANARY_PATH,
    OLD,
    ROUTE_PATH,
    STABLE_PATH,
    Traits,
)
from tests.unit.monitoring.rollout.test_guard import begun, model


def test_no_traffic_goes_to_a_canary_that_does_not_serve_the_bundle_yet(
    api: KubernetesApi, tmp_path: Path
) -> None:
    world = begun(api, tmp_path)
    world.canary.digest = "sha256:" + "a" * 64
    for _ in range(5):
        world.do(lambda guard: guard.step())
        world.traffic()
    assert world.weights() == (100, 0)
    assert "serves aaaaaaaaaaaa, not bbbbbbbbbbbb" in world.said[-1]
    api.ready(CANARY_PATH, ready=False)
    world.canary.digest = "sha256:" + "b" * 64
    world.do(lambda guard: guard.step())
    assert "not ready" in world.said[-1]
    api.ready(CANARY_PATH)
    world.do(lambda guard: guard.step())
    assert world.weights() == (95, 5)


def test_a_canary_that_is_away_is_taken_back_and_a_blink_is_not(api: KubernetesApi, tmp_path: Path) -> None:
    world = begun(api, tmp_path)
    world.do(lambda guard: guard.step())
    for is_down in (True, True, False, True, True):
        world.canary.down = is_down
        journal = world.do(lambda guard: guard.step())
        assert journal.state.is_active
    journal = world.do(lambda guard: guard.step())
    assert journal.state.results["b" * 64] == (
        "rolled_back",
        "away 3 looks in a row: canary: no metrics (connection refused)",
    )


def test_nothing_is_judged_while_the_stable_server_cannot_be_seen(api: KubernetesApi, tmp_path: Path) -> None:
    world = begun(api, tmp_path, Policy(give_up_hours=1.0), canary=Traits(failures=0.5))
    world.do(lambda guard: guard.step())
    world.stable.down = True
    for _ in range(5):
        world.traffic()
        journal = world.do(lambda guard: guard.step())
        assert journal.state.is_active
    assert "nothing to compare it with" in world.said[-1]
    world.traffic(minutes=60)
    journal = world.do(lambda guard: guard.step())
    assert journal.state.results["b" * 64][1].startswith("gave up after 1 h")


def test_where_neither_server_can_be_asked_nothing_is_held_against_the_canary(
    api: KubernetesApi, tmp_path: Path
) -> None:
    """Prometheus is away, which says nothing about the bundle"""
    world = begun(api, tmp_path)
    world.do(lambda guard: guard.step())
    world.stable.down = world.canary.down = True
    for _ in range(6):
        journal = world.do(lambda guard: guard.step())
        assert journal.state.is_active
    assert "neither can be asked" in world.said[-1]
    world.stable.down = world.canary.down = False
    assert world.run().state.results["b" * 64][0] == "promoted"


def test_restarted_and_added_processes_are_counted_from_nothing(api: KubernetesApi, tmp_path: Path) -> None:
    world = begun(api, tmp_path, Policy(min_minutes=0.0, min_requests=10_000))
    world.do(lambda guard: guard.step())
    world.do(lambda guard: guard.step())
    world.traffic(1000)
    world.do(lambda guard: guard.step())
    before = world.stable.values["read"] + world.stable.values["failed"] - 2000
    world.stable.values, world.stable.start = {}, world.clock.wall.timestamp() + 1
    world.traffic(1000)
    journal = world.do(lambda guard: guard.step())
    assert journal.state.counts["stable"].requests == before + world.stable.values["within +Inf"]


@pytest.mark.parametrize("fault", ["conflict", "error", "lost"])
def test_what_kubernetes_did_not_mean_is_tried_again_and_done_once(
    api: KubernetesApi, tmp_path: Path, fault: str
) -> None:
    world = begun(api, tmp_path)
    api.faults = [("PATCH", fault)] * 1  # type: ignore[list-item]
    world.do(lambda guard: guard.step())
    assert world.weights() == (95, 5)
    assert api.writes == [("PATCH", ROUTE_PATH)]
    assert not api.faults


def test_a_cluster_that_refuses_leaves_the_choice_pending_and_the_next_step_does_it(
    api: KubernetesApi, tmp_path: Path
) -> None:
    world = begun(api, tmp_path)
    api.allowed = set()
    with pytest.raises(ServiceError, match=r"403.*give the service account this right"):
        world.do(lambda guard: guard.step())
    with Journal(tmp_path).alone() as journal:
        assert journal.state.pending == "advance"
    api.allowed = None
    journal = world.do(lambda guard: guard.step())
    assert journal.state.weights == Weights(stable=95, canary=5)
    assert world.weights() == (95, 5)


def test_a_person_can_end_it_while_the_cluster_refuses_what_was_decided(
    api: KubernetesApi, tmp_path: Path
) -> None:
    world = begun(api, tmp_path)
    for _ in range(30):
        if world.weights() == (50, 50):
            break
        world.do(lambda guard: guard.step())
        world.traffic()
    api.allowed = {ROUTE_PATH}
    with pytest.raises(ServiceError, match="403"):
        world.run()
    assert world.weights() == (0, 100)
    journal = world.do(lambda guard: guard.abort("no rights"))
    assert journal.state.results["b" * 64] == ("aborted", "no rights")
    assert world.weights() == (100, 0)
    assert model(api, STABLE_PATH) == OLD


def test_a_second_guard_finds_the_journal_locked(api: KubernetesApi, tmp_path: Path) -> None:
    world = begun(api, tmp_path)
    with Journal(tmp_path).alone(), pytest.raises(SettingsError, match="another rollout command"):
        world.do(lambda guard: guard.step())
