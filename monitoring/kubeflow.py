"""Talks to the Kubeflow Pipelines API: who we are, how long an answer is waited for, what a refusal means.

It stands on kfp's generated client, not on ``kfp.Client``: that one waits for ever, keeps a context file in the
home folder, and sends no token where it was given an address. The API knows no idempotent start. A request whose
answer is lost may have made a run, so runs are looked up by name before they are asked for, and where two of one
name turn up all the same, the older one is kept and the others are terminated (`KfpServer.run_named`).
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from htr.errors import ServiceError, SettingsError
from monitoring.governor.addresses import without_user_info
from monitoring.kubeflow_access import Access
from monitoring.kubeflow_client import api_client, error_of

logger = logging.getLogger(__name__)

ENDED = {"SUCCEEDED": "succeeded", "FAILED": "failed", "CANCELED": "failed", "SKIPPED": "failed"}
"""States that a run does not leave, and what they come to."""
_PAGE = 100


class KfpServer:
    """The API, as far as runs, schedules and versions need it. Every call ends.

    Args:
        access: where, and as whom.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self._seconds = (access.timeout_s, access.timeout_s)  # to connect and to answer; a lone float is ignored
        self._made: Any = None

    def health(self) -> Any:
        """Return what the API says of itself."""
        with self._talk() as api:
            return api.HealthzServiceApi(self._client()).healthz_service_get_healthz(
                _request_timeout=self._seconds
            )

    def experiment(self, name: str) -> str:
        """Return the id of an experiment; one that is missing is made."""
        with self._talk() as api:
            service = api.ExperimentServiceApi(self._client())
            found = service.experiment_service_list_experiments(
                filter=_named(name), **self._where(), _request_timeout=self._seconds
            ).experiments
            for one in found or []:
                if one.display_name == name:
                    return str(one.experiment_id)
            asked = api.V2beta1Experiment(display_name=name, namespace=self.access.namespace or None)
            made = service.experiment_service_create_experiment(asked, _request_timeout=self._seconds)
            return str(made.experiment_id)

    def run_named(self, name: str) -> Any | None:
        """Return the run of a name, None where there is none; of several the oldest, the others are terminated."""
        with self._talk() as api:
            service = api.RunServiceApi(self._client())
            listed = service.run_service_list_runs(
                filter=_named(name),
                page_size=_PAGE,
                sort_by="created_at",
                **self._where(),
                _request_timeout=self._seconds,
            ).runs
            runs = [run for run in listed or [] if run.display_name == name]  # whatever the filter let through
            if not runs:
                return None
            oldest, *others = sorted(runs, key=lambda run: (str(run.created_at), run.run_id))
            for other in others:
                if str(other.state) not in ENDED:
                    logger.warning("run %s is a second one of %s; it is terminated", other.run_id, name)
                    service.run_service_terminate_run(other.run_id, _request_timeout=self._seconds)
            return oldest

    def run(self, run_id: str) -> Any:
        """Return a run as it stands."""
        with self._talk() as api:
            return api.RunServiceApi(self._client()).run_service_get_run(run_id, _request_timeout=self._seconds)

    def start(self, **fields: Any) -> str:
        """Make a run of these fields of V2beta1Run; return its id."""
        with self._talk() as api:
            asked = api.V2beta1Run(**_with_parts(api, fields))
            made = api.RunServiceApi(self._client()).run_service_create_run(asked, _request_timeout=self._seconds)
        return self._id(made.run_id)

    def schedules_named(self, name: str) -> list[Any]:
        """Return the recurring runs of a name, the oldest first."""
        with self._talk() as api:
            listed = api.RecurringRunServiceApi(self._client()).recurring_run_service_list_recurring_runs(
                filter=_named(name), page_size=_PAGE, **self._where(), _request_timeout=self._seconds
            )
        found = [one for one in listed.recurring_runs or [] if one.display_name == name]
        return sorted(found, key=lambda one: (str(one.created_at), one.recurring_run_id))

    def schedule(self, **fields: Any) -> str:
        """Make a recurring run of these fields of V2beta1RecurringRun; return its id."""
        with self._talk() as api:
            asked = api.V2beta1RecurringRun(**_with_parts(api, fields))
            made = api.RecurringRunServiceApi(self._client()).recurring_run_service_create_recurring_run(
                asked, _request_timeout=self._seconds
            )
        return self._id(made.recurring_run_id)

    def unschedule(self, schedule_id: str) -> None:
        """Remove a recurring run; the runs that it made stay."""
        with self._talk() as api:
            api.RecurringRunServiceApi(self._client()).recurring_run_service_delete_recurring_run(
                schedule_id, _request_timeout=self._seconds
            )

    def pipeline_named(self, name: str) -> str:
        """Return the id of a pipeline, "" where there is none."""
        with self._talk() as api:
            listed = api.PipelineServiceApi(self._client()).pipeline_service_list_pipelines(
                filter=_named(name), **self._where(), _request_timeout=self._seconds
            )
        return next((str(one.pipeline_id) for one in listed.pipelines or [] if one.display_name == name), "")

    def version_named(self, pipeline_id: str, name: str) -> str:
        """Return the id of a pipeline's version, "" where there is none."""
        with self._talk() as api:
            listed = api.PipelineServiceApi(self._client()).pipeline_service_list_pipeline_versions(
                pipeline_id, filter=_named(name), _request_timeout=self._seconds
            )
        found = listed.pipeline_versions or []
        return next((str(one.pipeline_version_id) for one in found if one.display_name == name), "")

    def upload(self, package: Path, *, pipeline: str) -> str:
        """Upload a compiled pipeline under a name that is not taken; return the pipeline's id."""
        with self._talk() as api:
            made = api.PipelineUploadServiceApi(self._client()).upload_pipeline(
                str(package), name=pipeline, **self._where(), _request_timeout=self._seconds
            )
        return self._id(made.pipeline_id)

    def upload_version(self, package: Path, *, pipeline_id: str, name: str) -> str:
        """Upload a compiled pipeline as one more version; return the version's id."""
        with self._talk() as api:
            made = api.PipelineUploadServiceApi(self._client()).upload_pipeline_version(
                str(package), name=name, pipelineid=pipeline_id, _request_timeout=self._seconds
            )
        return self._id(made.pipeline_version_id)

    def _id(self, found: Any) -> str:
        if not found:
            raise ServiceError(f"{self._said()}: the answer does not say what was made")
        return str(found)

    def _where(self) -> dict[str, str]:
        return {"namespace": self.access.namespace} if self.access.namespace else {}

    def _said(self) -> str:
        return f"{without_user_info(self.access.host)}: Kubeflow Pipelines"

    def _client(self) -> Any:
        if self._made is None:
            self._made = api_client(self.access)
        return self._made

    @contextmanager
    def _talk(self) -> Iterator[Any]:
        """Yield the generated client's module; whatever it lets through becomes one error that names the host."""
        try:
            import kfp_server_api
        except ImportError as error:
            raise SettingsError("kfp is not installed; pip install 'quillflow[pipeline]'") from error
        try:
            yield kfp_server_api
        except (ServiceError, SettingsError):
            raise
        except Exception as error:  # whatever the generated client and its HTTP library raise
            raise error_of(error, self.access, self._said()) from error


def _named(name: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})


def _with_parts(api: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields whose plain objects are the generated client's: it checks what it is given."""
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    if "parameters" in given:
        given["runtime_config"] = api.V2beta1RuntimeConfig(parameters=dict(given.pop("parameters")))
    if "version" in given:
        pipeline_id, version_id = given.pop("version")
        given["pipeline_version_reference"] = api.V2beta1PipelineVersionReference(
            pipeline_id=pipeline_id, pipeline_version_id=version_id
        )
    if "cron" in given:
        given["trigger"] = api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=given.pop("cron")))
    return given


def package_parts(package: Path) -> dict[str, Any]:
    """Return a compiled pipeline as the API takes it in a run's ``pipeline_spec``.

    Raises:
        SettingsError: it is none.
    """
    import yaml

    try:
        documents = [one for one in yaml.safe_load_all(package.read_text(encoding="utf-8")) if one]
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{package}: not a compiled pipeline ({error}); compile it first") from error
    if not documents or "root" not in documents[0]:
        raise SettingsError(f"{package}: not a compiled pipeline; write one with python -m pipelines compile")
    if len(documents) == 1:
        return dict(documents[0])
    return {"pipeline_spec": documents[0], "platform_spec": documents[1]}
