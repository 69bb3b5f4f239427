from pathlib import Path

import pytest

from htr.errors import SettingsError
from monitoring.rollout.guards import GUARDS
from monitoring.rollout.journal import Journal
from monitoring.rollout.policy import Policy
from tests.kubernetes_api import KubernetesApi
from tests.rollout import (
    CANARY_PATH,
    NEW,
    NEWER,
    OLD,
    ROUTE_PATH,
    STABLE_PATH,
    InventedPairs,
    SetAliases,
    Traits,
    World,
)


def model(api: KubernetesApi, path: str) -> str:
    uri: str = api.objects[path]["spec"]["predictor"]["model"]["storageUri"]
    return uri


def begun(api: KubernetesApi, folder: Path, policy: Policy | None = None, **given: object) -> World:
    world = World(api, folder, **given)  # type: ignore[arg-type]
    world.do(lambda guard: guard.start(policy or Policy()))
    return world


def test_an_equal_bundle_gets_its_traffic_in_steps_and_then_the_stable_server_has_it(
    api: KubernetesApi, tmp_path: Path
) -> None:
    world = begun(api, tmp_path, pairs=InventedPairs())
    seen = []
    for _ in range(40):
        journal = world.do(lambda guard: guard.step())
        seen.append(world.weights())
        if not journal.state.is_active:
            break
        world.settle()
        world.traffic()
    changes = [now for before, now in zip([(0, 0), *seen], seen, strict=False) if now != before]
    assert changes == [(95, 5), (75, 25), (50, 50), (0, 100), (100, 0)]
    assert journal.state.phase == "ended"
    assert journal.state.results["b" * 64][0] == "promoted"
    assert model(api, STABLE_PATH) == NEW
    assert api.objects[ROUTE_PATH]["spec"]["rules"][1]["backendRefs"][0]["name"] == "nowhere"
    assert api.objects[STABLE_PATH]["spec"]["predictor"]["model"]["runtime"] == "quillflow-runtime"


