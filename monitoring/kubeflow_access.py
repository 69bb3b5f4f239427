"""Where the Kubeflow Pipelines API is, and as whom we come: from arguments and the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from htr.errors import SettingsError

TOKEN_PATH = "/var/run/secrets/kubeflow/pipelines/token"  # noqa: S105 - a path
"""Where Kubeflow projects a service account's token for the audience pipelines.kubeflow.org."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Where the API is and as whom we come. One of token, token file and cookie, or none of them."""

    host: str
    namespace: str = ""
    """Profile, where KFP serves several users."""
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    """Read anew at every request: Kubernetes replaces a projected token every hour."""
    cookie: str = field(default="", repr=False)
    """Header of a browser's session, ``authservice_session=...`` or ``oauth2_proxy_kubeflow=...``."""
    ca: Path | None = None
    """Certificates to trust, PEM."""
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if not self.host.startswith(("http://", "https://")):
            raise SettingsError(f"address of the KFP API: expected http://... or https://..., got {self.host!r}")

    @classmethod
    def of(
        cls, host: str, *, namespace: str = "", timeout_s: float = 30.0, environ: Mapping[str, str] = os.environ
    ) -> "Access":
        """Return access as the environment gives it.

        QUILLFLOW_KFP_COOKIE, QUILLFLOW_KFP_TOKEN, QUILLFLOW_KFP_TOKEN_FILE and KF_PIPELINES_SA_TOKEN_PATH are
        looked at in this order, then the place where Kubeflow projects a token. QUILLFLOW_KFP_CA is for TLS.
        """
        token_file = environ.get("QUILLFLOW_KFP_TOKEN_FILE") or environ.get("KF_PIPELINES_SA_TOKEN_PATH")
        if not token_file and Path(TOKEN_PATH).is_file():
            token_file = TOKEN_PATH
        cookie, token = environ.get("QUILLFLOW_KFP_COOKIE", ""), environ.get("QUILLFLOW_KFP_TOKEN", "")
        ca = environ.get("QUILLFLOW_KFP_CA")
        return cls(
            host=host.rstrip("/"),
            namespace=namespace,
            cookie=cookie,
            token="" if cookie else token,
            token_file=Path(token_file) if token_file and not (cookie or token) else None,
            ca=Path(ca) if ca else None,
            timeout_s=timeout_s,
        )
