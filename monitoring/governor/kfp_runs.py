"""Trainings on a cluster: a compiled pipeline handed to Kubeflow Pipelines under a name that stands for its key.

The API knows no idempotent start; `monitoring.kubeflow` tells what is done about that. ``python -m pipelines
submit`` does the same by the same code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitoring.governor.runs import Found
from monitoring.kubeflow import ENDED, KfpServer, package_parts
from monitoring.kubeflow_access import Access
from monitoring.retrain import KfpLauncher


@dataclass(kw_only=True)
class KfpRuns:
    """Runs the pipeline on Kubeflow Pipelines; as whom, the environment says (`monitoring.kubeflow.Access.of`)."""

    host: str
    package: Path
    """What ``python -m pipelines compile`` wrote."""
    experiment: str = "quillflow"
    namespace: str = ""
    """Whose runs they are, where Kubeflow Pipelines serves several users; "" where it serves one."""
    service_account: str = ""
    """That steps run as; "" leaves it to Kubeflow Pipelines."""
    timeout_s: float = 30.0
    """How long an answer is waited for."""
    prefix: str = "quillflow-retrain-"
    """Begins every run's name; the key follows."""
    _made: KfpServer | None = field(default=None, repr=False)

    def find(self, key: str) -> Found | None:
        """Return what is known of the run of a key; of several, of the oldest, and the others are terminated."""
        run = self._server().run_named(self.prefix + key)
        if run is None:
            return None
        state = str(run.state)
        said = f"Kubeflow Pipelines calls it {state}" if ENDED.get(state) == "failed" else ""
        return Found(run_id=str(run.run_id), state=ENDED.get(state, "running"), said=said)  # type: ignore[arg-type]

    def start(self, key: str, arguments: Mapping[str, str]) -> str:
        """Hand the pipeline over, and return the run's id when the server has accepted it."""
        typed = self.check(arguments)
        server = self._server()
        return server.start(
            experiment_id=server.experiment(self.experiment),
            display_name=self.prefix + key,
            pipeline_spec=package_parts(self.package),
            parameters=typed,
            service_account=self.service_account,
        )

    def check(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """Give every argument the type that the package declares.

        Raises:
            SettingsError: the package is not a compiled pipeline, or the arguments do not fit it.
        """
        return KfpLauncher(host=self.host, package=self.package).check(arguments)

    def _server(self) -> KfpServer:
        if self._made is None:
            self._made = KfpServer(Access.of(self.host, namespace=self.namespace, timeout_s=self.timeout_s))
        return self._made
