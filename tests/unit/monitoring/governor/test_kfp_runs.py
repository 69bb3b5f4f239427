from pathlib import Path

import pytest
from kfp import compiler, dsl

from htr.errors import ServiceError
from monitoring.governor.events import Wish
from monitoring.governor.kfp_runs import KfpRuns
from monitoring.governor.runs import RefusedError
from tests.governor import SetLabels, SetRegistry, WorldClock, alert, make_governor
from tests.kfp_api import KfpApi, kfp_api

pytestmark = pytest.mark.filterwarnings("ignore:This client only works:FutureWarning")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    @dsl.component(base_image="python:3.11-slim", install_kfp_package=False)
    def note(lines: str, corrections: str, epochs: int, asked_by: str) -> str:
        return f"{lines} {corrections} {epochs} {asked_by}"

    @dsl.pipeline(name="training")
    def training(lines: str, corrections: str = "", epochs: int = 3, asked_by: str = "") -> None:
        note(lines=lines, corrections=corrections, epochs=epochs, asked_by=asked_by)

    path = tmp_path_factory.mktemp("package") / "training.yaml"
    compiler.Compiler().compile(training, str(path))
    return path


def runs_at(api: KfpApi, package: Path) -> KfpRuns:
    return KfpRuns(host=api.url, package=package, timeout_s=0.5)


def test_a_run_is_started_under_its_key_with_typed_parameters_and_found_again(package: Path) -> None:
    with kfp_api() as api:
        runs = runs_at(api, package)
        assert runs.find("abc-1") is None
        assert runs.start("abc-1", {"lines": "s3://b/7", "epochs": "10"}) == "run-1"
        found = runs_at(api, package).find("abc-1")
        assert found is not None
        assert (found.run_id, found.state) == ("run-1", "running")
        assert runs.find("abc-2") is None
        api.end("SUCCEEDED")
        assert (ended := runs.find("abc-1")) is not None
        assert (ended.state, ended.promoted) == ("succeeded", None)
    (made,) = api.runs
    assert made["display_name"] == "quillflow-retrain-abc-1"
    assert made["runtime_config"]["parameters"] == {"lines": "s3://b/7", "epochs": 10}


def test_a_run_belongs_to_the_profile_and_its_steps_run_as_the_account_that_may_deploy(package: Path) -> None:
    with kfp_api() as api:
        runs = KfpRuns(
            host=api.url,
            package=package,
            timeout_s=0.5,
            namespace="quillflow",
            service_account="quillflow-pipeline",
        )
        runs.start("abc-1", {"lines": "x"})
        (made,) = api.runs
        assert made["service_account"] == "quillflow-pipeline"
        (experiment,) = api.experiments
        assert experiment["namespace"] == "quillflow"
        assert runs.find("abc-1") is not None


def test_an_answer_that_never_comes_is_given_up_and_the_run_is_there_all_the_same(package: Path) -> None:
    with kfp_api() as api:
        api.lose_answers = 1
        with pytest.raises(ServiceError, match="Kubeflow Pipelines") as caught:
            runs_at(api, package).start("abc-1", {"lines": "x"})
        assert not isinstance(caught.value, RefusedError)
        assert (found := runs_at(api, package).find("abc-1")) is not None
        assert found.run_id == "run-1"


def test_of_two_runs_of_one_name_the_older_is_kept_and_the_other_terminated(package: Path) -> None:
    with kfp_api() as api:
        runs = runs_at(api, package)
        for _ in range(2):
            runs.start("abc-1", {"lines": "x"})
        api.runs.reverse()
        assert (found := runs.find("abc-1")) is not None
        assert found.run_id == "run-1"
        assert {run["run_id"]: run["state"] for run in api.runs} == {"run-1": "RUNNING", "run-2": "CANCELED"}


@pytest.mark.parametrize(("status", "for_good"), [(400, True), (403, True), (429, False), (503, False)])
def test_a_refusal_is_for_good_where_asking_again_would_not_help(
    package: Path, status: int, for_good: bool
) -> None:
    with kfp_api() as api:
        api.refuse_with = status
        with pytest.raises(ServiceError, match="quota exceeded") as caught:
            runs_at(api, package).start("abc-1", {"lines": "x"})
    assert isinstance(caught.value, RefusedError) == for_good


def test_an_api_that_is_not_there_is_named(package: Path) -> None:
    with pytest.raises(ServiceError, match=r"http://127.0.0.1:9: Kubeflow Pipelines"):
        KfpRuns(host="http://127.0.0.1:9", package=package).find("abc-1")


def test_a_thousand_alerts_on_an_api_that_loses_its_answer_make_exactly_one_run(
    package: Path, tmp_path: Path
) -> None:
    clock, labels = WorldClock(), SetLabels(200)
    with kfp_api() as api:
        api.lose_answers = 1
        parts = {"labels": labels, "registry": SetRegistry(), "arguments": {"lines": "x"}}
        for start in range(0, 1000, 250):  # and each part of them to another process
            governor = make_governor(tmp_path, runs_at(api, package), clock=clock, **parts)
            governor.turn()
            for number in range(start, start + 250):
                governor.take(alert(f"e{number % 3}"))
            governor.take(Wish(id="the same"))
            for _ in range(3):
                clock.pass_by(30.0)
                governor.turn()
        assert governor.state.run is not None
        assert governor.state.run.run_id == "run-1"
        key = governor.state.run.key
    assert len(api.runs) == 1
    given = api.runs[0]["runtime_config"]["parameters"]
    assert given == {"lines": "x", "corrections": "corrected", "asked_by": key}
