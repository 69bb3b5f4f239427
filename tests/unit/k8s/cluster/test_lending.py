import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from htr.errors import ServiceError, SettingsError
from k8s.cluster import api as cluster
from k8s.cluster.api import Api, NotThereError, find_api
from k8s.cluster.lending import lend, main
from tests.kubernetes_api import KubernetesApi, kubernetes_api

HOME = "/api/v1/namespaces/quillflow"
SECRET, ACCOUNT = f"{HOME}/secrets/quillflow-deploy-token", f"{HOME}/serviceaccounts/quillflow-deploy"
NAMES = {"namespace": "quillflow", "account": "quillflow-deploy", "secret": "quillflow-deploy-token"}


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    with kubernetes_api() as api:
        api.put(ACCOUNT, {"metadata": {"name": "quillflow-deploy", "uid": "a-1"}})
        api.put(SECRET, {"metadata": {"name": "quillflow-deploy-token", "uid": "s-1"}, "type": "Opaque"})
        yield api


def client(api: KubernetesApi) -> Api:
    return Api(url=api.url, wait=lambda _: None)


def lent(api: KubernetesApi) -> str:
    return base64.b64decode(api.objects[SECRET]["data"]["token"]).decode()


def test_a_token_goes_into_the_secret_and_another_takes_its_place(api: KubernetesApi) -> None:
    assert lend(client(api), **NAMES, ca=b"pem") == "2026-11-21T22:00:00Z"
    first = lent(api)
    assert first.startswith("token-")
    assert base64.b64decode(api.objects[SECRET]["data"]["ca.crt"]) == b"pem"
    lend(client(api), **NAMES, ca=b"pem")
    assert lent(api) != first
    assert api.objects[SECRET]["type"] == "Opaque"


@pytest.mark.parametrize("fault", ["error", "lost"])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_a_server_that_fails_once_costs_no_token(api: KubernetesApi, method: str, fault: str) -> None:
    api.faults = [(method, fault)]  # type: ignore[list-item]
    lend(client(api), **NAMES, ca=b"pem")
    assert lent(api).startswith("token-")


def test_what_is_missing_is_named(api: KubernetesApi) -> None:
    with pytest.raises(NotThereError, match="serviceaccounts/nobody"):
        lend(client(api), **{**NAMES, "account": "nobody"}, ca=b"")
    with pytest.raises(NotThereError, match="secrets/none"):
        lend(client(api), **{**NAMES, "secret": "none"}, ca=b"")
    api.faults = [("POST", "unauthorized")]
    with pytest.raises(ServiceError, match="give the service account this right"):
        lend(client(api), **NAMES, ca=b"")
    assert "data" not in api.objects[SECRET]


def test_the_command_says_what_is_wrong_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--account=a", "--secret=b"]
    assert main([*words, "--seconds=60"]) == 2
    assert "no token for less than 600" in capsys.readouterr().err
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("error: this is no pod")


def test_a_pod_that_was_lent_a_token_uses_that_and_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = tmp_path / "own", tmp_path / "lent"
    own.mkdir()
    (own / "token").write_text("own")
    monkeypatch.setattr(cluster, "_ACCOUNT", own)
    monkeypatch.setattr(cluster, "LENT_ACCOUNT", other)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert find_api().token_file == own / "token"
    other.mkdir()  # the secret is mounted, and nobody has filled it so far
    with pytest.raises(SettingsError, match=r"no token there yet.*quillflow-lend-token"):
        find_api()
    (other / "token").write_text("lent")
    found = find_api()
    assert (found.token_file, found.ca_file) == (other / "token", other / "ca.crt")
