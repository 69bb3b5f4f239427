"""What a security review asks of a pod holds for every pod, wherever its template stands."""

import re
from itertools import product
from typing import Any

import pytest

from tests.manifests.pods import Pod, pods_of
from tests.manifests.rendering import (
    ALL_THAT_FIT,
    COMPONENTS,
    OVERLAYS,
    composed,
    its_components,
    of_kind,
    rendered,
)

USER = 10001
CONTAINER = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
POD = {key: CONTAINER[key] for key in ("runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile")} | {
    "fsGroup": USER
}
TEMPLATES = {"Deployment", "CronJob", "InferenceService", "ClusterServingRuntime", "ClusterStorageContainer"}
TEMPLATES |= {"ClusterTrainingRuntime"}
HOLDS = pytest.mark.parametrize("parts", composed(), ids=" + ".join)


@HOLDS
def test_every_container_is_locked_down_and_bounded(parts: tuple[str, ...]) -> None:
    for pod, container in _containers(parts):
        where = f"{pod.name}: {container['name']}"
        assert container["securityContext"] == CONTAINER, where
        for bound in ("requests", "limits"):
            assert {"cpu", "memory"} <= set(container["resources"][bound]), where
        mounted = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
        volumes = {one["name"]: one for one in pod.volumes}
        assert set(mounted.values()) <= set(volumes), where
        assert "sizeLimit" in volumes[mounted["/tmp"]]["emptyDir"], where  # noqa: S108 - a mount


@HOLDS
def test_every_pod_runs_as_nobody_in_particular_and_has_no_token(parts: tuple[str, ...]) -> None:
    found = rendered(*parts)
    pods = pods_of(found)
    assert {pod.manifest["kind"] for pod in pods} >= TEMPLATES - {"ClusterTrainingRuntime"}
    accounts = {one["metadata"]["name"]: one for one in of_kind(found, "ServiceAccount")}
    for pod in pods:
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers", "nodeName"} & set(pod.spec), pod.name
        for volume in pod.volumes:
            assert len(volume) == 2, f"{pod.name}: {volume}"
            assert set(volume) & {"emptyDir", "secret", "configMap", "persistentVolumeClaim", "projected"}, volume
        if not pod.is_whole:
            continue
        assert {key: pod.spec["securityContext"].get(key) for key in POD} == POD, pod.name
        assert pod.spec["automountServiceAccountToken"] is False, pod.name
        assert pod.spec["enableServiceLinks"] is False, pod.name
        assert accounts[pod.spec["serviceAccountName"]]["automountServiceAccountToken"] is False, pod.name


@HOLDS
def test_what_runs_for_good_says_how_it_is(parts: tuple[str, ...]) -> None:
    long = [(pod, container) for pod, container in _containers(parts) if pod.runs_on]
    assert len(long) >= 3
    for pod, container in long:
        ports = {one["name"] for one in container["ports"]} | {one["containerPort"] for one in container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container[probe]
            port = (asked.get("httpGet") or asked.get("tcpSocket") or {}).get("port")
            assert port in ports or "exec" in asked, f"{pod.name}: {probe}"


@HOLDS
def test_every_image_has_a_tag_that_stays(parts: tuple[str, ...]) -> None:
    for pod, container in _containers(parts):
        assert re.fullmatch(r"[\w.-]+(/[\w.-]+)*:(?!latest$)[\w.-]+", container["image"]), (
            f"{pod.name}: {container['image']}"
        )


def test_an_image_is_named_without_a_tag_in_what_overlays_build_on() -> None:
    for pod in pods_of(rendered("base")):
        assert all(":" not in one["image"] for one in pod.containers), pod.name


def test_only_namespaces_with_pod_security_restricted_are_used() -> None:
    spaces = {
        one["metadata"]["name"]: one["metadata"]["labels"] for one in of_kind(rendered("local"), "Namespace")
    }
    assert set(spaces) == {"quillflow", "quillflow-platform"}
    for labels in spaces.values():
        assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {
            "restricted"
        }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_quota_holds_every_pod_at_its_most(overlay: str) -> None:
    found = rendered(overlay, *(one for one in ALL_THAT_FIT if one not in its_components(overlay)))
    (quota,) = of_kind(found, "ResourceQuota")
    hard = quota["spec"]["hard"]
    for bound in ("requests", "limits"):
        for kind in ("cpu", "memory"):
            most = sum(number * _sum(pod, bound, kind) for pod, number in _at_most(found))
            assert most <= _amount(hard[f"{bound}.{kind}"]), f"{overlay}: {bound}.{kind} come to {most:g}"


CORE = {
    ("get", "configmaps", "kfp-launcher"),
    ("get", "secrets", "mlpipeline-minio-artifact"),
    ("create", "serviceaccounts/token", "quillflow-deploy"),
    ("create", "serviceaccounts/token", "quillflow-trainjobs"),
    ("get", "secrets", "quillflow-deploy-token"),
    ("patch", "secrets", "quillflow-deploy-token"),
    ("get", "secrets", "quillflow-trainjobs-token"),
    ("patch", "secrets", "quillflow-trainjobs-token"),
}
"""All that is granted of Kubernetes' own kinds: what KFP's launcher reads, and what is lent to the deploy step."""


def test_every_role_names_what_it_may_touch_and_grants_no_secret_of_the_sites() -> None:
    found = rendered("local", *COMPONENTS[:1], "trainjob")
    assert not of_kind(found, "ClusterRole", "ClusterRoleBinding")
    for role in of_kind(found, "Role"):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], role["metadata"]["name"]
            if "" in rule["apiGroups"]:
                granted = product(rule["verbs"], rule["resources"], rule["resourceNames"])
                assert set(granted) <= CORE, role["metadata"]["name"]
            if set(rule["verbs"]) & {"update", "patch", "delete"} and rule["apiGroups"] != ["argoproj.io"]:
                assert rule["resourceNames"], role["metadata"]["name"]


def _containers(parts: tuple[str, ...]) -> list[tuple[Pod, dict[str, Any]]]:
    return [(pod, container) for pod in pods_of(rendered(*parts)) for container in pod.containers]


def _at_most(found: tuple[dict[str, Any], ...]) -> list[tuple[Pod, int]]:
    """Return the pods of the namespace with the most that there may be of each."""
    pods = pods_of(found)
    numbers: list[tuple[Pod, int]] = []
    bounds = {
        one["spec"]["scaleTargetRef"]["name"]: one["spec"]["maxReplicas"]
        for one in of_kind(found, "HorizontalPodAutoscaler")
    }
    (runtime,) = [pod for pod in pods if pod.manifest["kind"] == "ClusterServingRuntime"]
    for pod in pods:
        kind, metadata = pod.manifest["kind"], pod.manifest["metadata"]
        if kind == "InferenceService":
            numbers.append((runtime, pod.spec["maxReplicas"]))
        elif kind == "ClusterTrainingRuntime":
            numbers.append((pod, pod.manifest["spec"]["mlPolicy"]["numNodes"]))
        elif kind in ("Deployment", "CronJob") and metadata["namespace"] == "quillflow":
            numbers.append((pod, bounds.get(metadata["name"]) or pod.manifest["spec"].get("replicas", 1)))
    return numbers


def _sum(pod: Pod, bound: str, kind: str) -> float:
    return sum(_amount(one["resources"][bound][kind]) for one in pod.containers)


def _amount(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", str(text)).groups()  # type: ignore[union-attr]
    return float(number) * {"": 1, "m": 1e-3, "Mi": 2**20, "Gi": 2**30}[unit]
