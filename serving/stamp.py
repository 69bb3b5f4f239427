"""What every answer says about where it came from: model version, bundle digest, request id."""

import re
import uuid
from dataclasses import dataclass

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamp:
    """Where an answer came from."""

    model_version: str
    """Registry version, or a short bundle digest where there is no registry."""
    request_id: str
    bundle_digest: str
    """``sha256:...`` of the bundle that reads."""


def choose_request_id(*candidates: str | None) -> str:
    """Return the first candidate that is fit for logs and headers, or a new UUID."""
    sane = (text for text in candidates if text and _REQUEST_ID.fullmatch(text))
    return next(sane, None) or str(uuid.uuid4())
