"""The whole examination, in the order in which things depend on each other."""

import os
from pathlib import Path

from pipelines.doctor.cluster import check_cluster
from pipelines.doctor.findings import Findings
from pipelines.doctor.here import check_here
from pipelines.doctor.services import check_governor, check_kfp, check_mlflow
from pipelines.doctor.storage import check_store
from pipelines.site import Site


def examine(site: Site, *, tracking_uri: str, store: str, root: Path, timeout_s: float) -> Findings:
    """Check everything that a site says is used; on a laptop the defaults.

    Args:
        site: what the cluster wants of the pipelines.
        tracking_uri: MLflow's; "" looks for the newest run's database below ``root``.
        store: of versions; "" for none.
        root: folder of runs.
        timeout_s: for every answer.
    """
    found = Findings(where="cluster" if os.environ.get("KUBERNETES_SERVICE_HOST") else "here")
    newest = root / "latest" / "mlflow.db"
    if not tracking_uri and newest.is_file():
        tracking_uri = f"sqlite:///{newest.resolve()}"
    check_here(found, root)
    check_kfp(found, site, timeout_s)
    check_mlflow(found, tracking_uri, timeout_s)
    check_store(found, store)
    check_governor(found, site.governor or os.environ.get("QUILLFLOW_GOVERNOR", ""), timeout_s)
    check_cluster(found, site, timeout_s)
    return found
