"""A training by a TrainJob instead of by the step itself: begun once, waited for, its bundle fetched.

The step puts nothing into the job but an order, and takes nothing from it but what lies in the store. Killed
anywhere and run again, with the same inputs, it finds the job that it began, or the result. A job that failed is
begun anew under the next name by whoever asks again.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.progress import say
from components.train.order import VARIABLE, Order, Result, read_result
from htr.bundle import Bundle
from htr.errors import BundleError, ServiceError, SettingsError
from htr.lines import LinesDataset
from htr.tenants import VARIABLE as TENANT
from htr.tenants import Tenant
from htr.train import Progress, TrainResult
from htr.train_config import TrainConfig
from htr.versions import VersionStore, open_store
from k8s.cluster.api import Api
from k8s.cluster.release import NAMESPACE
from k8s.cluster.trainjobs import RUNTIME, JobState, TrainJobs

BASE = "training-base"
"""What the newest bundle that such a training started from goes by in the store."""
MOST_JOBS = 5
"""Of one order; when so many have failed, another one would, too."""
SILENT_S = 1800.0
"""So long may Kubernetes, or the store, be away while a job is waited for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobPlace:
    """Where a training runs, as the pipeline's parameter ``trainer`` names it."""

    namespace: str = NAMESPACE
    runtime: str = RUNTIME
    queue: str = ""

    @classmethod
    def parse(cls, text: str) -> "JobPlace | None":
        """Read ``trainjob[:NAMESPACE/RUNTIME][@QUEUE]``; None for "": the step trains by itself.

        Raises:
            SettingsError: it is none.
        """
        if not text:
            return None
        where, at, queue = text.partition("@")
        kind, colon, rest = where.partition(":")
        namespace, slash, runtime = rest.partition("/")
        is_whole = bool(slash and namespace and runtime and "/" not in runtime) if colon else not rest
        if kind != "trainjob" or not is_whole or (at and not queue):
            raise SettingsError(
                f"trainer={text}: expected trainjob, with :NAMESPACE/RUNTIME and @QUEUE if you like"
            )
        return cls(namespace=namespace or NAMESPACE, runtime=runtime or RUNTIME, queue=queue)


@dataclass(frozen=True, kw_only=True)
class ByJob:
    """Trains as `htr.train.train` does, elsewhere."""

    place: JobPlace
    lines_uri: str
    """Address of the lines' version in a store: the job's machines see nothing else of them."""
    settings: Mapping[str, Any]
    api: Api
    sleep: Callable[[float], None] = field(default=time.sleep)
    clock: Callable[[], float] = field(default=time.monotonic)
    every_s: float = 15.0

    def __call__(
        self,
        dataset: LinesDataset,
        out: Path,
        config: TrainConfig,
        *,
        work: Path,
        base: Bundle | None,
        git_commit: str,
        on_progress: Callable[[Progress], None],
    ) -> TrainResult:
        """Have it trained, and fetch the bundle. The work folder is the job's own.

        Raises:
            SettingsError: the lines lie in no store, or none is named.
            ServiceError: the job failed, or Kubernetes or the store has been away for too long.
            BundleError: the bundle is not of these lines.
        """
        if not self.lines_uri:
            raise SettingsError(
                "a TrainJob takes its lines from a store of versions: set QUILLFLOW_STORE in the steps"
            )
        store = open_store()
        base_uri = store.publish("bundle", BASE, base.path).uri if base is not None else ""
        order = Order(lines=self.lines_uri, base=base_uri, settings=dict(self.settings), git_commit=git_commit)
        result = read_result(store.uri, order.key) or self._awaited(store, order, config)
        bundle = Bundle.open(store.fetch("bundle", result.bundle.rpartition("/")[2], out))
        if bundle.dataset_digest != dataset.digest:
            raise BundleError(
                f"{result.bundle}: trained on {bundle.dataset_digest}, ordered were {dataset.digest}"
            )
        for epoch in result.curves:
            metrics = {name: value for name, value in epoch.items() if name != "epoch"}
            on_progress(Progress(stage="elsewhere", done=0, total=0, epoch=int(epoch["epoch"]), metrics=metrics))
        return TrainResult(
            bundle=bundle,
            epochs=result.epochs,
            validation_cer=result.validation_cer,
            lines=result.lines,
            resumed_at_epoch=result.resumed_at_epoch,
            loader_share=result.loader_share,
            train_ids=result.train_ids,
            excluded=result.excluded,
        )

    def _awaited(self, store: VersionStore, order: Order, config: TrainConfig) -> Result:
        jobs = TrainJobs(api=self.api, namespace=self.place.namespace)
        name = self._name(jobs, order)
        heard, told = self.clock(), ""
        while True:
            try:
                state = jobs.state(name)
                if state.phase == "none":
                    self._start(jobs, name, order, config)
                elif state.phase == "complete":
                    return self._result(store, order, name)
                heard = self.clock()
            except ServiceError as error:  # the job goes on without us
                if self.clock() - heard > SILENT_S:
                    raise
                state = JobState(phase="waiting", said=str(error))
            if state.phase == "failed":
                raise ServiceError(
                    f"TrainJob {self.place.namespace}/{name} failed ({state.said}); its pods' logs say why. "
                    "Run again, it begins another"
                )
            if (now := f"{state.phase} {state.said}".strip()) != told and state.phase != "none":
                say(f"train: TrainJob {name}: {now}")
                told = now
            self.sleep(self.every_s)

    def _name(self, jobs: TrainJobs, order: Order) -> str:
        """Return the name of the job to wait for: the first of this order's that has not failed."""
        for number in range(1, MOST_JOBS + 1):
            name = f"quillflow-training-{order.key}-{number}"
            # One that is complete and left no result (it was expired in the store) is of no use either.
            if jobs.state(name).phase not in {"failed", "complete"}:
                return name
        raise ServiceError(
            f"{MOST_JOBS} TrainJobs of this training have failed: mend what their pods' logs say, and remove "
            f"quillflow-training-{order.key}-1 to -{MOST_JOBS}"
        )

    def _start(self, jobs: TrainJobs, name: str, order: Order, config: TrainConfig) -> None:
        machines = f"{config.machines} machine" + "s" * (config.machines != 1)
        say(f"train: TrainJob {name} on {machines} by {self.place.runtime}")
        jobs.start(
            name,
            runtime=self.place.runtime,
            machines=config.machines,
            processes=config.devices,
            env={VARIABLE: order.to_json(), TENANT: Tenant.of().name},
            queue=self.place.queue,
        )

    @staticmethod
    def _result(store: VersionStore, order: Order, name: str) -> Result:
        if (result := read_result(store.uri, order.key)) is None:
            raise SettingsError(
                f"TrainJob {name} is complete and left no result in {store.uri}: do its pods have the same "
                "QUILLFLOW_STORE?"
            )
        return result
