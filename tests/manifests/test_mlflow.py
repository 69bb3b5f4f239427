"""MLflow asks who comes, answers to its own names only, and is reached from within the cluster only."""

from typing import Any
from urllib.parse import urlsplit

from tests.manifests.rendering import Manifest, of_kind, rendered


def mlflow(manifests: tuple[Manifest, ...]) -> dict[str, Any]:
    """Return the container that MLflow runs in."""
    (deployment,) = [one for one in of_kind(manifests, "Deployment") if one["metadata"]["name"] == "mlflow"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = container
    return found


def value_of(container: dict[str, Any], flag: str) -> str:
    (value,) = [one.partition("=")[2] for one in container["args"] if one.partition("=")[0] == flag]
    return str(value)


def test_mlflow_asks_for_an_account_and_its_passwords_come_from_a_secret() -> None:
    container = mlflow(rendered("platform"))
    assert value_of(container, "--app-name") == "basic-auth"
    env = {one["name"]: one for one in container["env"]}
    secrets = ("MLFLOW_FLASK_SERVER_SECRET_KEY", "POSTGRES_PASSWORD", "AWS_SECRET_ACCESS_KEY")
    assert all("secretKeyRef" in env[name]["valueFrom"] for name in secrets)
    (mount,) = [
        one
        for one in container["volumeMounts"]
        if env["MLFLOW_AUTH_CONFIG_PATH"]["value"].startswith(one["mountPath"] + "/")
    ]
    assert mount["readOnly"]


def test_mlflow_answers_to_the_names_that_its_clients_use_and_to_no_other() -> None:
    allowed = value_of(mlflow(rendered("platform")), "--allowed-hosts").split(",")
    assert all(host and "*" not in host for host in allowed)
    (settings,) = [
        one for one in of_kind(rendered("local"), "ConfigMap") if "MLFLOW_TRACKING_URI" in one.get("data", {})
    ]
    asked = urlsplit(settings["data"]["MLFLOW_TRACKING_URI"]).netloc
    assert sorted(allowed) == sorted([asked, "localhost:5000"])


def test_nobody_outside_of_the_cluster_is_led_to_mlflow() -> None:
    manifests = rendered("platform")
    (service,) = [one for one in of_kind(manifests, "Service") if one["metadata"]["name"] == "mlflow"]
    assert service["spec"].get("type", "ClusterIP") == "ClusterIP"
    assert not service["spec"].get("externalIPs")
    for kind in ("Ingress", "HTTPRoute", "Gateway"):
        assert of_kind(manifests, kind) == [], f"a {kind} in the platform"
