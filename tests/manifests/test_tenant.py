"""Two tenants of one cluster: their manifests share nothing but what is the cluster's."""

import json
from functools import cache
from typing import Any

import kubernetes_validate
import pytest

from components.deploy.target import Target
from tests.manifests.rendering import Manifest, name_of, of_kind, of_tenant
from tests.manifests.schemas import CRDS, KUBERNETES, faults, source_of
from tests.manifests.test_render import CLUSTER_WIDE

OVERLAYS = ("staging", "production")
BOTH = pytest.mark.parametrize("overlay", OVERLAYS)
LENDER = "k8s.cluster.lending"
"""Asks Kubernetes for a token, and touches nobody's data."""
FROM_SETTINGS = {"valueFrom": {"configMapKeyRef": {"name": "quillflow-settings", "key": "QUILLFLOW_TENANT"}}}


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [one for part in value.values() for one in texts(part)]
    if isinstance(value, list):
        return [one for part in value for one in texts(part)]
    return [value] if isinstance(value, str) else []


def containers(manifest: Manifest) -> list[dict[str, Any]]:
    """Return the containers of ours in a manifest, and the model of an InferenceService, which becomes one."""
    spec = manifest["spec"]
    if manifest["kind"] == "InferenceService":
        return [spec["predictor"]["model"]]
    while "template" in spec or "jobTemplate" in spec:
        spec = (spec.get("template") or spec["jobTemplate"])["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


@BOTH
def test_two_tenants_share_nothing_but_what_is_the_clusters_and_the_same(overlay: str) -> None:
    named = [
        {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]): one for one in found}
        for found in (of_tenant("claims", overlay), of_tenant("ward-7", overlay))
    ]
    shared = set(named[0]) & set(named[1])
    assert {kind for kind, *_ in shared} == {"ClusterServingRuntime", "ClusterStorageContainer"}
    assert all(named[0][one] == named[1][one] for one in shared)
    assert {one["metadata"]["namespace"] for one in named[0].values() if one["kind"] not in CLUSTER_WIDE} == {
        "quillflow-claims"
    }


@BOTH
def test_no_text_of_a_tenants_manifests_leads_into_another_namespace_of_ours(overlay: str) -> None:
    for one in of_tenant("ward-7", overlay):
        for text in texts(one):
            assert ".quillflow.svc" not in text, name_of(one)
            assert "claims" not in text, name_of(one)
        for rule in one.get("subjects", ()):
            assert rule["namespace"] == "quillflow-ward-7"
    (settings,) = [one for one in of_tenant("ward-7", overlay) if one["metadata"]["name"] == "quillflow-settings"]
    assert settings["data"]["KFP_NAMESPACE"] == "quillflow-ward-7"
    assert settings["data"]["QUILLFLOW_TENANT"] == "ward-7"
    assert settings["data"]["QUILLFLOW_STORE"] == "s3://house-ward-7/store"
    assert settings["data"]["SERVER_URL"] == "http://quillflow-serving.quillflow-ward-7.svc.cluster.local:8080"


@BOTH
def test_every_process_is_told_whose_it_is(overlay: str) -> None:
    told = 0
    for manifest in of_kind(of_tenant("claims", overlay), "InferenceService", "Deployment", "CronJob"):
        for one in containers(manifest):
            if one.get("command", [])[-1:] == [LENDER]:
                continue
            settings = [part.get("configMapRef", {}).get("name") for part in one.get("envFrom", ())]
            assert {"name": "QUILLFLOW_TENANT", **FROM_SETTINGS} in one.get("env", []) or (
                "quillflow-settings" in settings
            ), name_of(manifest)
            told += 1
    (initializer,) = of_kind(of_tenant("claims", overlay), "ClusterStorageContainer")
    assert {"configMapRef": {"name": "quillflow-settings"}} in initializer["spec"]["container"]["envFrom"]
    assert told >= 6


@BOTH
def test_who_changes_models_changes_those_of_this_namespace(overlay: str) -> None:
    found = of_tenant("claims", overlay)
    for kind, name in (("Deployment", "quillflow-governor"), ("CronJob", "quillflow-rollout")):
        (one,) = [one for one in of_kind(found, kind) if one["metadata"]["name"] == name]
        (container,) = containers(one)
        assert container["args"][-1] == "--namespace=$(KFP_NAMESPACE)"
    (lender,) = [one for one in of_kind(found, "CronJob") if one["metadata"]["name"] == "quillflow-lend-token"]
    assert containers(lender)[0]["args"][-1] == "--namespace=quillflow-claims"
    (governor,) = [one for one in of_kind(found, "Deployment") if one["metadata"]["name"] == "quillflow-governor"]
    (deploy,) = [one for one in containers(governor)[0]["args"] if one.startswith("deploy=")]
    target = Target.parse(deploy.removeprefix("deploy="))
    assert (target.namespace, target.name) == ("quillflow-claims", "quillflow")
    (route,) = of_kind(found, "HTTPRoute")
    assert route["spec"]["hostnames"] == ["claims.quillflow.example.com"]


@BOTH
def test_no_policy_lets_a_pod_of_one_tenant_ask_anothers(overlay: str) -> None:
    policies = of_kind(of_tenant("claims", overlay), "NetworkPolicy")
    assert any(one["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} for one in policies)
    known = {"kube-system", "kubeflow", "monitoring", "quillflow-platform"}
    for policy in policies:
        for way, ends in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(way, ()):
                assert rule.get(ends), f"{name_of(policy)}: everybody"
                for end in rule[ends]:
                    labels = end.get("namespaceSelector", {}).get("matchLabels")
                    if labels is None:  # pods of this namespace, or addresses outside of the cluster
                        assert "namespaceSelector" not in end
                        continue
                    name = labels.get("kubernetes.io/metadata.name")
                    assert name in known or labels == {"quillflow/gateway": "true"}


def test_what_the_component_makes_is_what_kubernetes_and_the_custom_kinds_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read_once = cache(kubernetes_validate.utils.schema_contents)  # it reads megabytes anew for each manifest
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", read_once)
    for one in of_tenant("claims", "production"):
        source = source_of(one)
        if source == "kubernetes" and one["kind"] in {"Namespace", "Deployment", "CronJob", "RoleBinding"}:
            kubernetes_validate.validate(json.loads(json.dumps(one)), KUBERNETES[0], strict=True)
            assert not faults(one, KUBERNETES[0]), name_of(one)
        elif source == "own" or (source == "crd" and CRDS.is_dir()):
            assert not faults(one), name_of(one)
