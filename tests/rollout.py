"""A rollout in a small world that a test moves: a Kubernetes API on loopback, invented traffic, a clock."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rollout_traffic import Server, Traits
from htr.errors import ServiceError
from k8s.cluster.api import Api
from k8s.cluster.release import INFERENCE, ROUTE, Route, Servers
from monitoring.governor.clock import GovernedClock
from monitoring.governor.events import Champion
from monitoring.rollout.counts import Sample
from monitoring.rollout.guard import Guard
from monitoring.rollout.guards import Pairs
from monitoring.rollout.journal import Journal
from monitoring.rollout.pairs import Compared, PairSource
from monitoring.rollout.parts import Parts, Registry
from monitoring.rollout.sources import Arm
from tests.governor import WorldClock
from tests.kubernetes_api import KubernetesApi

SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/quillflow/inferenceservices"
STABLE_PATH, CANARY_PATH = f"{SERVICES}/quillflow", f"{SERVICES}/quillflow-canary"
ROUTE_PATH = "/apis/gateway.networking.k8s.io/v1/namespaces/quillflow/httproutes/quillflow"
OLD, NEW, NEWER = (f"quillflow+s3://models/store/bundle/{letter * 64}" for letter in "abc")


class InventedSource:
    """Servers of both arms, in this process."""

    def __init__(self) -> None:
        self.servers: dict[Arm, dict[str, Server]] = {"stable": {}, "canary": {}}

    def read(self, arm: Arm) -> dict[str, Sample]:
        up = {name: server for name, server in self.servers[arm].items() if not server.down}
        if self.servers[arm] and not up:
            raise ServiceError(f"{arm}: no metrics (connection refused)")
        return {name: server.sample() for name, server in up.items()}


@dataclass
class InventedPairs:
    """Paired lines that are read differently at given rates."""

    differ: float = 0.1
    losses: float = 0.5
    """Of those that differ, the share that only the stable server reads right (the others only the canary)."""
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def compare(self, cursor: str, most: int) -> Compared:
        differ = int(self.rng.binomial(most, self.differ))
        lost = int(self.rng.binomial(differ, self.losses))
        pairs = Pairs(compared=most, differ=differ, only_stable=lost, only_canary=differ - lost)
        return Compared(pairs=pairs, cursor=str(int(cursor or 0) + most), is_all=False)


class SetAliases:
    """A registry whose champion is the canary's bundle."""

    def __init__(self, digest: str = "b" * 64, previous: str = "a" * 64) -> None:
        self.now = Champion(
            version="2", digest=f"sha256:{digest}", previous="1", previous_digest=f"sha256:{previous}"
        )
        self.moved = 0
        self.taken_back: set[str] = set()
        """Digests of versions that bear the tag ``rolled_back``."""
        self.is_down = False

    def champion(self) -> Champion:
        if self.is_down:
            raise ServiceError("MLflow is away")
        return self.now

    def was_taken_back(self, digest: str) -> bool:
        return digest in self.taken_back

    def move_back(self, champion: Champion) -> tuple[bool, str]:
        self.moved += 1
        self.taken_back.add(champion.digest)
        self.now = replace(self.now, version="1", digest=self.now.previous_digest)
        return True, "version 1 is champion again"


