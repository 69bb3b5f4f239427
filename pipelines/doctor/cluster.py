"""Kubernetes: what the site's file names is there, KServe is installed, and a GPU node would take a training.

The one module that imports the kubernetes client.
"""

import json
import os
from pathlib import Path
from typing import Any

from pipelines.doctor.findings import Findings
from pipelines.site import Place, Site

NEEDED = {
    "inferenceservices.serving.kserve.io": "install KServe: nothing can be served without it",
    "clusterservingruntimes.serving.kserve.io": "install KServe's runtimes' CRDs",
}
OPTIONAL = {
    "trainjobs.trainer.kubeflow.org": "install Kubeflow Trainer v2 to train on several nodes",
    "httproutes.gateway.networking.k8s.io": "install the Gateway API to send a share of the traffic to a canary",
}
KSERVE_CONFIG = ("kserve", "inferenceservice-config")
_RIGHTS = "let this account get {}, or look by hand: kubectl get {}"


def check_cluster(found: Findings, site: Site, timeout_s: float) -> None:
    """Check the cluster that this machine's kubeconfig, or this pod's service account, leads to."""
    api = _connect(found)
    if api is None:
        return
    from kubernetes.client.exceptions import ApiException

    look = _Look(found, api, timeout_s, ApiException)
    version = look.get("kubernetes: answers", "/version", "start it, or correct the kubeconfig")
    if version is None:
        return
    found.ok("kubernetes: answers", f"version {version.get('gitVersion', '?')}")
    _check_crds(look)
    _check_mode(look)
    _check_gpus(look, site.train)
    if site.namespace:
        _check_namespace(look, site)
    else:
        found.skip("kubernetes: namespace", "none in the site's file: secrets and claims were not looked for")


class _Look:
    """GETs of the Kubernetes API, whose failures are findings."""

    def __init__(self, found: Findings, api: Any, timeout_s: float, refused: type[Exception]) -> None:
        self.found = found
        self._api = api
        self._timeout_s = timeout_s
        self._refused = refused

    def get(self, name: str, path: str, do: str, *, missing: Any = None) -> Any:
        """Return what is there; None, with a finding, where nothing could be had; ``missing`` for a 404."""
        try:
            answer = self._api.call_api(
                path,
                "GET",
                auth_settings=["BearerToken"],
                response_type="object",
                _return_http_data_only=True,
                _request_timeout=self._timeout_s,
            )
        except self._refused as error:
            status = int(getattr(error, "status", 0) or 0)
            if status == 404 and missing is not None:
                return missing
            kind, _, named = path.removeprefix("/api/v1/").rpartition("/")
            kind = kind.rpartition("/")[2] or named
            if status in (401, 403):
                self.found.warn(
                    name,
                    f"HTTP {status}: this account may not look",
                    _RIGHTS.format(kind, f"{kind} {named}" if kind != named else kind),
                )
            else:
                self.found.fail(name, f"HTTP {status} at {path}", do)
            return None
        except Exception as error:  # noqa: BLE001, RUF100 - its HTTP library's own
            said = " ".join(str(error).split())
            said = said.rpartition("Caused by ")[2] if "Caused by " in said else said
            self.found.fail(name, f"nobody answers ({said[:200]})", do)
            return None
        return answer


def _connect(found: Findings) -> Any:
    files = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    in_pod = bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
    if not in_pod and not any(Path(file).is_file() for file in files.split(os.pathsep) if file):
        found.skip("kubernetes", "no kubeconfig here: no cluster was looked at")
        return None
    try:
        from kubernetes import client, config
    except ImportError:
        found.warn("kubernetes", "its client is not installed", "pip install 'quillflow[pipeline]'")
        return None
    settings, account = client.Configuration(), False
    with found.looking("kubernetes: account", "correct the kubeconfig, or mount the service account's token"):
        if in_pod:
            config.load_incluster_config(client_configuration=settings)
        else:
            config.load_kube_config(config_file=files, client_configuration=settings)
        settings.retries, account = False, True
    return client.ApiClient(settings) if account else None


def _check_crds(look: _Look) -> None:
    for names, state in ((NEEDED, look.found.fail), (OPTIONAL, look.found.warn)):
        for crd, do in names.items():
            name = f"kubernetes: {crd.partition('.')[0]}"
            there = look.get(
                name, f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd}", do, missing={}
            )
            if there:
                served = [one["name"] for one in there["spec"]["versions"] if one.get("served")]
                look.found.ok(name, f"installed, {', '.join(served)}")
            elif there is not None:
                state(name, "not installed", do)


