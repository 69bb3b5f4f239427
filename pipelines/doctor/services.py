"""KFP, MLflow and the governor: is their name known, do they answer and let us in, and is their clock ours."""

import base64
import json
import os
import socket
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit

from monitoring.kubeflow import KfpServer
from monitoring.kubeflow_access import Access
from pipelines.doctor.findings import Findings
from pipelines.doctor.web import Answer, ask
from pipelines.site import Site

SKEW_S, TOO_MUCH_SKEW_S = 30.0, 300.0
"""From the first, tokens may be taken for expired; from the second, S3 and Kubernetes refuse what we sign."""


def check_kfp(found: Findings, site: Site, timeout_s: float) -> None:
    """Check the KFP API as ``submit`` uses it."""
    if not site.host:
        found.skip("kfp", "no address (--host, KF_PIPELINES_ENDPOINT, or host in the site's file): runs stay here")
        return
    if not resolves(found, "kfp", site.host):
        return
    up = "start it, port-forward it, or correct the address"
    with found.looking("kfp: answers", up):
        server = KfpServer(Access.of(site.host, namespace=site.namespace, timeout_s=timeout_s))
        health = server.health()
        found.ok("kfp: answers", f"{site.host}, {'several users' if health.multi_user else 'one user'}")
        if health.multi_user and not site.namespace:
            found.fail(
                "kfp: namespace",
                "it serves several users, and no profile is named",
                "give --namespace, or namespace",
            )
            return
        with found.looking("kfp: rights", "see Who submits in docs/kubeflow.md"):
            server.run_named("quillflow-doctor")  # lists: what submit does before anything else
            found.ok("kfp: rights", "lists runs" + (f" in {site.namespace}" if site.namespace else ""))


def check_mlflow(found: Findings, uri: str, timeout_s: float) -> None:
    """Check MLflow as the steps use it: its server, or the database file of a laptop."""
    if uri.startswith("sqlite:///"):
        _check_database(found, Path(uri.removeprefix("sqlite:///")))
        return
    if not uri:
        found.skip("mlflow", "no address (--tracking-uri, MLFLOW_TRACKING_URI): runs make a database of their own")
        return
    if not resolves(found, "mlflow", uri):
        return
    with found.looking("mlflow: answers", "start it, or correct the address"):
        answer = ask(f"{uri.rstrip('/')}/version", timeout_s=timeout_s)
        clock(found, "mlflow", answer)
        host = urlsplit(uri).netloc
        if answer.status == 403 and "host" in answer.text.lower():
            found.fail(
                "mlflow: answers",
                f"it refuses the Host header {host!r}",
                f"start mlflow server with --allowed-hosts '{host}', and with every other name it goes by",
            )
            return
        if answer.status != 200:
            found.fail(
                "mlflow: answers", f"HTTP {answer.status} from {uri}/version", "correct the address: no path"
            )
            return
        found.ok("mlflow: answers", f"{uri}, version {answer.text.strip()[:20]}")
        registry = ask(
            f"{uri.rstrip('/')}/api/2.0/mlflow/registered-models/search?max_results=1",
            timeout_s=timeout_s,
            headers=_mlflow_login(),
        )
        if registry.status in (401, 403):
            found.fail(
                "mlflow: rights",
                f"HTTP {registry.status} from the registry",
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
            )
        elif registry.status != 200:
            found.fail("mlflow: rights", f"HTTP {registry.status} from the registry", "look at the server's log")
        else:
            names = [one["name"] for one in json.loads(registry.text).get("registered_models", [])]
            found.ok(
                "mlflow: rights", f"lists registered models ({names[0]}, ...)" if names else "no model so far"
            )


def check_governor(found: Findings, address: str, timeout_s: float) -> None:
    """Check the governor, to whom runs report their end."""
    if not address:
        found.skip(
            "governor", "no address (governor in the site's file, QUILLFLOW_GOVERNOR): nobody is told of failures"
        )
        return
    if not resolves(found, "governor", address):
        return
    with found.looking("governor: answers", "start it, or correct the address"):
        answer = ask(f"{address.rstrip('/')}/healthz", timeout_s=timeout_s)
        clock(found, "governor", answer)
        if answer.status == 200:
            found.ok("governor: answers", address)
        else:
            found.fail("governor: answers", f"HTTP {answer.status}", f"look at its log and at {address}/v1/state")


def resolves(found: Findings, part: str, address: str) -> bool:
    """Return whether an address's host has a number; note it where it does not."""
    parts = urlsplit(address)
    try:
        socket.getaddrinfo(parts.hostname, parts.port or 80, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError, ValueError) as error:
        found.fail(
            f"{part}: name",
            f"{parts.hostname or address!r} is not known here ({getattr(error, 'strerror', None) or error})",
            "correct it; in a cluster names are SERVICE.NAMESPACE, and a NetworkPolicy must allow DNS",
        )
        return False
    return True


def clock(found: Findings, part: str, answer: Answer) -> None:
    """Compare a server's clock with ours."""
    if answer.ahead_s is None:
        return
    said = f"{abs(answer.ahead_s):.0f} s {'ahead of' if answer.ahead_s > 0 else 'behind'} ours"
    do = "set both clocks by NTP: tokens and signatures carry times"
    if abs(answer.ahead_s) > TOO_MUCH_SKEW_S:
        found.fail(f"{part}: clock", said, do)
    elif abs(answer.ahead_s) > SKEW_S:
        found.warn(f"{part}: clock", said, do)
    else:
        found.ok(f"{part}: clock", "agrees with ours")


def _mlflow_login() -> dict[str, str]:
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return {}


def _check_database(found: Findings, path: Path) -> None:
    if not path.is_file():
        found.skip("mlflow: database", f"{path} is not there yet; the first run makes it")
        return
    with found.looking("mlflow: database", f"restore {path}, or move it away: the next run makes a new one"):
        base = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
        try:
            (sound,) = base.execute("PRAGMA quick_check").fetchone()
            (models,) = base.execute("SELECT count(*) FROM registered_models").fetchone()
        finally:
            base.close()
        if sound != "ok":
            found.fail("mlflow: database", f"{path}: {sound}", "restore it, or move it away")
        else:
            found.ok("mlflow: database", f"{path}, registered models: {models}")
