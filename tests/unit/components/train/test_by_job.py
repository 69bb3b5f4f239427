"""Training by a TrainJob: the same bundle out, one job an order, and none begun twice.

Kubernetes' API is the tests' own server. What the Trainer would do is done while the step sleeps: a job's pods run
the command of the runtime in this process, and the job's status is set; the CRD's schema checks job and status.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.train import __main__ as machine
from components.train.by_job import MOST_JOBS, SILENT_S, ByJob, JobPlace
from components.train.order import VARIABLE, Order, read_result, result_from, result_to
from components.train.recorded import train_recorded
from components.train.taught import teacher
from htr.bundle import Bundle
from htr.errors import ServiceError, SettingsError
from htr.lines import LinesDataset
from htr.train import train
from htr.versions import open_store
from k8s.cluster.api import Api
from k8s.cluster.trainjobs import QUEUE_LABEL, RUNTIME, TrainJobs
from tests.conftest import make_line
from tests.datasets import write_lines
from tests.kubernetes_api import KubernetesApi, kubernetes_api
from tests.manifests.schemas import CRDS, faults
from tests.servers import ROOT, ModelRegistry

SETTINGS = {"max_lines": 24.0, "seed": 3.0, "accelerator": "cpu"}  # numbers as KFP hands them over
FOLDER = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/quillflow/trainjobs"
GOLDEN = ROOT / "tests" / "golden" / "training-1"
pytestmark = pytest.mark.usefixtures("mlflow_alone")


class KilledError(BaseException):
    """The step's pod is gone."""