def _check_mode(look: _Look) -> None:
    namespace, named = KSERVE_CONFIG
    do = "install KServe, or look for its ConfigMap inferenceservice-config"
    there = look.get("kserve: mode", f"/api/v1/namespaces/{namespace}/configmaps/{named}", do, missing={})
    if there is None:
        return
    try:
        mode = json.loads(there["data"]["deploy"])["defaultDeploymentMode"]
    except (KeyError, ValueError, TypeError):
        look.found.fail("kserve: mode", f"no deployment mode in {namespace}/{named}", do)
        return
    if mode in ("Standard", "RawDeployment"):
        look.found.ok("kserve: mode", f"{mode}: canaries go by HTTPRoute")
    else:
        look.found.warn(
            "kserve: mode",
            f"{mode} by default",
            "use the knative component, or annotate serving.kserve.io/deploymentMode",
        )


def _check_gpus(look: _Look, place: Place) -> None:
    if not place.gpus:
        look.found.skip("kubernetes: gpus", "trainings ask for none")
        return
    nodes = look.get("kubernetes: gpus", "/api/v1/nodes", "add a node with GPUs, or set gpus = 0 under [train]")
    if nodes is None:
        return
    fitting: list[str] = []
    shy: list[str] = []
    for node in nodes.get("items", []):
        labels = node["metadata"].get("labels", {})
        count = int(node.get("status", {}).get("allocatable", {}).get(place.gpu_type, 0))
        if count < place.gpus or any(labels.get(key) != value for key, value in place.node_selector.items()):
            continue
        taints = [one for one in node.get("spec", {}).get("taints", []) if one["effect"] != "PreferNoSchedule"]
        (shy if any(not _tolerated(one, place) for one in taints) else fitting).append(node["metadata"]["name"])
    wanted = f"{place.gpus} x {place.gpu_type}"
    if fitting:
        look.found.ok("kubernetes: gpus", f"{len(fitting)} nodes have {wanted}: {', '.join(fitting[:3])}")
    elif shy:
        look.found.fail(
            "kubernetes: gpus",
            f"{', '.join(shy[:3])} would do, and bears a taint that [train] does not tolerate",
            "add it under [[train.tolerations]]",
        )
    else:
        look.found.fail(
            "kubernetes: gpus",
            f"no node has {wanted}" + (f" and {dict(place.node_selector)}" if place.node_selector else ""),
            "add one, correct node_selector, install the device plugin, or set gpus = 0 under [train]",
        )


def _tolerated(taint: dict[str, Any], place: Place) -> bool:
    return any(
        one.key in ("", taint["key"])
        and one.effect == taint["effect"]
        and (one.operator == "Exists" or one.value == taint.get("value", ""))
        for one in place.tolerations
    )


def _check_namespace(look: _Look, site: Site) -> None:
    base = f"/api/v1/namespaces/{site.namespace}"
    for kind, wanted in (("secrets", site.secrets), ("configmaps", site.settings)):
        for named, keys in wanted.items():
            name = f"{kind[:-1]}: {named}"
            do = f"make it in {site.namespace} with the keys {', '.join(keys)}"
            there = look.get(name, f"{base}/{kind}/{named}", do, missing={})
            if there is None:
                continue
            lacking = sorted(set(keys) - set(there.get("data") or {}))
            if not there:
                look.found.fail(name, f"not in {site.namespace}", do)
            elif lacking:
                look.found.fail(name, f"lacks {', '.join(lacking)}", do)
            else:
                look.found.ok(name, f"there, with {', '.join(keys)}")
    others = {f"serviceaccounts/{site.service_account}": site.service_account} if site.service_account else {}
    others |= {f"secrets/{named}": named for named in site.pull_secrets}
    for path, named in others.items():
        name = f"{path.partition('/')[0][:-1]}: {named}"
        there = look.get(name, f"{base}/{path}", f"make it in {site.namespace}", missing={})
        if there:
            look.found.ok(name, "there")
        elif there is not None:
            look.found.fail(name, f"not in {site.namespace}", f"make it in {site.namespace}")
    if site.checkpoints_claim:
        _check_claim(look, site, f"{base}/persistentvolumeclaims/{site.checkpoints_claim}")


def _check_claim(look: _Look, site: Site, path: str) -> None:
    name, do = f"claim: {site.checkpoints_claim}", f"make it in {site.namespace}, or give checkpoints a workspace"
    there = look.get(name, path, do, missing={})
    if there is None:
        return
    phase = there.get("status", {}).get("phase", "missing")
    if phase == "Bound":
        look.found.ok(name, f"bound, {there['status'].get('capacity', {}).get('storage', '?')}")
    elif phase == "Pending":
        look.found.warn(
            name, "not bound to a volume yet", "fine where it waits for its first pod; else look at its events"
        )
    else:
        look.found.fail(name, phase.lower(), do)
