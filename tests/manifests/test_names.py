"""Whatever a manifest names is there, or the page says that the site brings it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.site import read_site
from tests.manifests.rendering import K8S, Manifest, composed, examples, name_of, of_kind, rendered

PAGE = (K8S / "README.md").read_text(encoding="utf-8")
SECRETS = {
    "quillflow-s3": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
    "quillflow-mlflow": {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"},
    "quillflow-tokens": {"serving", "web", "governor"},
    "quillflow-verify-key": {"key.pub"},
    "quillflow-platform": {
        "flask-key",
        "postgres-password",
        "s3-access-key",
        "s3-secret-key",
        "auth.ini",
        "s3.json",
    },
}
CONFIG_MAPS = {"quillflow-pipeline", "kube-root-ca.crt"}
"""Made by the site; and by Kubernetes, in every namespace."""
HOSTS = {
    "ml-pipeline.kubeflow.svc.cluster.local:8888",
    "prometheus-operated.monitoring.svc.cluster.local:9090",
    "quillflow-predictor.quillflow.svc.cluster.local",
}
"""Of Kubeflow, of the Prometheus operator, and the Service that KServe makes for an InferenceService."""
_HOST = re.compile(r"\b[\w-]+\.[\w-]+\.svc\.cluster\.local(?::\d+)?")
HOLDS = pytest.mark.parametrize("parts", composed(), ids=" + ".join)


@HOLDS
def test_every_name_that_a_manifest_refers_to_is_there_or_brought_by_the_site(parts: tuple[str, ...]) -> None:
    found = rendered(*parts)
    names = {
        kind: {one["metadata"]["name"] for one in of_kind(found, kind)} for kind in {one["kind"] for one in found}
    }
    names["Secret"], names["ConfigMap"] = set(SECRETS), names["ConfigMap"] | CONFIG_MAPS
    names["Deployment"] = names["Deployment"] | {"quillflow-predictor"}  # KServe's, scaled by KEDA
    for manifest in found:
        for kind, name in _referred(manifest):
            assert name in names.get(kind, set()), f"{name_of(manifest)}: there is no {kind} {name}"


@HOLDS
def test_every_key_of_a_secret_that_is_used_is_one_that_the_page_asks_for(parts: tuple[str, ...]) -> None:
    for manifest in rendered(*parts):
        for name, key in _keys(manifest):
            assert key in SECRETS[name], f"{name_of(manifest)}: secret {name} has no key {key}"


@HOLDS
def test_every_service_that_an_address_names_is_there_with_that_port(parts: tuple[str, ...]) -> None:
    found = rendered(*parts)
    ours = {
        f"{one['metadata']['name']}.{one['metadata']['namespace']}.svc.cluster.local:{port['port']}"
        for one in of_kind(found, "Service")
        for port in one["spec"].get("ports", [])
    }
    outside = {"local": set(), "staging": set(), "production": set()}[parts[0]]
    for manifest in found:
        for address in _HOST.findall(" ".join(_texts(manifest))):
            assert address in ours | HOSTS | outside, f"{name_of(manifest)}: nothing answers at {address}"


@HOLDS
def test_every_service_and_budget_picks_pods_that_there_are(parts: tuple[str, ...]) -> None:
    found = rendered(*parts)
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in of_kind(found, "Deployment")]
    labels += [one["spec"]["predictor"]["labels"] for one in of_kind(found, "InferenceService")]
    for one in of_kind(found, "Service", "PodDisruptionBudget", "Deployment"):
        selector = one["spec"].get("selector", {})
        wanted = selector.get("matchLabels", selector)
        if one["spec"].get("type") != "ExternalName":
            assert wanted, name_of(one)
            assert sum(wanted.items() <= had.items() for had in labels) == 1, name_of(one)


@HOLDS
def test_monitors_find_the_services_and_the_jobs_that_the_rules_ask_for(parts: tuple[str, ...]) -> None:
    found = rendered(*parts)
    rules = of_kind(found, "PrometheusRule")
    if not rules:
        return
    jobs = set()
    for monitor in of_kind(found, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        services = [
            one for one in of_kind(found, "Service") if wanted <= one["metadata"].get("labels", {}).items()
        ]
        assert services, name_of(monitor)
        ports = {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]}
        for service in services:
            named = {port["name"] for port in service["spec"].get("ports", [])}
            assert ports <= named or "knative" in parts, name_of(service)
            jobs.add(service["metadata"]["labels"][monitor["spec"]["jobLabel"]])
    assert set(re.findall(r'job="([^"]+)"', " ".join(_texts(rules[0])))) <= jobs


@HOLDS
def test_a_role_is_bound_to_an_account_that_there_is(parts: tuple[str, ...]) -> None:
    found = rendered(*parts)
    accounts = {
        (one["metadata"]["namespace"], one["metadata"]["name"]) for one in of_kind(found, "ServiceAccount")
    }
    for one in of_kind(found, "RoleBinding"):
        assert all((subject["namespace"], subject["name"]) in accounts for subject in one["subjects"]), name_of(
            one
        )


def test_the_page_lists_all_that_the_site_brings() -> None:
    for name, keys in SECRETS.items():
        for word in (name, *keys):
            assert f"`{word}`" in PAGE, word
    for word in ("quillflow-pipeline", "quillflow/gateway=true", "monitoring", "kubeflow"):
        assert f"`{word}`" in PAGE, word


def test_the_example_of_external_secrets_has_every_secret_and_key_of_the_namespace() -> None:
    shown = {
        one["spec"]["target"]["name"]: {data["secretKey"] for data in one["spec"]["data"]} for one in examples()
    }
    assert shown == {name: keys for name, keys in SECRETS.items() if name != "quillflow-platform"}


def test_no_secret_lies_in_git() -> None:
    for parts in composed():
        for one in of_kind(rendered(*parts), "Secret"):  # one to be filled may be there, empty
            assert set(one) == {"apiVersion", "kind", "metadata", "type"}, one["metadata"]["name"]


def _referred(node: Any) -> Iterator[tuple[str, str]]:
    """Yield kind and name of everything that a manifest refers to."""
    if isinstance(node, list):
        for one in node:
            yield from _referred(one)
    if not isinstance(node, dict):
        return
    for field, kind in (
        ("configMapRef", "ConfigMap"), ("configMapKeyRef", "ConfigMap"), ("configMap", "ConfigMap"),
        ("secretRef", "Secret"), ("secretKeyRef", "Secret"), ("credentials", "Secret"),
    ):  # fmt: skip
        if isinstance(node.get(field), dict):
            yield kind, node[field]["name"]
    for field, kind in (
        ("secretName", "Secret"), ("claimName", "PersistentVolumeClaim"), ("serviceAccountName", "ServiceAccount"),
        ("runtime", "ClusterServingRuntime"), ("clusterQueue", "ClusterQueue"),
        ("kueue.x-k8s.io/queue-name", "LocalQueue"),
    ):  # fmt: skip
        if isinstance(node.get(field), str):
            yield kind, node[field]
    for field in ("scaleTargetRef", "runtimeRef", "roleRef"):
        if field in node:
            yield node[field]["kind"], node[field]["name"]
    for value in node.values():
        yield from _referred(value)


def _keys(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, list):
        for one in node:
            yield from _keys(one)
    if not isinstance(node, dict):
        return
    for field in ("secretKeyRef", "credentials"):
        if isinstance(node.get(field), dict):
            yield node[field]["name"], node[field]["key"]
    if "secretName" in node:
        yield from ((node["secretName"], item["key"]) for item in node.get("items", []))
    for value in node.values():
        yield from _keys(value)


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)
    elif isinstance(node, str):
        yield node


def _manifests(parts: tuple[str, ...]) -> tuple[Manifest, ...]:
    return rendered(*parts)


def test_the_file_that_steps_are_compiled_with_names_what_the_overlay_has() -> None:
    site, found = read_site(K8S / "kind" / "site.toml"), rendered("local")
    names = {(one["kind"], one["metadata"]["name"]): one for one in found}
    namespace, account = names["Namespace", site.namespace], names["ServiceAccount", site.service_account]
    assert namespace["metadata"]["name"] == account["metadata"]["namespace"]
    governor = names["Service", "quillflow-governor"]["spec"]["ports"][0]
    assert site.governor == f"http://quillflow-governor:{governor['port']}"
    for secret, keys in site.secrets.items():
        assert set(keys) <= SECRETS[secret]
    for settings, keys in site.settings.items():
        assert set(keys) <= set(names["ConfigMap", settings]["data"])
    given = {name for keys in (*site.secrets.values(), *site.settings.values()) for name in keys.values()}
    assert given >= {"QUILLFLOW_STORE", "MLFLOW_TRACKING_URI", "AWS_ACCESS_KEY_ID", "QUILLFLOW_GOVERNOR_TOKEN"}
