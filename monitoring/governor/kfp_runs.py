"""Trainings on a cluster: a compiled pipeline handed to Kubeflow Pipelines under a name that stands for its key.

The API knows no idempotent start: a request whose answer is lost may have made a run. So a run is looked up by
its name before it is asked for, and where two of one name turn up all the same, the older one is kept and the
others are terminated. Every call has an end: kfp's own would wait for an answer for ever.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from htr.errors import ServiceError
from monitoring.governor.addresses import without_user_info
from monitoring.governor.runs import Found, RefusedError
from monitoring.retrain import KfpLauncher

logger = logging.getLogger(__name__)

_ENDED = {"SUCCEEDED": "succeeded", "FAILED": "failed", "CANCELED": "failed", "SKIPPED": "failed"}
_NOT_NOW = {408, 409, 425, 429}
"""Client errors that another try may not meet."""
_TIMED = (
    ("_run_api", ("run_service_create_run", "run_service_list_runs", "run_service_terminate_run")),
    ("_experiment_api", ("experiment_service_list_experiments", "experiment_service_create_experiment")),
)
"""kfp's generated calls that are given a time-out; its own methods pass none on."""


@dataclass(kw_only=True)
class KfpRuns:
    """Runs the pipeline on Kubeflow Pipelines."""

    host: str
    package: Path
    """What ``python -m pipelines compile`` wrote."""
    experiment: str = "quillflow"
    timeout_s: float = 30.0
    """How long an answer is waited for."""
    prefix: str = "quillflow-retrain-"
    """Begins every run's name; the key follows."""
    _made: Any = field(default=None, repr=False)

    def find(self, key: str) -> Found | None:
        """Return what is known of the run of a key; of several, of the oldest, and the others are terminated."""
        name = self.prefix + key
        wanted = {"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]}
        with _said(self.host):
            listed = self._client().list_runs(filter=json.dumps(wanted), page_size=50, sort_by="created_at").runs
            runs = [run for run in listed or [] if run.display_name == name]  # whatever the filter let through
            if not runs:
                return None
            oldest, *others = sorted(runs, key=lambda run: (str(run.created_at), run.run_id))
            for other in others:
                if str(other.state) not in _ENDED:
                    logger.warning("run %s is a second one of %s; it is terminated", other.run_id, name)
                    self._client().terminate_run(other.run_id)
        state = str(oldest.state)
        said = f"Kubeflow Pipelines calls it {state}" if _ENDED.get(state) == "failed" else ""
        return Found(run_id=str(oldest.run_id), state=_ENDED.get(state, "running"), said=said)  # type: ignore[arg-type]

    def start(self, key: str, arguments: Mapping[str, str]) -> str:
        """Hand the pipeline over, and return the run's id when the server has accepted it."""
        typed = self.check(arguments)
        with _said(self.host):
            client = self._client()
            experiment = client.create_experiment(self.experiment)
            run = client.run_pipeline(
                experiment.experiment_id, self.prefix + key, pipeline_package_path=str(self.package), params=typed
            )
        return str(run.run_id)

    def check(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """Give every argument the type that the package declares.

        Raises:
            SettingsError: the package is not a compiled pipeline, or the arguments do not fit it.
        """
        return KfpLauncher(host=self.host, package=self.package).check(arguments)

    def _client(self) -> Any:
        if self._made is None:
            import kfp

            client = kfp.Client(host=self.host)
            for api, calls in _TIMED:
                for call in calls:
                    seconds = (self.timeout_s, self.timeout_s)  # to connect and to answer; a lone float is ignored
                    timed = partial(getattr(getattr(client, api), call), _request_timeout=seconds)
                    setattr(getattr(client, api), call, timed)
            self._made = client
        return self._made


class _said:  # noqa: N801 - reads as a verb
    """Turns whatever kfp lets through into one error that names the host."""

    def __init__(self, host: str) -> None:
        self._host = host

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, ServiceError):
            return
        status = getattr(error, "status", None)
        said = " ".join((getattr(error, "body", None) or str(error) or repr(error)).split())
        text = f"{without_user_info(self._host)}: Kubeflow Pipelines: {without_user_info(said, self._host)[:300]}"
        if isinstance(status, int) and 400 <= status < 500 and status not in _NOT_NOW:
            raise RefusedError(text) from error
        raise ServiceError(text) from error
