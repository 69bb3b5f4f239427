"""A rollback on a cluster: servers that were told a bundle by its digest are told the one before."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from htr.errors import ServiceError
from htr.versions import open_store
from k8s.cluster.api import Api
from k8s.cluster.release import Servers
from monitoring.governor.events import Champion, Figures
from monitoring.governor.governor import Governor
from monitoring.governor.journal import read_journal
from monitoring.governor.replay import explain
from monitoring.governor.servers import ClusterServers
from tests.governor import HOUR, FolderCluster, SetRegistry, WorldClock, make_governor
from tests.kubernetes_api import KubernetesApi, kubernetes_api
from tests.manifests.rendering import rendered
from tests.manifests.rights import needed, rights_of
from tests.rollout import CANARY_PATH, STABLE_PATH, place_release
from tests.servers import untaught_bundle

ROOT = Path(__file__).parents[4]
GOOD = Figures(readings=1000, doubt=0.10)
MODEL = "spec.predictor.model.storageUri"


class Worse:
    """Any new champion doubts more."""

    def compare(self, champion: object, watched_s: float) -> tuple[Figures, Figures]:
        return replace(GOOD, doubt=0.5), GOOD


@pytest.fixture(scope="module")
def uris(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Addresses of three bundles in a store: of the champion before, of the one that is worse, of another."""
    folder = tmp_path_factory.mktemp("versions")
    store = open_store(folder / "store")
    return [
        store.publish("bundle", "quillflow", untaught_bundle(folder / str(seed), seed=seed)).uri
        for seed in (1, 2, 3)
    ]


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    with kubernetes_api() as api:
        yield api


class Cluster:
    """A governor on a cluster whose champion has just changed to one that will turn out worse."""

    def __init__(self, api: KubernetesApi, folder: Path, uris: list[str], *, on_a_cluster: bool = True) -> None:
        self.api, self.folder, self.uris = api, folder, uris
        self.clock, self.registry = WorldClock(), SetRegistry(digest_of(uris[0]))
        self.parts = {"registry": self.registry, "measures": Worse()}
        if on_a_cluster:
            kube = Api(url=api.url, wait=lambda _: None)
            names = ("quillflow", "quillflow-canary")
            self.parts["servers"] = ClusterServers(servers=Servers(api=kube), names=names)
        self.governor = self.restart()
        self.registry.promote(digest_of(uris[1]))

    def restart(self) -> Governor:
        runs = FolderCluster(self.folder / "cluster")
        self.governor = make_governor(self.folder / "state", runs, clock=self.clock, **self.parts)
        self.governor.turn()
        return self.governor

    def turns(self, number: int = 3) -> None:
        for _ in range(number):
            self.clock.pass_by(HOUR / 6)
            self.governor.turn()

    def told(self, path: str = STABLE_PATH) -> str:
        uri: str = self.api.objects[path]["spec"]["predictor"]["model"]["storageUri"]
        return uri

    def events(self) -> list[str]:
        return [record.event.KIND for record in read_journal(self.folder / "state")]


def digest_of(uri: str) -> str:
    return f"sha256:{uri[-64:]}"


def test_a_rollback_gives_the_stable_server_its_bundle_back_once(
    api: KubernetesApi, tmp_path: Path, uris: list[str]
) -> None:
    place_release(api, stable=uris[1], canary=uris[0])
    cluster = Cluster(api, tmp_path, uris)
    cluster.turns()
    assert cluster.registry.now.digest == digest_of(uris[0])
    assert cluster.told() == uris[0]
    cluster.turns(5)
    cluster.restart()
    cluster.turns(5)
    assert api.writes == [("PATCH", STABLE_PATH)]
    assert cluster.events().count("servers_told") == 1
    record = next(one for one in read_journal(tmp_path / "state") if one.event.KIND == "servers_told")
    assert f"quillflow is told {uris[0][-64:][:12]}" in record.decision.reason
    assert not any(one.differs for one in explain(read_journal(tmp_path / "state")))


def test_a_canary_that_has_the_bundle_loses_it_and_one_that_was_never_applied_is_passed_over(
    api: KubernetesApi, tmp_path: Path, uris: list[str]
) -> None:
    place_release(api, stable=uris[0], canary=uris[1])
    cluster = Cluster(api, tmp_path / "canary", uris)
    cluster.turns()
    assert cluster.told() == cluster.told(CANARY_PATH) == uris[0]
    assert api.writes == [("PATCH", CANARY_PATH)]
    place_release(api, stable=uris[1])
    del api.objects[CANARY_PATH]
    alone = Cluster(api, tmp_path / "alone", uris)
    alone.turns()
    assert alone.told() == uris[0]
    assert not alone.governor.troubles


def test_on_one_machine_a_rollback_writes_what_it_wrote_before(
    api: KubernetesApi, tmp_path: Path, uris: list[str]
) -> None:
    laptop = Cluster(api, tmp_path, uris, on_a_cluster=False)
    laptop.turns(5)
    assert laptop.registry.now.digest == digest_of(uris[0])
    assert laptop.events()[-2:] == ["rolled_back", "champion"]
    assert not api.asked


