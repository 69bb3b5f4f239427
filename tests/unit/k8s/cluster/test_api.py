"""Kubernetes' API as a pod finds it: by the environment, over TLS, with the account's token and certificates."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from htr.errors import ServiceError, SettingsError
from k8s.cluster import api as cluster
from k8s.cluster.api import find_api
from k8s.cluster.release import Servers
from tests.certificates import make_certificates
from tests.kubernetes_api import KubernetesApi, kubernetes_api
from tests.rollout import OLD, place_release


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


class Pod:
    """What a pod of ours finds: a projected token, the cluster's certificates, and where the API is."""

    def __init__(self, folder: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.account = folder / "account"
        self.account.mkdir()
        (self.account / "ca.crt").write_bytes((certificates / "ca.pem").read_bytes())
        self.lend("first")
        monkeypatch.setattr(cluster, "_ACCOUNT", self.account)
        monkeypatch.setattr(cluster, "LENT_ACCOUNT", folder / "none")

    def lend(self, token: str) -> None:
        (self.account / "token").write_text(token + "\n")


@pytest.fixture
def pod(tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> Pod:
    return Pod(tmp_path, certificates, monkeypatch)


@pytest.fixture
def api(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesApi]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    with kubernetes_api(context) as api:
        api.tokens = {"first"}
        place_release(api)
        parts = urlsplit(api.url)
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(parts.hostname))
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(parts.port))
        yield api


def test_a_pod_finds_the_api_and_is_known_by_its_token(api: KubernetesApi, pod: Pod) -> None:
    assert Servers(api=find_api()).model("quillflow") == OLD


def test_a_token_that_was_exchanged_meanwhile_is_read_anew(api: KubernetesApi, pod: Pod) -> None:
    servers = Servers(api=find_api())
    assert servers.model("quillflow") == OLD
    api.tokens = {"second"}
    with pytest.raises(ServiceError, match=r"401.*give the service account this right"):
        servers.model("quillflow")
    pod.lend("second")
    assert servers.model("quillflow") == OLD


def test_a_server_whose_certificate_is_not_the_clusters_gets_no_token(
    api: KubernetesApi, pod: Pod, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    make_certificates(other)
    (pod.account / "ca.crt").write_bytes((other / "ca.pem").read_bytes())
    found = find_api()
    with pytest.raises(ServiceError, match="CERTIFICATE_VERIFY_FAILED"):
        Servers(
            api=cluster.Api(url=found.url, token_file=found.token_file, ca_file=found.ca_file, wait=lambda _: None)
        ).model("quillflow")
    assert not api.asked


def test_an_account_that_is_not_there_or_has_no_token_says_what_to_do(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SettingsError, match="kubectl proxy"):
        find_api()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.delenv("KUBERNETES_SERVICE_PORT", raising=False)
    assert find_api().url == "https://[fd00::1]:443"
    (pod.account / "token").unlink()
    with pytest.raises(SettingsError, match="no pod with a service account"):
        find_api()


def test_a_token_is_sent_over_no_plain_connection(pod: Pod) -> None:
    with pytest.raises(SettingsError, match="over https only"):
        cluster.Api(url="http://127.0.0.1:1", token_file=pod.account / "token")
