"""What the rollout really asks of Kubernetes is what its account may; who asks has a token, and nobody else.

For the deploy step see tests/unit/components/deploy/test_deploy.py.
"""

from pathlib import Path

import pytest

from k8s.cluster.api import Api
from k8s.cluster.lending import lend
from k8s.cluster.trainjobs import RUNTIME, TrainJobs
from monitoring.rollout.policy import Policy
from tests.kubernetes_api import kubernetes_api
from tests.manifests.pods import pods_of
from tests.manifests.rendering import composed, of_kind, rendered
from tests.manifests.rights import Right, needed, rights_of
from tests.rollout import SetAliases, Traits, World

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
LAUNCHER = {("get", "", "configmaps", "kfp-launcher"), ("get", "", "secrets", "mlpipeline-minio-artifact")}
"""What KFP's launcher asks before it runs a step: its settings, and the keys of its own artifacts."""
EXECUTOR = {(verb, "argoproj.io", "workflowtaskresults", "") for verb in ("create", "patch")}
"""How Argo's executor, in every step's pod, tells what became of it."""
LENT = {"quillflow-deploy", "quillflow-trainjobs"}
"""Accounts that no pod runs as: their tokens are lent."""
COMPOSITIONS = pytest.mark.parametrize("parts", composed(), ids=" + ".join)


def test_the_rollout_may_what_it_asks_and_nothing_that_only_others_ask(tmp_path: Path) -> None:
    asked: set[Right] = set()
    for canary in (Traits(), Traits(failures=0.5)):
        with kubernetes_api() as api:
            world = World(api, tmp_path / str(canary.failures), canary=canary, registry=SetAliases())
            world.do(lambda guard: guard.start(Policy()))
            assert world.run().state.results["b" * 64][0] == (
                "rolled_back" if canary.failures > 0.1 else "promoted"
            )
            asked |= needed(api)
    by_deploy = {("patch", "serving.kserve.io", "inferenceservices", "quillflow-canary")}
    assert rights_of(rendered("staging"), "quillflow-rollout") == asked | by_deploy, "both have one role"


@COMPOSITIONS
def test_who_asks_kubernetes_has_a_token_where_it_is_looked_for_and_nobody_else(parts: tuple[str, ...]) -> None:
    found = rendered(*parts)
    bound = {
        subject["name"]
        for one in of_kind(found, "RoleBinding")
        if one["roleRef"]["name"] != "quillflow-governor"  # which Kubeflow Pipelines asks about, not the governor
        for subject in one["subjects"]
    } - LENT
    with_token = {
        pod.spec["serviceAccountName"]
        for pod in pods_of(found)
        for container in pod.spec.get("containers", [])
        if ACCOUNT in {one["mountPath"] for one in container.get("volumeMounts", [])}
    }
    # Steps are pods of Argo's, which leaves it to the account: its executor and KFP's launcher want the token.
    with_token |= {
        one["metadata"]["name"]
        for one in of_kind(found, "ServiceAccount")
        if one.get("automountServiceAccountToken") is not False
    }
    assert with_token == bound


@COMPOSITIONS
def test_steps_may_what_kfps_own_parts_in_their_pods_ask_and_no_more(parts: tuple[str, ...]) -> None:
    assert rights_of(rendered(*parts), "quillflow-pipeline") == LAUNCHER | EXECUTOR


@COMPOSITIONS
def test_no_pod_runs_as_who_may_deploy_or_begin_trainjobs(parts: tuple[str, ...]) -> None:
    found = rendered(*parts)
    assert not LENT & {pod.spec.get("serviceAccountName") for pod in pods_of(found)}


@COMPOSITIONS
def test_the_lender_may_what_it_asks_and_no_more(parts: tuple[str, ...]) -> None:
    found = rendered(*parts)
    jobs = [one for one in of_kind(found, "CronJob") if one["metadata"]["name"].startswith("quillflow-lend-")]
    secrets = {one["metadata"]["name"]: one for one in of_kind(found, "Secret")}
    assert len(jobs) == len(secrets) == 1 + ("trainjob" in parts)
    with kubernetes_api() as api:
        for job in jobs:
            (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
            given = dict(one.removeprefix("--").split("=") for one in container["args"])
            secret = secrets[given["secret"]]
            uid = {"metadata": {**secret["metadata"], "uid": "b"}}
            folder = "/api/v1/namespaces/quillflow"
            api.put(f"{folder}/serviceaccounts/{given['account']}", {"metadata": {"uid": "a"}})
            api.put(f"{folder}/secrets/{given['secret']}", {**secret, **uid})
            lend(Api(url=api.url, wait=lambda _: None), namespace="quillflow", ca=b"pem", **given)
        assert needed(api) == rights_of(found, "quillflow-lender")


def test_the_train_step_may_what_a_trainjob_wants_and_no_more() -> None:
    with kubernetes_api() as api:
        jobs = TrainJobs(api=Api(url=api.url, wait=lambda _: None))
        assert jobs.state("one").phase == "none"
        jobs.start("one", runtime=RUNTIME, machines=2, processes=1, env={})
        asked = {(verb, group, kind, "") for verb, group, kind, _ in needed(api)}
    assert asked == rights_of(rendered("local", "trainjob"), "quillflow-trainjobs")
