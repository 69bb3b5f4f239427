"""The doctor, before small servers that are well, ill, or not let it look."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from htr.errors import SettingsError
from pipelines.__main__ import main
from pipelines.doctor import Findings, examine, report_text
from pipelines.doctor.cluster import check_cluster
from pipelines.doctor.here import check_here
from pipelines.doctor.namespace import amount
from pipelines.doctor.room import warnings_of_room
from pipelines.doctor.services import check_governor, check_mlflow
from pipelines.doctor.storage import check_store
from pipelines.site import Place, Site, Toleration
from tests.kfp_api import kfp_api

CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
KSERVE = "/api/v1/namespaces/kserve/configmaps/inferenceservice-config"
CLAIM = "/api/v1/namespaces/quillflow/persistentvolumeclaims/checkpoints"
ACCOUNT = "/api/v1/namespaces/quillflow/serviceaccounts/quillflow-pipeline"
SERVED, TRAINED = CRD + "inferenceservices.serving.kserve.io", CRD + "trainjobs.trainer.kubeflow.org"
SECRET = "/api/v1/namespaces/quillflow/secrets/quillflow-s3"  # noqa: S105 - a path
NAMESPACE = "/api/v1/namespaces/quillflow/"
ARTIFACTS, LAUNCHER = NAMESPACE + "secrets/mlpipeline-minio-artifact", NAMESPACE + "configmaps/kfp-launcher"
QUOTAS, LENT = NAMESPACE + "resourcequotas", NAMESPACE + "secrets/quillflow-deploy-token"
KNATIVE = '{"defaultDeploymentMode": "Knative"}'
SITE = Site(
    namespace="quillflow",
    service_account="quillflow-pipeline",
    checkpoints_claim="checkpoints",
    deploy_token="quillflow-deploy-token",  # noqa: S106 - a name
    secrets={"quillflow-s3": {"AWS_ACCESS_KEY_ID": "AWS_ACCESS_KEY_ID"}},
    settings={"quillflow-settings": {"MLFLOW_TRACKING_URI": "MLFLOW_TRACKING_URI"}},
    train=Place(
        cpu="8",
        memory="16Gi",
        gpus=2,
        node_selector={"gpu": "yes"},
        tolerations=(Toleration(key="nvidia.com/gpu"),),
    ),
)


class Pages:
    """Paths and what a server answers there: status, content, headers; 404 for the others."""

    def __init__(self) -> None:
        self.url = ""
        self.pages: dict[str, tuple[int, Any]] = {}
        self.date = ""

    def __setitem__(self, path: str, answer: Any) -> None:
        self.pages[path] = answer if isinstance(answer, tuple) else (200, answer)


@contextmanager
def serving() -> Iterator[Pages]:
    pages = Pages()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = pages.pages.get(self.path.partition("?")[0], (404, {"message": "not found"}))
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response_only(status)
            self.send_header("Date", pages.date or self.date_time_string())
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pages.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield pages
    server.shutdown()
    server.server_close()


@pytest.fixture
def pages() -> Iterator[Pages]:
    with serving() as served:
        yield served


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "QUILLFLOW_GOVERNOR", "KF_PIPELINES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name in ("MLFLOW_TRACKING_URI", "QUILLFLOW_STORE", "QUILLFLOW_SITE", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def states(found: Findings) -> dict[str, str]:
    return {check.name: check.state for check in found.checks}


def one(found: Findings, name: str) -> Any:
    (check,) = [check for check in found.checks if check.name == name]
    return check


@pytest.fixture
def cluster(pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pages:
    """Return a cluster where everything is well, and make it the one that is looked at."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": pages.url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    pages["/version"] = {"gitVersion": "v1.33.1"}
    for name in (
        "inferenceservices.serving.kserve.io", "clusterservingruntimes.serving.kserve.io",
        "trainjobs.trainer.kubeflow.org", "httproutes.gateway.networking.k8s.io",
    ):  # fmt: skip
        pages[CRD + name] = {"spec": {"versions": [{"name": "v1", "served": True}, {"name": "v0"}]}}
    pages[KSERVE] = {"data": {"deploy": '{"defaultDeploymentMode": "Standard"}'}}
    pages["/api/v1/nodes"] = {"items": [node("a", gpus=0), node("b"), node("c", gpus=1)]}
    pages[NAMESPACE + "secrets/quillflow-s3"] = {"data": {"AWS_ACCESS_KEY_ID": "eA=="}}
    pages[NAMESPACE.rstrip("/")] = namespace()
    pages[ARTIFACTS] = {"data": {"accesskey": "eA==", "secretkey": "eA=="}}
    pages[QUOTAS] = {"items": [quota({"requests.nvidia.com/gpu": "4", "limits.memory": "160Gi"}), quota({})]}
    pages[LENT] = {"data": {"token": "eA==", "ca.crt": "eA=="}}
    pages[NAMESPACE + "configmaps/quillflow-settings"] = {"data": {"MLFLOW_TRACKING_URI": "x"}}
    pages[ACCOUNT] = {"metadata": {}}
    pages[CLAIM] = {"status": {"phase": "Bound", "capacity": {"storage": "50Gi"}}}
    return pages


