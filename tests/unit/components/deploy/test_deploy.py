import copy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.deploy.__main__ import main
from components.deploy.deploy import deploy_champion
from components.deploy.target import Target
from htr.bundle import Bundle
from htr.errors import ServiceError, SettingsError
from htr.versions import open_store
from k8s.cluster.api import Api, NotThereError, OwnedElsewhereError
from k8s.cluster.release import Servers, digest_of
from tests.kubernetes_api import KubernetesApi, kubernetes_api
from tests.manifests.rendering import of_kind, rendered
from tests.manifests.rights import needed, rights_of
from tests.rollout import CANARY_PATH, NEW, OLD, ROUTE_PATH, SERVICES, STABLE_PATH, place_release
from tests.servers import ModelRegistry, untaught_bundle

NAMESPACE = "/apis/serving.kserve.io/v1beta1/namespaces/quillflow/inferenceservices"


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Bundle]:
    """A registry's address and the bundle that is champion in it."""
    folder = tmp_path_factory.mktemp("registry")
    bundle = Bundle.open(untaught_bundle(folder / "bundle", seed=4))
    registry = ModelRegistry(folder / "mlflow")
    shutil.copytree(bundle.path, folder / "model" / "artifacts" / "bundle")  # as MLflow keeps a pyfunc's artifacts
    version = registry.add(folder / "model")
    registry.client.set_model_version_tag("quillflow", version, "bundle_digest", bundle.digest)
    registry.point("champion", version)
    return registry.uri, bundle


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    with kubernetes_api() as api:
        yield api


class Deploying:
    """Deploys into one store and one cluster."""

    def __init__(self, api: KubernetesApi, tracking_uri: str, store: Path) -> None:
        self.api, self.tracking_uri, self.store = api, tracking_uri, store

    def __call__(self, target: str, *, force: bool = False, commit: bool = False) -> tuple[str, str]:
        return deploy_champion(
            Target.parse(target),
            model_name="quillflow",
            tracking_uri=self.tracking_uri,
            store=str(self.store),
            api=lambda: Api(url=self.api.url, wait=lambda _: None),
            force=force,
            commit=commit,
        )


@pytest.fixture
def deploying(api: KubernetesApi, champion: tuple[str, Bundle], tmp_path: Path) -> Deploying:
    return Deploying(api, champion[0], tmp_path / "store")


def model(api: KubernetesApi, path: str) -> str:
    uri: str = api.objects[path]["spec"]["predictor"]["model"]["storageUri"]
    return uri


def test_the_champion_is_published_and_told_by_digest_and_twice_is_as_once(
    api: KubernetesApi, deploying: Deploying, champion: tuple[str, Bundle], tmp_path: Path
) -> None:
    place_release(api)
    uri, told = deploying("stable")
    assert digest_of(uri) == champion[1].digest.removeprefix("sha256:")
    assert model(api, STABLE_PATH) == uri
    assert "published: quillflow is told to serve it" in told
    fetched = open_store(tmp_path / "store").fetch("bundle", digest_of(uri), tmp_path / "fetched")
    assert Bundle.open(fetched).digest == champion[1].digest
    writes = list(api.writes)
    again, told = deploying("stable")
    assert again == uri
    assert told.endswith("already, as it was")
    assert "published" not in told
    assert api.writes == writes
    assert api.objects[STABLE_PATH]["spec"]["predictor"]["model"]["resources"] == {
        "limits": {"cpu": "2", "memory": "2Gi"}
    }


def test_without_a_target_nothing_is_asked_and_nothing_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == "nothing to deploy: the local server follows the alias\n"


def test_a_canary_gets_the_bundle_without_the_share_that_another_had(
    api: KubernetesApi, deploying: Deploying
) -> None:
    place_release(api)
    api.edit(
        ROUTE_PATH,
        "spec.rules",
        [
            {
                "backendRefs": [
                    {"name": "quillflow-predictor", "weight": 75},
                    {"name": "quillflow-canary", "weight": 25},
                ]
            }
        ],
    )
    uri, _ = deploying("canary")
    assert model(api, CANARY_PATH) == uri
    assert model(api, STABLE_PATH) == OLD
    assert [ref["weight"] for ref in api.objects[ROUTE_PATH]["spec"]["rules"][0]["backendRefs"]] == [100, 0]
    assert api.writes == [("PATCH", ROUTE_PATH), ("PATCH", CANARY_PATH)]
    assert deploying("canary")[1].endswith("as it was")
    assert len(api.writes) == 2


def test_a_canary_that_is_not_there_is_made_like_the_stable_server(
    api: KubernetesApi, deploying: Deploying
) -> None:
    place_release(api)
    del api.objects[CANARY_PATH]
    uri, _ = deploying("canary")
    made = api.objects[CANARY_PATH]
    assert made["spec"]["predictor"]["model"]["runtime"] == "quillflow-runtime"
    assert model(api, CANARY_PATH) == uri
    uid = made["metadata"].get("resourceVersion")
    deploying("canary")
    assert api.objects[CANARY_PATH]["metadata"]["resourceVersion"] == uid


def test_the_first_bundle_needs_no_canary(api: KubernetesApi, deploying: Deploying) -> None:
    place_release(api, stable="")
    uri, told = deploying("canary")
    assert model(api, STABLE_PATH) == uri
    assert model(api, CANARY_PATH) == NEW
    assert "without a canary" in told