@pytest.mark.parametrize("fault", ["conflict", "error", "lost"])
def test_what_kubernetes_did_not_mean_is_asked_again_and_done_once(
    api: KubernetesApi, tmp_path: Path, uris: list[str], fault: str
) -> None:
    place_release(api, stable=uris[1], canary=uris[0])
    cluster = Cluster(api, tmp_path, uris)
    api.faults = [("PATCH", fault)]  # type: ignore[list-item]
    cluster.turns()
    assert not api.faults
    assert cluster.told() == uris[0]
    assert api.writes == [("PATCH", STABLE_PATH)]
    assert cluster.events().count("servers_told") == 1


def test_a_cluster_that_is_away_is_a_trouble_and_is_told_when_it_is_back(
    api: KubernetesApi, tmp_path: Path, uris: list[str]
) -> None:
    place_release(api, stable=uris[1], canary=uris[0])
    cluster = Cluster(api, tmp_path, uris)
    api.allowed = set()
    cluster.turns()
    assert cluster.registry.num_moves == 1
    assert "give the service account this right" in cluster.governor.troubles["servers"]
    assert cluster.told() == uris[1]
    api.allowed = None
    cluster.restart()
    cluster.turns(1)
    assert cluster.told() == uris[0]
    assert not cluster.governor.troubles
    assert cluster.registry.num_moves == 1


def test_a_server_that_a_person_told_another_bundle_keeps_it(
    api: KubernetesApi, tmp_path: Path, uris: list[str]
) -> None:
    place_release(api, stable=uris[2], canary=uris[0])
    cluster = Cluster(api, tmp_path, uris)
    cluster.turns()
    assert cluster.registry.now.digest == digest_of(uris[0])
    assert cluster.told() == uris[2]
    assert not api.writes


def test_a_deployment_that_comes_between_look_and_write_is_not_overwritten(
    api: KubernetesApi, uris: list[str]
) -> None:
    place_release(api, stable=uris[1])

    class Interrupted(Api):
        def apply(self, path: str, value: dict, *, manager: str, force: bool = False) -> dict:  # type: ignore[type-arg]
            if cluster_told() == uris[1]:
                api.edit(STABLE_PATH, MODEL, uris[2], manager="quillflow-release")
            return super().apply(path, value, manager=manager, force=force)

    def cluster_told() -> str:
        return str(api.objects[STABLE_PATH]["spec"]["predictor"]["model"]["storageUri"])

    servers = Servers(api=Interrupted(url=api.url, wait=lambda _: None))
    told = ClusterServers(servers=servers, names=("quillflow",)).go_back(taken_back(uris))
    assert cluster_told() == uris[2]
    assert "quillflow was told another one" in told


def test_a_version_that_somebody_brings_back_before_the_servers_were_told_keeps_them(
    api: KubernetesApi, tmp_path: Path, uris: list[str]
) -> None:
    place_release(api, stable=uris[1], canary=uris[0])
    cluster = Cluster(api, tmp_path, uris)
    api.allowed = set()
    cluster.turns()
    assert cluster.registry.num_moves == 1
    cluster.parts.pop("measures")
    cluster.registry.promote(digest_of(uris[1]))
    cluster.restart()
    api.allowed = None
    cluster.turns()
    assert cluster.told() == uris[1]
    assert "servers_told" not in cluster.events()


def test_a_bundle_that_the_store_does_not_have_is_named_and_nothing_is_told(
    api: KubernetesApi, uris: list[str]
) -> None:
    place_release(api, stable=uris[1])
    servers = ClusterServers(servers=Servers(api=Api(url=api.url)), names=("quillflow",))
    for digest in ("sha256:" + "e" * 64, "version 1"):
        with pytest.raises(ServiceError, match="publish version 1 and have it served"):
            servers.go_back(replace(taken_back(uris), previous_digest=digest))
    assert not api.writes


def test_the_governor_may_what_a_rollback_asks_of_kubernetes_and_no_more(
    api: KubernetesApi, tmp_path: Path, uris: list[str]
) -> None:
    place_release(api, stable=uris[1], canary=uris[1])
    Cluster(api, tmp_path, uris).turns()
    granted = rights_of(rendered("production"), "quillflow-governor")
    assert {one for one in granted if one[1] != "pipelines.kubeflow.org"} == needed(api)


@pytest.mark.slow
def test_killed_at_any_write_a_rollback_comes_to_the_same_end_and_each_server_is_told_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.rollback_kills", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *killed, whole = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(killed) >= 12, "four records are two places each, and so is each of three acts"
    assert all(one["killed"] for one in killed)
    assert not whole["killed"]
    for one in (*killed, whole):
        assert one["alias"] == "1", one
        assert one["back"] == [True, True], one
        assert one["writes"] == ["quillflow", "quillflow-canary"], one
        assert (one["rolled_back"], one["servers_told"]) == (1, 1), one


def taken_back(uris: list[str]) -> Champion:
    return Champion(version="2", digest=digest_of(uris[1]), previous="1", previous_digest=digest_of(uris[0]))