def node(name: str, *, gpus: int = 2, taint: str = "nvidia.com/gpu", label: str = "yes") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"gpu": label}},
        "spec": {"taints": [{"key": taint, "effect": "NoSchedule"}]},
        "status": {"allocatable": {"nvidia.com/gpu": str(gpus)}},
    }


def namespace(**labels: str) -> dict[str, Any]:
    known = {
        "app.kubernetes.io/part-of": "kubeflow-profile",
        "pod-security.kubernetes.io/enforce": "restricted",
    }
    return {"metadata": {"labels": labels or known}}


def quota(hard: dict[str, str], **used: str) -> dict[str, Any]:
    return {"spec": {"hard": hard}, "status": {"used": {name.replace("_", "."): n for name, n in used.items()}}}


def looked(site: Site = SITE) -> Findings:
    found = Findings(where="here")
    check_cluster(found, site, 5.0)
    return found


def test_a_cluster_that_is_well_is_called_well(cluster: Pages) -> None:
    found = looked()
    assert set(states(found).values()) == {"ok"}, report_text(found)
    assert len(found.checks) == 15
    assert found.status == 0


@pytest.mark.parametrize(
    ("path", "answer", "name", "state", "do"),
    [
        (SERVED, (404, {}), "kubernetes: inferenceservices", "failed", "KServe"),
        (TRAINED, (404, {}), "kubernetes: trainjobs", "warning", "Trainer"),
        (TRAINED, (403, {}), "kubernetes: trainjobs", "warning", "this account get"),
        (KSERVE, {"data": {"deploy": KNATIVE}}, "kserve: mode", "warning", "knative"),
        (KSERVE, {"data": {}}, "kserve: mode", "failed", "ConfigMap"),
        ("/api/v1/nodes", {"items": [node("b", label="no")]}, "kubernetes: gpus", "failed", "node_selector"),
        ("/api/v1/nodes", {"items": [node("b", taint="team-x")]}, "kubernetes: gpus", "failed", "tolerations"),
        ("/api/v1/nodes", (500, {}), "kubernetes: gpus", "failed", "gpus = 0"),
        (SECRET, (404, {}), "secret: quillflow-s3", "failed", "AWS_ACCESS_KEY_ID"),
        (SECRET, {"data": {"x": ""}}, "secret: quillflow-s3", "failed", "AWS_ACCESS"),
        (SECRET, (403, {}), "secret: quillflow-s3", "warning", "kubectl get"),
        (ACCOUNT, (404, {}), "serviceaccount: quillflow-pipeline", "failed", "make it"),
        (NAMESPACE.rstrip("/"), (404, {}), "kubernetes: namespace", "failed", "make it"),
        (NAMESPACE.rstrip("/"), namespace(team="x"), "kubernetes: namespace", "warning", "kubectl label"),
        (ARTIFACTS, (404, {}), "secret: mlpipeline-minio-artifact", "failed", "profile controller"),
        (ARTIFACTS, {"data": {"accesskey": ""}}, "secret: mlpipeline-minio-artifact", "failed", "kfp-launcher"),
        (ARTIFACTS, (403, {}), "secret: mlpipeline-minio-artifact", "warning", "kubectl get"),
        (QUOTAS, {"items": [quota({"requests.nvidia.com/gpu": "0"})]}, "kubernetes: quota", "failed", "for ever"),
        (QUOTAS, {"items": [quota({"limits.memory": "15000Mi"})]}, "kubernetes: quota", "failed", "for ever"),
        (QUOTAS, {"items": [quota({"requests.cpu": "10"}, requests_cpu="2500m")]},
         "kubernetes: quota", "warning", "until others end"),
        (QUOTAS, (403, {}), "kubernetes: quota", "warning", "kubectl get"),
        (LENT, {"data": {}}, "secret: quillflow-deploy-token", "failed", "quillflow-lend-token"),
        (CLAIM, (404, {}), "claim: checkpoints", "failed", "make it"),
        (CLAIM, {"status": {"phase": "Pending"}},
         "claim: checkpoints", "warning", "first pod"),
    ],
)  # fmt: skip
def test_each_thing_that_lacks_is_named_with_what_to_do(
    cluster: Pages, path: str, answer: Any, name: str, state: str, do: str
) -> None:
    cluster[path] = answer
    found = looked()
    check = one(found, name)
    assert (check.state, do in check.do) == (state, True), check
    others = [other for other in found.checks if other is not check]
    assert {other.state for other in others} == {"ok"}
    assert found.status == (1 if state == "failed" else 0)


