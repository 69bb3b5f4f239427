"""Alertmanager's webhook payload (version 4) in, alerts out.

The label ``bundle_digest`` of an alert says which model it is about.
"""

from collections.abc import Mapping
from typing import Any

from htr.errors import DataError
from monitoring.governor.events import Alert

MOST_ALERTS = 1000
MOST_CHARACTERS = 500


def alerts_from(payload: Any) -> list[Alert]:
    """Return the alerts of a webhook, in its order.

    Raises:
        DataError: it is no such payload; the text names the field.
    """
    if not isinstance(payload, Mapping) or payload.get("version") != "4":
        raise DataError('version: expected "4", an Alertmanager webhook')
    group, alerts = payload.get("groupKey"), payload.get("alerts")
    if not isinstance(group, str) or not group:
        raise DataError("groupKey: expected text")
    if not isinstance(alerts, list) or len(alerts) > MOST_ALERTS:
        raise DataError(f"alerts: expected a list of at most {MOST_ALERTS}")
    return [_alert(group, alert, f"alerts[{at}]") for at, alert in enumerate(alerts)]


def _alert(group: str, alert: Any, where: str) -> Alert:
    if not isinstance(alert, Mapping):
        raise DataError(f"{where}: expected an object")
    status, begun = alert.get("status"), alert.get("startsAt")
    if status not in {"firing", "resolved"}:
        raise DataError(f"{where}.status: expected firing or resolved, found {str(status)[:40]!r}")
    if not isinstance(begun, str) or not begun:
        raise DataError(f"{where}.startsAt: expected a time")
    labels = _texts(alert.get("labels"), f"{where}.labels")
    if not labels.get("alertname"):
        raise DataError(f"{where}.labels.alertname: expected the alert's name")
    notes = _texts(alert.get("annotations") or {}, f"{where}.annotations")
    fingerprint = alert.get("fingerprint") or ",".join(f"{name}={labels[name]}" for name in sorted(labels))
    return Alert(
        episode=f"{group} {fingerprint} {begun}"[:4000],
        name=labels["alertname"][:MOST_CHARACTERS],
        firing=status == "firing",
        model=labels.get("bundle_digest", "")[:MOST_CHARACTERS],
        summary=notes.get("summary", "")[:MOST_CHARACTERS],
    )


def _texts(found: Any, where: str) -> Mapping[str, str]:
    if not isinstance(found, Mapping) or not all(isinstance(text, str) for pair in found.items() for text in pair):
        raise DataError(f"{where}: expected an object of texts")
    return found