WORSE = {
    "failures": Traits(failures=0.06),
    "shed": Traits(shed=0.10),
    "latency_p95": Traits(slower=2.0),
    "latency_p99": Traits(stuck=0.05),
    "doubt": Traits(doubt=0.30),
    "empty": Traits(empty=0.10),
    "verdicts": Traits(remarked=0.25),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_each_guard_takes_a_worse_canary_back_once_and_says_why(
    api: KubernetesApi, tmp_path: Path, guard: str
) -> None:
    pairs = {"disagreement": InventedPairs(differ=0.6), "losses": InventedPairs(differ=0.2, losses=0.95)}
    aliases = SetAliases()
    world = begun(
        api, tmp_path, canary=WORSE.get(guard), pairs=pairs.get(guard, InventedPairs()), registry=aliases
    )
    journal = world.run()
    result, reason = journal.state.results["b" * 64]
    assert result == "rolled_back"
    assert guard in reason
    assert world.weights() == (100, 0)
    assert model(api, STABLE_PATH) == OLD
    assert aliases.moved == 1
    writes = list(api.writes)
    for _ in range(3):
        world.traffic()
        journal = world.do(lambda guard: guard.step())
    assert api.writes == writes
    assert aliases.moved == 1
    assert (
        sum(getattr(one.event, "choice", "") == "roll_back" for one in journal.records) == 2
    )  # decided, and done


def test_a_bundle_that_was_taken_back_is_not_tried_again_by_itself(api: KubernetesApi, tmp_path: Path) -> None:
    world = begun(api, tmp_path, canary=Traits(failures=0.2))
    world.run()
    with pytest.raises(SettingsError, match=r"was rolled back before \(failures"):
        world.do(lambda guard: guard.start(Policy()))
    with Journal(tmp_path).alone() as journal:
        assert not world.guard(journal).is_untried()
    journal = world.do(lambda guard: guard.start(Policy(), again=True))
    assert journal.state.is_active


def test_starting_twice_begins_once_and_a_rollout_of_nothing_is_none(api: KubernetesApi, tmp_path: Path) -> None:
    world = begun(api, tmp_path)
    journal = world.do(lambda guard: guard.start(Policy()))
    assert len(journal.records) == 1
    assert world.said[-1].startswith("under way already")
    api.edit(CANARY_PATH, "spec.predictor.model.storageUri", OLD)
    world.run()
    world.do(lambda guard: guard.start(Policy()))
    assert world.said[-1].startswith("nothing to try")


def test_a_canary_whose_address_is_no_digest_is_refused(api: KubernetesApi, tmp_path: Path) -> None:
    world = World(api, tmp_path)
    api.edit(CANARY_PATH, "spec.predictor.model.storageUri", "s3://models/newest")
    with pytest.raises(SettingsError, match="no immutable bundle address"):
        world.do(lambda guard: guard.start(Policy()))
    assert not (tmp_path / "rollout.jsonl").read_bytes()


def test_a_new_bundle_in_the_canary_ends_the_rollout_and_takes_its_traffic(
    api: KubernetesApi, tmp_path: Path
) -> None:
    world = begun(api, tmp_path)
    world.do(lambda guard: guard.step())
    api.edit(CANARY_PATH, "spec.predictor.model.storageUri", NEWER)
    journal = world.do(lambda guard: guard.step())
    assert journal.state.results["b" * 64][0] == "aborted"
    assert world.weights() == (100, 0)
    with Journal(tmp_path).alone() as journal:
        assert world.guard(journal).is_untried()


def test_weights_that_a_person_sets_stay(api: KubernetesApi, tmp_path: Path) -> None:
    world = begun(api, tmp_path)
    world.do(lambda guard: guard.step())
    rules = api.objects[ROUTE_PATH]["spec"]["rules"]
    rules[0]["backendRefs"][0]["weight"], rules[0]["backendRefs"][1]["weight"] = 60, 40
    journal = world.do(lambda guard: guard.step())
    assert journal.state.phase == "ended"
    assert "somebody else has set the weights to 60 : 40" in journal.state.reason
    assert world.weights() == (60, 40)


def test_a_person_can_end_it_at_any_time_even_while_the_stable_server_changes(
    api: KubernetesApi, tmp_path: Path
) -> None:
    world = begun(api, tmp_path)
    for _ in range(30):
        journal = world.do(lambda guard: guard.step())
        if journal.state.phase == "settling":
            break
        world.traffic()
    assert model(api, STABLE_PATH) == NEW
    journal = world.do(lambda guard: guard.abort("the archive complains"))
    assert journal.state.results["b" * 64] == ("aborted", "the archive complains")
    assert world.weights() == (100, 0)
    assert model(api, STABLE_PATH) == OLD
    world.do(lambda guard: guard.abort("again"))
    assert world.said[-1].startswith("no rollout under way")


def test_in_the_shadow_the_canary_gets_copies_only_and_is_judged_by_disagreement(
    api: KubernetesApi, tmp_path: Path
) -> None:
    world = begun(api, tmp_path, Policy(shadow=True), pairs=InventedPairs(differ=0.05), canary=Traits(doubt=0.9))
    world.do(lambda guard: guard.step())
    rule = api.objects[ROUTE_PATH]["spec"]["rules"][0]
    assert world.weights() == (100, 0)
    assert rule["filters"] == [
        {
            "type": "RequestMirror",
            "requestMirror": {"backendRef": {"name": "quillflow-canary-predictor", "port": 80}},
        }
    ]
    for _ in range(10):
        world.traffic()
        world.do(lambda guard: guard.step())
        if world.weights() != (100, 0):
            break
    assert world.weights() == (95, 5)
    assert "filters" not in api.objects[ROUTE_PATH]["spec"]["rules"][0]


def test_a_disagreeing_shadow_never_gets_a_request(api: KubernetesApi, tmp_path: Path) -> None:
    world = begun(api, tmp_path, Policy(shadow=True), pairs=InventedPairs(differ=0.7))
    journal = world.run()
    assert "disagreement" in journal.state.results["b" * 64][1]
    assert world.canary.values["read"] == 0
    assert "filters" not in api.objects[ROUTE_PATH]["spec"]["rules"][0]


def test_a_shadow_without_pairs_is_refused(api: KubernetesApi, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="paired lines"):
        begun(api, tmp_path, Policy(shadow=True))


def test_with_gitops_the_stable_server_waits_for_a_commit(api: KubernetesApi, tmp_path: Path) -> None:
    world = begun(api, tmp_path)
    for _ in range(30):
        journal = world.do(lambda guard: guard.step(), writes_stable=False)
        if journal.state.phase == "settling":
            break
        world.traffic()
    for _ in range(2):
        world.do(lambda guard: guard.step(), writes_stable=False)
        world.settle()
    assert model(api, STABLE_PATH) == OLD
    assert world.weights() == (0, 100)
    api.edit(STABLE_PATH, "spec.predictor.model.storageUri", NEW, manager="flux")
    world.settle()
    journal = world.do(lambda guard: guard.step(), writes_stable=False)
    assert journal.state.results["b" * 64][0] == "promoted"
    assert world.weights() == (100, 0)