def test_a_namespace_under_pod_security_wants_to_know_who_steps_run_as(cluster: Pages) -> None:
    check = one(looked(replace(SITE, run_as=0)), "kubernetes: namespace")
    assert (check.state, "10001" in check.do) == ("failed", True)


def test_stores_that_kfps_launcher_is_told_of_may_have_keys_of_their_own(cluster: Pages) -> None:
    cluster[ARTIFACTS] = (404, {})
    cluster[LAUNCHER] = {"data": {"providers": "s3: {}"}}
    assert one(looked(), "secret: mlpipeline-minio-artifact").state == "warning"


@pytest.mark.parametrize(
    ("text", "number"), [("2", 2), ("500m", 0.5), ("8Gi", 8 * 2**30), ("1.5G", 1.5e9), ("3k", 3000), ("x", 0)]
)
def test_quantities_are_read_as_kubernetes_does(text: str, number: float) -> None:
    assert amount(text) == number


def test_what_cannot_run_is_refused_before_it_is_asked_for_and_what_may_wait_is_said(cluster: Pages) -> None:
    assert warnings_of_room(SITE) == []
    cluster["/api/v1/nodes"] = {"items": []}
    (told,) = warnings_of_room(SITE)
    assert told.startswith("no node has 2 x nvidia.com/gpu")
    cluster[QUOTAS] = {"items": [quota({"requests.nvidia.com/gpu": "0"})]}
    with pytest.raises(SettingsError, match=r"train wants 2 of .*gpu, of which 0 may be had.*--unchecked"):
        warnings_of_room(SITE)
    (told,) = warnings_of_room(replace(SITE, namespace=""))
    assert "no cluster was looked at" in told
    assert "after 72 hours" in told
    assert warnings_of_room(replace(SITE, namespace="", train=Place(cpu="8", memory="16Gi"))) == []