class World:
    """All of it, with a journal in a folder."""

    def __init__(
        self,
        api: KubernetesApi,
        folder: Path,
        *,
        seed: int = 0,
        stable: Traits | None = None,
        canary: Traits | None = None,
        pairs: PairSource | None = None,
        registry: Registry | None = None,
    ) -> None:
        self.api, self.folder = api, folder
        self.rng = np.random.default_rng(seed)
        self.clock = WorldClock()
        self.source = InventedSource()
        self.source.servers["stable"]["s0"] = Server("sha256:" + "a" * 64, stable or Traits())
        self.source.servers["canary"]["c0"] = Server("sha256:" + "b" * 64, canary or Traits())
        self.stable = self.source.servers["stable"]["s0"]
        self.canary = self.source.servers["canary"]["c0"]
        self.pairs, self.registry = pairs, registry
        self.said: list[str] = []
        if STABLE_PATH not in api.objects:
            place_release(api)
        self.stable.take(2000, self.rng)

    def guard(self, journal: Journal, *, writes_stable: bool = True) -> Guard:
        kube = Api(url=self.api.url, wait=lambda _: None)
        parts = Parts(
            servers=Servers(api=kube),
            route=Route(api=kube),
            source=self.source,
            pairs=self.pairs,
            registry=self.registry,
            writes_stable=writes_stable,
        )
        clock = GovernedClock(
            journal.state.at, journal.state.time, wall=lambda: self.clock.wall, steady=lambda: self.clock.steady
        )
        return Guard(journal=journal, clock=clock, parts=parts, say=self.said.append)

    def do(self, act: Callable[[Guard], Any], **options: bool) -> Journal:
        """Do something with a guard that is made for it, as a command does."""
        with Journal(self.folder).alone() as journal:
            act(self.guard(journal, **options))
            return journal

    def traffic(self, requests: int = 2000, minutes: float = 6.0) -> None:
        """Let time pass and requests come, split as the route says."""
        self.clock.pass_by(minutes * 60)
        weights = self.weights()
        to_canary = int(self.rng.binomial(requests, weights[1] / sum(weights)))
        self.stable.take(requests - to_canary, self.rng)
        self.canary.take(to_canary, self.rng)

    def weights(self) -> tuple[int, int]:
        refs = self.api.objects[ROUTE_PATH]["spec"]["rules"][0]["backendRefs"]
        return refs[0]["weight"], refs[1]["weight"]

    def settle(self) -> None:
        """Do what KServe does: start what the stable InferenceService is told to serve."""
        uri = self.api.objects[STABLE_PATH]["spec"]["predictor"]["model"]["storageUri"]
        self.stable.digest = "sha256:" + uri[-64:]
        self.api.ready(STABLE_PATH)

    def run(self, *, most: int = 80, requests: int = 2000) -> Journal:
        """Take steps until the rollout has ended."""
        for _ in range(most):
            journal = self.do(lambda guard: guard.step())
            if not journal.state.is_active:
                return journal
            self.settle()
            self.traffic(requests)
        raise AssertionError(f"still {journal.state.phase}: {self.said[-1]}")


def inference_service(name: str, uri: str) -> dict[str, Any]:
    """Return an InferenceService as the manifests have it."""
    return {
        "apiVersion": INFERENCE.partition(" ")[0],
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "quillflow", "labels": {"app": "quillflow"}},
        "spec": {
            "predictor": {
                "model": {
                    "modelFormat": {"name": "quillflow"},
                    "runtime": "quillflow-runtime",
                    "storageUri": uri,
                    "resources": {"limits": {"cpu": "2", "memory": "2Gi"}},
                }
            }
        },
    }


def http_route(stable: int = 100, canary: int = 0) -> dict[str, Any]:
    """Return the HTTPRoute over both as the manifests have it."""
    backends = [
        {"name": "quillflow-predictor", "port": 80, "weight": stable},
        {"name": "quillflow-canary-predictor", "port": 80, "weight": canary},
    ]
    admin = {"matches": [{"path": {"value": "/metrics"}}], "backendRefs": [{"name": "nowhere", "port": 80}]}
    return {
        "apiVersion": ROUTE.partition(" ")[0],
        "kind": "HTTPRoute",
        "metadata": {"name": "quillflow", "namespace": "quillflow"},
        "spec": {"hostnames": ["quillflow.example"], "rules": [{"backendRefs": backends}, admin]},
    }


def place_release(api: KubernetesApi, stable: str = OLD, canary: str = NEW) -> None:
    """Put stable, canary and route in place, all ready."""
    api.put(STABLE_PATH, inference_service("quillflow", stable))
    api.put(CANARY_PATH, inference_service("quillflow-canary", canary))
    api.put(ROUTE_PATH, http_route())
    api.ready(STABLE_PATH)
    api.ready(CANARY_PATH)
