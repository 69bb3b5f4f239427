"""Kubernetes: what the site's file names is there, KServe is installed, and a GPU node would take a training."""

import json
from typing import Any

from pipelines.doctor.findings import Findings
from pipelines.doctor.looking import Look, connect
from pipelines.doctor.namespace import check_namespace
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


def check_cluster(found: Findings, site: Site, timeout_s: float) -> None:
    """Check the cluster that this machine's kubeconfig, or this pod's service account, leads to."""
    api = connect(found)
    if api is None:
        return
    look = Look(found, api, timeout_s)
    version = look.get("kubernetes: answers", "/version", "start it, or correct the kubeconfig")
    if version is None:
        return
    found.ok("kubernetes: answers", f"version {version.get('gitVersion', '?')}")
    _check_crds(look)
    _check_mode(look)
    check_gpus(look, site.train)
    if site.namespace:
        check_namespace(look, site)
    else:
        found.skip("kubernetes: namespace", "none in the site's file: secrets and claims were not looked for")


def _check_crds(look: Look) -> None:
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


def _check_mode(look: Look) -> None:
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


def check_gpus(look: Look, place: Place) -> None:
    """Check that a node has the GPUs that a training asks for, and would take it."""
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
