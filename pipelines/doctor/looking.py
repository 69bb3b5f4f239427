"""GETs of the Kubernetes API whose failures are findings. The one module that imports the kubernetes client."""

import os
from pathlib import Path
from typing import Any

from pipelines.doctor.findings import Findings

_RIGHTS = "let this account get {}, or look by hand: kubectl get {}"


class Look:
    """GETs of the Kubernetes API, whose failures are findings."""

    def __init__(self, found: Findings, api: Any, timeout_s: float) -> None:
        from kubernetes.client.exceptions import ApiException

        self.found = found
        self._api = api
        self._timeout_s = timeout_s
        self._refused = ApiException

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


def connect(found: Findings) -> Any:
    """Return a client of the cluster that this machine's kubeconfig, or this pod's account, leads to, or None."""
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