def test_the_command_refuses_what_would_wait_for_ever_and_starts_it_unchecked(
    cluster: Pages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster[QUOTAS] = {"items": [quota({"requests.nvidia.com/gpu": "0"})]}
    (tmp_path / "site.toml").write_text('format_version = 1\nnamespace = "quillflow"\n')
    with kfp_api() as api:
        words = ["submit", "--host", api.url, "--site", str(tmp_path / "site.toml"), "-p", "lines=/lines"]
        assert main(words) == 2
        assert "train wants 1 of requests.nvidia.com/gpu" in capsys.readouterr().err
        assert api.runs == []
        assert main([*words, "--unchecked"]) == 0
        assert len(api.runs) == 1


def test_a_cluster_that_is_away_is_one_finding(cluster: Pages, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(file.read_text().replace(cluster.url, "http://127.0.0.1:9"))
    found = looked()
    assert states(found) == {"kubernetes: answers": "failed"}
    file.write_text("nonsense: [")
    assert states(looked()) == {"kubernetes: account": "failed"}


def mlflow(found: Findings, uri: str) -> dict[str, str]:
    check_mlflow(found, uri, 2.0)
    return states(found)


def test_mlflow_that_refuses_the_host_or_the_login_or_has_another_clock(pages: Pages) -> None:
    pages["/version"] = "3.17.2"
    pages["/api/2.0/mlflow/registered-models/search"] = {"registered_models": [{"name": "quillflow"}]}
    assert set(mlflow(Findings(where="here"), pages.url).values()) == {"ok"}
    pages["/api/2.0/mlflow/registered-models/search"] = (401, {})
    assert mlflow(found := Findings(where="here"), pages.url)["mlflow: rights"] == "failed"
    assert "MLFLOW_TRACKING_TOKEN" in one(found, "mlflow: rights").do
    pages["/version"] = (403, "Invalid Host header - possible DNS rebinding attack detected")
    mlflow(found := Findings(where="here"), pages.url)
    assert "--allowed-hosts" in one(found, "mlflow: answers").do
    pages.date = "Sat, 01 Jan 2000 00:00:00 GMT"
    assert mlflow(found := Findings(where="here"), pages.url)["mlflow: clock"] == "failed"
    assert "behind ours" in one(found, "mlflow: clock").said
    assert mlflow(Findings(where="here"), "http://nowhere.invalid:5000") == {"mlflow: name": "failed"}
    assert mlflow(Findings(where="here"), "http://127.0.0.1:9") == {"mlflow: answers": "failed"}
    assert mlflow(Findings(where="here"), "") == {"mlflow": "skipped"}


def test_the_database_of_a_laptop_is_looked_into(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    assert mlflow(Findings(where="here"), f"sqlite:///{file}") == {"mlflow: database": "skipped"}
    with sqlite3.connect(file) as base:
        base.execute("CREATE TABLE registered_models (name TEXT)")
    assert mlflow(Findings(where="here"), f"sqlite:///{file}") == {"mlflow: database": "ok"}
    file.write_bytes(b"no database at all, but a text" * 100)
    assert mlflow(Findings(where="here"), f"sqlite:///{file}") == {"mlflow: database": "failed"}


def test_the_governor_and_a_store_in_a_folder(
    pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages["/healthz"] = {"well": True}
    found = Findings(where="here")
    check_governor(found, pages.url, 2.0)
    check_store(found, str(tmp_path))
    assert set(states(found).values()) == {"ok"}
    assert list(tmp_path.glob(".doctor*")) == []
    pages["/healthz"] = (503, {"well": False})
    found = Findings(where="here")
    check_governor(found, pages.url, 2.0)
    check_store(found, f"file://{tmp_path}/nowhere")
    assert states(found) == {"governor: clock": "ok", "governor: answers": "failed", "store: rights": "failed"}
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    check_store(found := Findings(where="here"), "s3://bucket/prefix")
    assert states(found) == {"store: address": "failed"}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    check_store(found := Findings(where="here"), "s3://bucket/prefix")
    assert states(found) == {"store: answers": "failed"}
    check_store(found := Findings(where="here"), "s3://key:hidden@bucket")
    assert states(found) == {"store: address": "failed"}
    assert "hidden" not in report_text(found)


def test_kfp_is_asked_as_submit_asks_it(tmp_path: Path) -> None:
    with kfp_api() as api:
        found = examine(Site(host=api.url), tracking_uri="", store="", root=tmp_path, timeout_s=2.0)
        assert (states(found)["kfp: answers"], states(found)["kfp: rights"]) == ("ok", "ok")
        api.token = "x"  # noqa: S105 - of a test
        found = examine(Site(host=api.url), tracking_uri="", store="", root=tmp_path, timeout_s=2.0)
        assert states(found)["kfp: answers"] == "failed"
        assert "give a token" in one(found, "kfp: answers").said


def test_little_room_is_a_warning_and_none_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, state in ((10**12, "ok"), (5 * 2**30, "warning"), (2**20, "failed")):
        usage = type("Usage", (), {"free": free})
        monkeypatch.setattr("pipelines.doctor.here.shutil.disk_usage", lambda place, usage=usage: usage)
        found = Findings(where="here")
        check_here(found, tmp_path / "runs" / "not-yet")
        assert states(found)["disk"] == state


def test_the_command_tells_a_laptop_its_defaults_as_text_and_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--root", str(tmp_path)]) == 0
    assert "no kubeconfig here" in capsys.readouterr().out
    assert main(["doctor", "--root", str(tmp_path), "--json", "--tracking-uri", "http://127.0.0.1:9"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["format_version"], told["where"], told["healthy"]) == (1, "here", False)
    (failed,) = [check for check in told["checks"] if check["state"] == "failed"]
    assert failed["name"] == "mlflow: answers"
    assert failed["do"]
