"""Kubernetes' API over plain HTTP: objects in and out as JSON; get, create and server-side apply.

Every call has an end. What the server did not mean (a 500, a lost reply, a connection that breaks) is tried again:
an apply says what shall be, so that doing it twice changes nothing.
"""

import json
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from htr.errors import ServiceError, SettingsError

TIMEOUT_S = 10.0
TRIES = 4
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LENT_ACCOUNT = Path("/var/run/secrets/quillflow/account")
"""Where a pod has the token of another account than it runs as; `k8s.cluster.lending` puts it there."""
Object = dict[str, Any]


class NotThereError(ServiceError):
    """Kubernetes has no such object."""


class ChangedMeanwhileError(ServiceError):
    """The object is not the one that was read: somebody wrote in between."""


class OwnedElsewhereError(ServiceError):
    """Another field manager has set what was to be set.

    Attributes:
        managers: their names.
    """

    def __init__(self, message: str, managers: tuple[str, ...]) -> None:
        super().__init__(message)
        self.managers = managers


@dataclass(frozen=True, kw_only=True)
class Api:
    """One API server.

    Raises:
        SettingsError: the address is none.
    """

    url: str
    """``https://...``; plain http only for a proxy on this machine, such as ``kubectl proxy``."""
    token_file: Path | None = None
    """Read anew for every call: a pod's token is exchanged every hour."""
    ca_file: Path | None = None
    wait: Callable[[float], None] = time.sleep
    """How it is waited between two tries."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise SettingsError(f"{self.url}: expected the address of a Kubernetes API, https://...")
        if self.token_file is not None and self.url.startswith("http://"):
            raise SettingsError(f"{self.url}: a token is sent over https only")

    def get(self, path: str) -> Object:
        """Return an object.

        Raises:
            NotThereError: there is none.
            ServiceError: the API is away or refuses.
        """
        return self._ask("GET", path)

    def create(self, folder: str, value: Object, *, manager: str) -> Object:
        """Make an object; where it is there already, that one is returned as it is.

        Raises:
            ServiceError: the API is away or refuses.
        """
        try:
            return self._ask("POST", f"{folder}?{urlencode({'fieldManager': manager})}", value)
        except ChangedMeanwhileError:  # AlreadyExists is a 409, too; or the answer to a first try was lost
            return self.get(f"{folder}/{value['metadata']['name']}")

    def apply(self, path: str, value: Object, *, manager: str, force: bool = False) -> Object:
        """Set the fields that are given, and take away those that this manager gave before and does not give now.

        Args:
            path: the object's.
            value: what shall be; with ``metadata.resourceVersion``, only where the object is still that one.
            manager: who says so.
            force: take over what others have set.

        Raises:
            OwnedElsewhereError: others have set some of it to something else.
            ChangedMeanwhileError: the object has another resource version.
            ServiceError: the API is away or refuses.
        """
        query = urlencode({"fieldManager": manager, "force": "true" if force else "false"})
        return self._ask("PATCH", f"{path}?{query}", value)

    def ask(self, path: str, value: Object) -> Object:
        """Post a question, of which nothing stays, and return the answer.

        Raises:
            NotThereError: there is nobody of whom it can be asked.
            ServiceError: the API is away or refuses.
        """
        return self._ask("POST", path, value)

    def _ask(self, method: str, path: str, value: Object | None = None) -> Object:
        for number in range(1, TRIES + 1):
            try:
                return self._ask_once(method, path, value)
            except _AgainError as error:
                if number == TRIES:
                    raise ServiceError(f"{error}; asked {TRIES} times") from error
                self.wait(0.25 * 2**number)
        raise AssertionError("the loop ends by itself")

    def _ask_once(self, method: str, path: str, value: Object | None) -> Object:
        what = f"Kubernetes at {self.url}: {method} {path.partition('?')[0]}"
        headers = {"Accept": "application/json"}
        if self.token_file is not None:
            try:
                headers["Authorization"] = f"Bearer {self.token_file.read_text(encoding='ascii').strip()}"
            except OSError as error:
                raise SettingsError(f"{self.token_file}: no token can be read ({error.strerror})") from error
        data = None
        if value is not None:
            data = json.dumps(value).encode()  # JSON is YAML
            headers["Content-Type"] = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        request = urllib.request.Request(self.url.rstrip("/") + path, data, headers, method=method)  # noqa: S310
        context = ssl.create_default_context(cafile=self.ca_file) if self.url.startswith("https") else None
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer:  # noqa: S310
                found: Object = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            raise _error_of(what, error) from error
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise _AgainError(f"{what}: no answer ({reason}); is it up and reachable from here?") from error


class _AgainError(Exception):
    """Another try may do."""


def path_of(kind_path: str, namespace: str, name: str = "") -> str:
    """Return the path of an object, or of all of a kind in a namespace.

    Args:
        kind_path: such as ``serving.kserve.io/v1beta1 inferenceservices``, or ``v1 secrets``.
        namespace: where it is.
        name: the object's, "" for the folder of all.
    """
    version, _, plural = kind_path.partition(" ")
    group = "apis" if "/" in version else "api"
    path = f"/{group}/{version}/namespaces/{quote(namespace, safe='')}/{plural}"
    return f"{path}/{quote(name, safe='')}" if name else path


def find_api(url: str = "") -> Api:
    """Return the API server at an address, or the one of the cluster that this process runs in.

    A token that was lent to this pod comes before that of the account that it runs as.

    Raises:
        SettingsError: no address is given, and this is no pod with a service account, or nothing was lent yet.
    """
    if url:
        return Api(url=url)
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    account = LENT_ACCOUNT if LENT_ACCOUNT.is_dir() else _ACCOUNT
    if host and account == LENT_ACCOUNT and not (account / "token").is_file():
        raise SettingsError(
            f"{account}: no token there yet; quillflow-lend-token puts one there every 20 minutes, or at once: "
            "kubectl -n quillflow create job --from=cronjob/quillflow-lend-token now"
        )
    if not host or not (account / "token").is_file():
        raise SettingsError(
            "this is no pod with a service account, so where is Kubernetes? Run `kubectl proxy` and give "
            "--kubernetes http://127.0.0.1:8001"
        )
    host = f"[{host}]" if ":" in host else host
    return Api(url=f"https://{host}:{port}", token_file=account / "token", ca_file=account / "ca.crt")


def _error_of(what: str, error: urllib.error.HTTPError) -> Exception:
    try:
        status = json.loads(error.read(100_000))
        said = str(status.get("message", ""))[:400]
        causes = (status.get("details") or {}).get("causes") or []
    except (ValueError, AttributeError, OSError, HTTPException):
        said, causes = "", []
    text = f"{what}: {error.code} {said or error.reason}"
    if error.code in _TRY_AGAIN:
        return _AgainError(text)
    if error.code == 404:
        return NotThereError(f"{text}; are the manifests applied, and KServe's and the gateway's types installed?")
    if error.code == 409:
        owned = [one for one in causes if one.get("reason") == "FieldManagerConflict"]
        if owned:
            managers = tuple(sorted({_quoted(one.get("message", "")) for one in owned}))
            return OwnedElsewhereError(f"{what}: owned by {', '.join(managers)}", managers)
        return ChangedMeanwhileError(text)
    if error.code in {401, 403}:
        return ServiceError(f"{text}; give the service account this right (docs/rollout.md lists them)")
    return ServiceError(text)


def _quoted(message: str) -> str:
    """Return the manager's name in ``conflict with "kubectl" using v1``."""
    return message.split('"')[1] if message.count('"') >= 2 else message
