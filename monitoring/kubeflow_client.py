"""kfp's generated client with our ways: requests are sent once, a login page is no answer, a refusal is told."""

import json
import re
from typing import Any

from htr.errors import ServiceError, SettingsError
from monitoring.governor.addresses import without_user_info
from monitoring.governor.runs import RefusedError
from monitoring.kubeflow_access import Access

_NOT_NOW = {408, 409, 425, 429}
"""Client errors that another try may not meet."""
_HINTS = {
    302: "it sends us to a login page: give a session cookie that has not run out, or a token",
    401: "it does not know us: give a token (docs/kubeflow.md, Who submits)",
    403: "it knows us and says no: the account lacks rights in this namespace",
    404: "there is no KFP API at this address: port-forward ml-pipeline:8888, or add /pipeline",
}


def api_client(access: Access) -> Any:
    """Return a client; its token file is read anew at every request."""
    import kfp_server_api
    from urllib3 import Retry

    class Client(kfp_server_api.ApiClient):  # type: ignore[misc]
        def deserialize(self, response: Any, response_type: Any) -> Any:
            """Read an answer; a login page is none, however well it was found."""
            if (response.data or "").strip() and not _is_json(response.data):
                raise kfp_server_api.ApiException(status=302, reason="the answer is no JSON")
            return super().deserialize(response, response_type)

    config = kfp_server_api.Configuration(host=access.host)
    # A request is sent once: whether it may be sent again is for whoever knows what it did.
    config.retries = Retry(total=0, redirect=0, raise_on_redirect=False)
    if access.ca is not None:
        config.ssl_ca_cert = str(access.ca)
    if access.token_file is not None:
        file = access.token_file

        def read_token(configuration: Any) -> None:
            try:
                configuration.api_key["authorization"] = file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise SettingsError(f"{file}: the token cannot be read ({error.strerror})") from error

        config.refresh_api_key_hook = read_token
        read_token(config)
    elif access.token:
        config.api_key["authorization"] = access.token
    config.api_key_prefix["authorization"] = "Bearer"
    return Client(config, cookie=access.cookie or None)


def _is_json(data: str) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def error_of(error: Exception, access: Access, said_by: str) -> ServiceError:
    """Return what the generated client, or its HTTP library, raised as one error that names the host.

    Args:
        error: whatever it was.
        access: where was asked.
        said_by: begins the message.

    Returns:
        A RefusedError where another try would meet the same.
    """
    status = getattr(error, "status", None)
    said = " ".join((_text(getattr(error, "body", None)) or str(error) or repr(error)).split())
    if "Caused by " in said:  # an address that does not answer is told with the whole connection pool
        said = said.rpartition("Caused by ")[2].strip("()'\"")
        if refused := re.search(r"new connection: (?:\[Errno -?\d+\] )?(.*)", said):
            said = f"cannot be reached ({refused[1]}); is it up and reachable from here?"
    if (hint := _HINTS.get(int(status or 0))) is not None:
        said = f"HTTP {status}: {hint} ({said[:120]})"
    elif isinstance(status, int) and status:
        said = f"HTTP {status}: {said}"
    text = f"{said_by}: {without_user_info(said, access.host)[:300]}"
    if isinstance(status, int) and 300 <= status < 500 and status not in _NOT_NOW:
        return RefusedError(text)
    return ServiceError(text)


def _text(body: Any) -> str:
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    try:
        found = json.loads(text)
    except ValueError:
        return text
    if isinstance(found, dict) and (said := found.get("error") or found.get("message") or found.get("detail")):
        return said if isinstance(said, str) else json.dumps(said)
    return text
