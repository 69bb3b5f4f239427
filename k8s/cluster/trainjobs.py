"""TrainJobs of Kubeflow Trainer v2: begun once by name, and asked how they stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from htr.errors import ServiceError
from k8s.cluster.api import Api, NotThereError, Object, path_of
from k8s.cluster.release import NAMESPACE

TRAINJOB = "trainer.kubeflow.org/v1alpha1 trainjobs"
RUNTIME = "quillflow-torch-distributed"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_MANAGER = "quillflow-training"
Phase = Literal["none", "waiting", "running", "complete", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class JobState:
    """How a job stands."""

    phase: Phase
    """``waiting``: it has no pods yet, in a queue or suspended by somebody."""
    said: str = ""
    """What the controller says about it."""


@dataclass(frozen=True, kw_only=True)
class TrainJobs:
    """The TrainJobs of one namespace."""

    api: Api
    namespace: str = NAMESPACE

    def state(self, name: str) -> JobState:
        """Return how a job stands; ``none`` where there is no such job.

        Raises:
            ServiceError: the API is away or refuses.
        """
        try:
            found = self.api.get(path_of(TRAINJOB, self.namespace, name))
        except NotThereError:
            return JobState(phase="none")
        status = found.get("status") or {}
        holds = {one["type"]: one for one in status.get("conditions") or [] if one.get("status") == "True"}
        for kind, phase in (("Failed", "failed"), ("Complete", "complete"), ("Suspended", "waiting")):
            if kind in holds:
                said = f"{holds[kind].get('reason', '')}: {holds[kind].get('message', '')}".strip(": ")
                return JobState(phase=phase, said=said)  # type: ignore[arg-type]
        jobs = status.get("jobsStatus") or []
        active = sum(int(one.get("active", 0)) for one in jobs)
        return JobState(phase="running" if active else "waiting", said=f"{active} pods" * bool(active))

    def start(
        self, name: str, *, runtime: str, machines: int, processes: int, env: Mapping[str, str], queue: str = ""
    ) -> None:
        """Begin a job; where there is one of this name, that one goes on. Safe to repeat.

        Args:
            name: of the job; whoever asks for the same chooses the same.
            runtime: ClusterTrainingRuntime.
            machines: how many nodes.
            processes: on each.
            env: of the training's container, beside what the runtime has.
            queue: Kueue's LocalQueue, "" for none.

        Raises:
            ServiceError: the API is away or refuses, or has no TrainJobs.
        """
        job: Object = {
            "apiVersion": TRAINJOB.partition(" ")[0],
            "kind": "TrainJob",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": {"app.kubernetes.io/part-of": "quillflow", **({QUEUE_LABEL: queue} if queue else {})},
            },
            "spec": {
                "runtimeRef": {
                    "apiGroup": "trainer.kubeflow.org",
                    "kind": "ClusterTrainingRuntime",
                    "name": runtime,
                },
                "trainer": {
                    "numNodes": machines,
                    "numProcPerNode": processes,
                    "env": [{"name": key, "value": value} for key, value in env.items()],
                },
            },
        }
        try:
            self.api.create(path_of(TRAINJOB, self.namespace), job, manager=_MANAGER)
        except NotThereError as error:
            raise ServiceError(f"{error}; is Kubeflow Trainer v2 installed? (k8s/components/trainjob)") from error
