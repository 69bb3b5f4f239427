"""Tells the governor how a run ended. A hint: the governor asks Kubeflow and the registry itself all the same.

A failure goes to its webhook for alerts, as Alertmanager would send it: it is written down with its reason, and
the governor looks at once how its training fares. The policy names no such alert, so that none begins a training.
A success goes to its hint that the registry has changed.
"""

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from htr.errors import ServiceError

ALERT = "QuillflowRunFailed"
TOKEN = "QUILLFLOW_GOVERNOR_TOKEN"  # noqa: S105 - the name of the variable that holds it
TIMEOUT_S = 20.0
MOST_SAID = 400
_LEVELS = {"FAILED": "failed", "CANCELLED": "was stopped", "CANCELED": "was stopped"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a run ended."""

    pipeline: str
    run_id: str
    state: str
    """As KFP calls it: SUCCEEDED, FAILED, CANCELLED."""
    said: str = ""
    """Why it failed, as far as KFP says."""

    @property
    def is_good(self) -> bool:
        """Return whether nothing failed."""
        return self.state == "SUCCEEDED"


def tell(ending: Ending, *, governor: str, token: str | None = None) -> str:
    """Send a run's end to the governor, and say what was done.

    Args:
        ending: what happened.
        governor: its address; "" takes QUILLFLOW_GOVERNOR from the environment, and without that nobody is told.
        token: bearer token; None takes QUILLFLOW_GOVERNOR_TOKEN from the environment.

    Raises:
        ServiceError: a failure could not be told. A success that could not be told is said and let be: the run
            went well, and the governor looks at the registry by itself.
    """
    address = (governor or os.environ.get("QUILLFLOW_GOVERNOR", "")).rstrip("/")
    what = f"run {ending.run_id} {_LEVELS.get(ending.state, ending.state.lower())}"
    if not address:
        return f"{what}; no governor to tell (parameter governor, or QUILLFLOW_GOVERNOR)"
    route, body = ("/v1/registry", {}) if ending.is_good else ("/v1/alerts", _alert(ending, what))
    try:
        _post(address + route, body, os.environ.get(TOKEN, "") if token is None else token)
    except (OSError, ValueError) as error:
        reason = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)
        said = f"the governor at {address} could not be told: {reason}"
        if ending.is_good:
            return f"{what}; {said}"
        raise ServiceError(f"{what}; {said}; is its address right, and {TOKEN} its token?") from error
    return f"{what}; told the governor at {address}"


def _alert(ending: Ending, what: str) -> dict[str, Any]:
    """Return an Alertmanager webhook, version 4."""
    summary = f"{ending.pipeline}: {what}" + (f": {' '.join(ending.said.split())}" if ending.said else "")
    return {
        "version": "4",
        "groupKey": "quillflow-pipelines",
        "status": "firing",
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": ALERT, "pipeline": ending.pipeline, "run_id": ending.run_id},
                "annotations": {"summary": summary[:MOST_SAID]},
                "startsAt": f"run {ending.run_id}",  # not when it was told: a run's end told twice is one
                "fingerprint": f"run {ending.run_id}",
            }
        ],
    }


def _post(url: str, body: dict[str, Any], token: str) -> None:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url}: expected http:// or https://")
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers, method="POST")  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the scheme is checked above
        answer.read()