class Cluster:
    """Jobs in a Kubernetes API, and a Trainer that takes a turn whenever the step sleeps."""

    def __init__(self, api: KubernetesApi, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.api, self.folder, self._monkeypatch = api, folder, monkeypatch
        self.fails: set[str] = set()
        """Last part of the names of jobs that fail."""
        self.on_sleep: Callable[[], None] = lambda: None
        self.now = 0.0

    def jobs(self) -> dict[str, Any]:
        return {path.rpartition("/")[2]: one for path, one in self.api.objects.items() if path.startswith(FOLDER)}

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.on_sleep()
        for name, job in self.jobs().items():
            if not job.get("status"):
                self._run(name, job)

    def _run(self, name: str, job: dict[str, Any]) -> None:
        assert not CRDS.is_dir() or not faults(job_as_applied(job))
        environment = {one["name"]: one["value"] for one in job["spec"]["trainer"]["env"]}
        code = 1
        if name.rpartition("-")[2] not in self.fails:
            with self._monkeypatch.context() as here:
                for key, value in environment.items():
                    here.setenv(key, value)
                code = machine.main(["--work", str(self.folder / "machines")])
        kind, reason = ("Complete", "JobsCompleted") if code == 0 else ("Failed", "JobsFailed")
        time = "2026-11-21T12:00:00Z"
        said = {"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": time}
        job["status"] = {"conditions": [said]}
        assert not CRDS.is_dir() or not faults(job_as_applied(job))


def job_as_applied(job: dict[str, Any]) -> dict[str, Any]:
    """Return a job without what the API server itself adds."""
    ours = {key: value for key, value in job["metadata"].items() if key in {"name", "namespace", "labels"}}
    return {**job, "metadata": ours}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("QUILLFLOW_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("QUILLFLOW_CACHE", str(tmp_path / "cache"))
    with kubernetes_api() as api:
        yield Cluster(api, tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> LinesDataset:
    drawn = [make_line(("one", "one two")[n % 2], n, split="val" if n > 11 else "train") for n in range(16)]
    return write_lines(tmp_path_factory.mktemp("data") / "lines", drawn)


@pytest.fixture
def uri(cluster: Cluster, lines: LinesDataset) -> str:
    """Address of the lines in the store, as the ingest step hands it on."""
    return open_store().publish("lines", "merged", lines.path).uri


def by_job(cluster: Cluster, uri: str, **given: Any) -> ByJob:
    values = {"place": JobPlace(), "settings": {"max_lines": 24, "seed": 3, "accelerator": "cpu"}, **given}
    return ByJob(
        lines_uri=uri,
        api=Api(url=cluster.api.url, wait=lambda _: None),
        sleep=cluster.sleep,
        clock=lambda: cluster.now,
        **values,
    )


class Step:
    """The train step, as a pipeline calls it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "none").mkdir(parents=True)
        self.registry = ModelRegistry(folder / "mlflow")

    def run(self, lines: LinesDataset, teach: Any) -> str:
        return train_recorded(
            lines.path,
            self.folder / "none",
            self.folder / "challenger",
            self.folder / "curves",
            settings=SETTINGS,
            tracking_uri=self.registry.uri,
            git_commit="abc1234",
            work="",
            teach=teach,
        )


def test_a_trainjob_gives_the_bundle_the_curves_and_the_record_that_the_step_itself_would_give(
    cluster: Cluster, lines: LinesDataset, uri: str, tmp_path: Path
) -> None:
    here, there = Step(tmp_path / "here"), Step(tmp_path / "there")
    runs = [here.run(lines, train), there.run(lines, by_job(cluster, uri))]
    bundles = [Bundle.open(step.folder / "challenger") for step in (here, there)]
    assert bundles[0].digest == bundles[1].digest
    curves = [json.loads((step.folder / "curves").read_text()) for step in (here, there)]
    assert curves[0] == curves[1]
    recorded = [step.registry.client.get_run(run) for step, run in zip((here, there), runs, strict=True)]
    assert recorded[0].data.params == recorded[1].data.params
    assert recorded[0].data.metrics["val_cer"] == recorded[1].data.metrics["val_cer"]
    (job,) = cluster.jobs().values()
    assert job["spec"]["runtimeRef"]["name"] == RUNTIME
    assert (job["spec"]["trainer"]["numNodes"], job["spec"]["trainer"]["numProcPerNode"]) == (1, 1)


def test_a_tenants_job_works_in_the_tenants_part_of_the_store(
    cluster: Cluster, lines: LinesDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUILLFLOW_TENANT", "archive")
    teach(cluster, open_store().publish("lines", "merged", lines.path).uri, lines, tmp_path / "one")
    (job,) = cluster.jobs().values()
    assert {"name": "QUILLFLOW_TENANT", "value": "archive"} in job["spec"]["trainer"]["env"]
    assert {one.name for one in (tmp_path / "store").iterdir()} == {"archive"}


def test_killed_while_it_waits_the_step_finds_its_job_and_another_order_gets_another_name(
    cluster: Cluster, lines: LinesDataset, uri: str, tmp_path: Path
) -> None:
    def killed() -> None:
        raise KilledError

    cluster.on_sleep = killed
    with pytest.raises(KilledError):
        teach(cluster, uri, lines, tmp_path / "one")
    cluster.on_sleep = lambda: None
    teach(cluster, uri, lines, tmp_path / "two")
    assert cluster.api.writes == [("POST", f"{FOLDER}/{name}") for name in cluster.jobs()]
    assert len(cluster.jobs()) == 1
    teach(cluster, uri, lines, tmp_path / "three")
    assert len(cluster.jobs()) == 1, "the result is there"
    teach(cluster, uri, lines, tmp_path / "four", settings={"max_lines": 12, "seed": 4, "accelerator": "cpu"})
    assert len(cluster.jobs()) == 2, "a second TrainJob is no longer refused"


@pytest.mark.parametrize("fault", ["lost", "error", "conflict"])
def test_a_start_whose_answer_is_lost_begins_one_job(
    cluster: Cluster, lines: LinesDataset, uri: str, tmp_path: Path, fault: str
) -> None:
    cluster.api.faults, cluster.fails = [("POST", fault)], {"1"}  # type: ignore[list-item]
    with pytest.raises(ServiceError, match="JobsFailed"):
        teach(cluster, uri, lines, tmp_path / "one")
    assert not cluster.api.faults
    assert len(cluster.api.writes) == len(cluster.jobs()) == 1


def test_a_job_that_failed_is_told_and_the_next_try_begins_another_until_enough_have_failed(
    cluster: Cluster, lines: LinesDataset, uri: str, tmp_path: Path
) -> None:
    cluster.fails = {"1"}
    with pytest.raises(ServiceError, match=r"quillflow-training-\w{16}-1 failed \(JobsFailed\)"):
        teach(cluster, uri, lines, tmp_path / "one")
    teach(cluster, uri, lines, tmp_path / "one")
    assert [name.rpartition("-")[2] for name in cluster.jobs()] == ["1", "2"]
    cluster.fails = {str(number) for number in range(1, MOST_JOBS + 1)}
    other = {"max_lines": 12, "seed": 9, "accelerator": "cpu"}
    for _ in range(MOST_JOBS):
        with pytest.raises(ServiceError, match="its pods' logs say why"):
            teach(cluster, uri, lines, tmp_path / "other", settings=other)
    with pytest.raises(ServiceError, match="5 TrainJobs of this training have failed"):
        teach(cluster, uri, lines, tmp_path / "other", settings=other)


def test_kubernetes_may_be_away_while_a_job_is_waited_for_but_not_for_ever(
    cluster: Cluster, lines: LinesDataset, uri: str, tmp_path: Path
) -> None:
    turns = []

    def away() -> None:
        turns.append(cluster.now)
        cluster.api.faults = [("GET", "refused")] if len(turns) < 4 else []

    cluster.on_sleep, cluster.fails = away, {"1"}
    with pytest.raises(ServiceError, match="JobsFailed"):  # of the job, not of the API
        teach(cluster, uri, lines, tmp_path / "one")
    assert len(turns) >= 4

    def gone() -> None:
        cluster.api.faults = [("GET", "refused")] * 2

    cluster.on_sleep, before = gone, cluster.now
    with pytest.raises(ServiceError, match="422"):
        teach(cluster, uri, lines, tmp_path / "two", settings={"max_lines": 12, "seed": 5, "accelerator": "cpu"})
    assert cluster.now - before > SILENT_S


def test_a_machine_that_finds_the_result_does_nothing_and_a_lost_result_is_made_again(
    cluster: Cluster, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order = Order(lines=uri, base="", settings={"max_lines": 12, "accelerator": "cpu"}, git_commit="abc")
    monkeypatch.setenv(VARIABLE, order.to_json())
    command = ["--work", str(tmp_path / "machines")]
    assert machine.main(command) == 0
    first = read_result(open_store().uri, order.key)
    assert first is not None
    capsys.readouterr()
    assert machine.main(command) == 0
    assert capsys.readouterr().out == f"{order.key}: trained already\n"
    (tmp_path / "store" / "checkpoints" / f"trained-{order.key}" / "newest.json").unlink()  # killed before it
    assert machine.main(command) == 0
    again = read_result(open_store().uri, order.key)
    assert again is not None
    assert again.bundle == first.bundle


@pytest.mark.parametrize("text", ["", "{}", '{"format_version": 2}', '{"format_version": 1, "lines": "x"}', "[]"])
def test_a_machine_without_a_proper_order_says_so(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, text)
    assert machine.main(["--work", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {VARIABLE}")


def test_what_a_job_is_told_names_machines_queue_and_runtime(cluster: Cluster) -> None:
    jobs = TrainJobs(api=Api(url=cluster.api.url, wait=lambda _: None))
    jobs.start("one", runtime="ours", machines=4, processes=2, env={"A": "b"}, queue="quillflow")
    (job,) = cluster.jobs().values()
    assert job["metadata"]["labels"][QUEUE_LABEL] == "quillflow"
    assert job["spec"]["trainer"] == {"numNodes": 4, "numProcPerNode": 2, "env": [{"name": "A", "value": "b"}]}
    if CRDS.is_dir():
        assert not faults(job_as_applied(job))
        job["spec"]["trainer"]["numMachines"] = 4
        assert faults(job_as_applied(job)), "a misspelt field is caught"


def test_where_a_training_runs_is_one_text_and_nonsense_is_refused(cluster: Cluster, uri: str) -> None:
    assert teacher("", lines_uri="", settings={}) is train
    assert JobPlace.parse("trainjob@quillflow") == JobPlace(queue="quillflow")
    assert JobPlace.parse("trainjob:other/big@q") == JobPlace(namespace="other", runtime="big", queue="q")
    for text in ("job", "trainjob:", "trainjob:other", "trainjob:a/b/c", "trainjob@", "trainjob:/b"):
        with pytest.raises(SettingsError, match="expected trainjob"):
            JobPlace.parse(text)


def test_lines_that_lie_in_no_store_cannot_be_trained_on_elsewhere(
    cluster: Cluster, lines: LinesDataset, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="set QUILLFLOW_STORE in the steps"):
        teach(cluster, "", lines, tmp_path / "one")
    assert not cluster.api.asked


def test_the_golden_order_and_result_are_read_and_written_back_as_they_are() -> None:
    text = (GOLDEN / "order.json").read_text(encoding="utf-8").strip()
    assert Order.from_json(text).to_json() == text
    assert Order.from_json(text).key == "167ac56c8c595303"
    found = (GOLDEN / "result.json").read_text(encoding="utf-8").strip()
    assert result_to(result_from(found)) == found


def teach(cluster: Cluster, uri: str, lines: LinesDataset, out: Path, **given: Any) -> None:
    from htr.settings import training_config

    made = by_job(cluster, uri, **given)
    config = training_config(dict(made.settings))
    result = made(lines, out, config, work=out, base=None, git_commit="abc1234", on_progress=lambda _: None)
    assert result.bundle.dataset_digest == lines.digest
