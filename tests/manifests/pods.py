"""Every pod that the manifests can bring about, wherever its template stands."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.manifests.rendering import Manifest, name_of

LONG_RUNNING = {"Deployment", "ClusterServingRuntime"}


@dataclass(frozen=True)
class Pod:
    """A pod's template."""

    manifest: Manifest
    spec: dict[str, Any]
    """What stands beside its containers."""
    containers: list[dict[str, Any]]
    """Those that run at first included."""
    is_whole: bool = True
    """Whether who runs as whom stands here; KServe keeps that apart from the containers."""
    volumes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """How a message calls it."""
        return name_of(self.manifest)

    @property
    def runs_on(self) -> bool:
        """Whether it is meant to run for good."""
        return self.manifest["kind"] in LONG_RUNNING


def pods_of(manifests: "tuple[Manifest, ...] | list[Manifest]") -> list[Pod]:
    """Return every pod's template that is found anywhere in some manifests."""
    found: list[Pod] = []
    for one in manifests:
        if one["kind"] == "InferenceService":
            for part in ("predictor", "transformer", "explainer"):
                if part in one["spec"]:
                    found.append(Pod(one, one["spec"][part], one["spec"][part].get("containers", [])))
            continue
        if one["kind"] == "ClusterStorageContainer":
            runtime = next(two for two in manifests if two["kind"] == "ClusterServingRuntime")
            volumes = runtime["spec"]["volumes"]  # it runs in the runtime's pods
            found.append(Pod(one, {}, [one["spec"]["container"]], is_whole=False, volumes=volumes))
            continue
        for spec in _with_containers(one):
            containers = [*spec.get("initContainers", []), *spec["containers"]]
            is_whole = one["kind"] != "ClusterServingRuntime"
            found.append(Pod(one, spec, containers, is_whole=is_whole, volumes=spec.get("volumes", [])))
    return found


def variables(container: dict[str, Any], manifests: "tuple[Manifest, ...] | list[Manifest]") -> dict[str, str]:
    """Return a container's environment; what comes from a secret has the text ``(secret)``."""
    found: dict[str, str] = {}
    settings = {one["metadata"]["name"]: one["data"] for one in manifests if one["kind"] == "ConfigMap"}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found |= settings[source["configMapRef"]["name"]]
    for one in container.get("env", []):
        reference = one.get("valueFrom", {}).get("configMapKeyRef")
        if reference:
            found[one["name"]] = settings[reference["name"]][reference["key"]]
        else:
            found[one["name"]] = one.get("value", "(secret)")
    return found


def _with_containers(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if isinstance(node.get("containers"), list):
            yield node
            return
        for value in node.values():
            yield from _with_containers(value)
    elif isinstance(node, list):
        for value in node:
            yield from _with_containers(value)