def test_who_else_sets_the_address_is_not_overruled_unless_forced(
    api: KubernetesApi, deploying: Deploying
) -> None:
    place_release(api)
    api.edit(STABLE_PATH, "spec.predictor.model.storageUri", NEW, manager="kustomize-controller")
    with pytest.raises(OwnedElsewhereError, match=r"kustomize-controller has set its storageUri.*--gitops"):
        deploying("stable")
    assert model(api, STABLE_PATH) == NEW
    uri, _ = deploying("stable", force=True)
    assert model(api, STABLE_PATH) == uri


@pytest.mark.parametrize("fault", ["error", "lost"])
def test_a_server_that_fails_or_whose_answer_is_lost_is_asked_again(
    api: KubernetesApi, deploying: Deploying, fault: str
) -> None:
    place_release(api)
    api.faults = [("PATCH", fault), ("GET", "error")]  # type: ignore[list-item]
    uri, _ = deploying("stable")
    assert model(api, STABLE_PATH) == uri
    assert api.writes == [("PATCH", STABLE_PATH)]


def test_what_kubernetes_refuses_is_told_with_what_to_do(api: KubernetesApi, deploying: Deploying) -> None:
    with pytest.raises(NotThereError, match="are the manifests applied"):
        deploying("stable")
    place_release(api)
    api.faults = [("PATCH", "refused")]
    with pytest.raises(ServiceError, match=r"422 spec\.predictor\.model"):
        deploying("stable")
    api.faults = [("GET", "error")] * 4
    with pytest.raises(ServiceError, match="asked 4 times"):
        deploying("stable")
    assert model(api, STABLE_PATH) == OLD


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_for_gitops_a_patch_is_written_and_committed_once(deploying: Deploying, tmp_path: Path) -> None:
    overlay = tmp_path / "tree" / "overlay"
    overlay.mkdir(parents=True)
    with pytest.raises(SettingsError, match="no kustomization"):
        deploying(f"gitops:{overlay}")
    (overlay / "kustomization.yaml").write_text("resources: [service.yaml]\n")
    with pytest.raises(SettingsError, match=r"does not name bundle-quillflow.yaml.*add under patches"):
        deploying(f"gitops:{overlay}")
    (overlay / "service.yaml").write_text(
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: quillflow}\n"
        "spec: {predictor: {model: {modelFormat: {name: quillflow}}}}\n"
    )
    (overlay / "kustomization.yaml").write_text(
        "resources: [service.yaml]\npatches:\n"
        "- {path: bundle-quillflow.yaml, target: {kind: InferenceService, name: quillflow}}\n"
    )

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path / "tree"), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    git("config", "user.name", "a")
    git("config", "user.email", "a@example.org")
    git("add", "overlay/kustomization.yaml")
    uri, told = deploying(f"gitops:{overlay}", commit=True)
    assert told.endswith("says so, committed")
    _, told = deploying(f"gitops:{overlay}", commit=True)
    assert told.endswith("as it was, nothing to commit")
    assert git("log", "--format=%s", "--name-only").split("\n")[2] == "overlay/bundle-quillflow.yaml"
    assert git("diff", "--cached", "--name-only").split() == ["overlay/kustomization.yaml"]
    if shutil.which("kubectl"):
        command = ["kubectl", "kustomize", str(overlay)]
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert f"storageUri: {uri}" in shown


@pytest.mark.parametrize("text", ["prod", "stable:", "canary:only", "gitops:", "stable:a/b/c", "stable:/b"])
def test_a_target_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="expected stable, canary"):
        Target.parse(text)


def test_no_champion_is_said(api: KubernetesApi, deploying: Deploying, tmp_path: Path) -> None:
    deploying.tracking_uri = ModelRegistry(tmp_path / "empty").uri
    with pytest.raises(ServiceError, match="no champion to deploy"):
        deploying("stable")


@pytest.mark.parametrize(
    ("parts", "target"),
    [(("local",), "stable"), (("local", "canary"), "canary"), (("staging",), "canary")],
    ids=["stable", "canary", "staging"],
)
def test_the_account_of_the_step_may_what_it_asks_on_the_manifests_that_are_applied(
    api: KubernetesApi, deploying: Deploying, parts: tuple[str, ...], target: str
) -> None:
    found = rendered(*parts)
    for one in of_kind(found, "InferenceService"):
        api.put(f"{SERVICES}/{one['metadata']['name']}", one)
    for one in of_kind(found, "HTTPRoute"):
        api.put(ROUTE_PATH, one)
    deploying(target)  # the first one: to the stable server in any case
    api.edit(STABLE_PATH, "spec.predictor.model.storageUri", OLD, manager="kubectl")
    deploying(target)
    assert {verb for verb, *_ in needed(api)} == {"get", "patch"}
    assert needed(api) <= rights_of(found, "quillflow-deploy")
    assert not needed(api) & rights_of(found, "quillflow-pipeline"), "which every step runs as"


def test_a_canary_that_is_made_like_the_stable_server_gets_none_of_its_clients(api: KubernetesApi) -> None:
    found = rendered("local")
    stable = copy.deepcopy(of_kind(found, "InferenceService")[0])  # renderings are shared by tests
    stable["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = "{}"
    api.put(STABLE_PATH, stable)
    Servers(api=Api(url=api.url, wait=lambda _: None)).serve("quillflow-canary", NEW, like="quillflow")
    made = api.objects[CANARY_PATH]
    for service in of_kind(found, "Service"):
        picked = service["spec"]["selector"].items() <= made["spec"]["predictor"]["labels"].items()
        assert not picked, service["metadata"]["name"]
    (spread,) = made["spec"]["predictor"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= made["spec"]["predictor"]["labels"].items()
    assert set(made["metadata"]["annotations"]) == {
        "serving.kserve.io/deploymentMode",
        "serving.kserve.io/autoscalerClass",
    }
