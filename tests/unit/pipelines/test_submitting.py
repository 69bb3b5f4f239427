"""Runs and schedules over HTTP, on a server that takes only what kfp's generated models know."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from htr.errors import ServiceError, SettingsError
from monitoring.governor.kfp_runs import KfpRuns
from monitoring.governor.runs import RefusedError
from monitoring.kubeflow import KfpServer
from monitoring.kubeflow_access import Access
from pipelines import submitting
from pipelines.__main__ import main
from pipelines.scheduling import schedule, six_fields, unschedule
from pipelines.site import Site
from pipelines.submitting import Submitted, submit
from pipelines.watching import Watch
from tests.fakes import NOON
from tests.golden_pipelines import SITE, package
from tests.kfp_api import KfpApi, kfp_api

pytestmark = pytest.mark.untraced

ARGUMENTS = {"lines": "/data/lines", "margin": 0.02}
RIGHT = "right"
SITE_NAMED = Site(experiment="quillflow")


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile once for all tests; that submit compiles at all is for the command's own test."""
    monkeypatch.setattr(submitting, "compiled", lambda pipeline, site, contents: package(pipeline))
    for name in ("QUILLFLOW_KFP_TOKEN", "QUILLFLOW_KFP_COOKIE", "QUILLFLOW_KFP_TOKEN_FILE", "QUILLFLOW_SITE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def api() -> Iterator[KfpApi]:
    with kfp_api() as served:
        yield served


def server(api: KfpApi, **access: Any) -> KfpServer:
    # Short only where an answer will never come: a busy machine takes longer than that for one that will.
    return KfpServer(Access(host=api.url, timeout_s=1.5 if api.lose_answers else 30, **access))


def submitted(api: KfpApi, *, again: bool = False, commit: str = "0123abc", **arguments: Any) -> Submitted:
    return submit(
        server(api),
        SITE_NAMED,
        pipeline="training",
        arguments={**ARGUMENTS, **arguments},
        commit=commit,
        again=again,
        sleep=lambda seconds: None,
    )


def test_a_run_is_of_an_uploaded_version_named_by_its_commit(api: KfpApi) -> None:
    run = submitted(api)
    (made,), (version,), (pipeline,) = api.runs, api.versions[1:], api.pipelines
    assert pipeline["display_name"] == "quillflow-training"
    assert version["display_name"].startswith("0123abc-")
    assert made["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]
    assert made["runtime_config"]["parameters"] == {**ARGUMENTS, "git_commit": "0123abc"}
    assert run == Submitted(
        run_id="run-1", name=made["display_name"], link=f"{api.url}/#/runs/details/run-1", found=False
    )
    assert "0123abc" in run.name


def test_the_same_asked_for_twice_is_one_run(api: KfpApi) -> None:
    first, second = submitted(api), submitted(api)
    assert (first.run_id, first.found, second.run_id, second.found) == ("run-1", False, "run-1", True)
    api.end("SUCCEEDED")
    assert submitted(api).found
    assert len(api.runs) == 1
    assert len(api.versions) == 2


def test_other_arguments_or_another_commit_are_another_run(api: KfpApi) -> None:
    names = {submitted(api).name, submitted(api, margin=0.03).name, submitted(api, commit="4567def").name}
    assert len(names) == len(api.runs) == 3


def test_what_failed_or_is_wanted_again_is_run_under_the_next_name(api: KfpApi) -> None:
    first = submitted(api)
    api.end("FAILED")
    second = submitted(api)
    assert (second.run_id, second.name) == ("run-2", first.name + "-2")
    assert submitted(api).run_id == "run-2"
    assert submitted(api, again=True).name == first.name + "-3"
    assert len(api.runs) == 3


@pytest.mark.parametrize("trouble", ["lose_answers", "cut_answers"])
def test_a_lost_answer_makes_no_second_run(api: KfpApi, trouble: str) -> None:
    setattr(api, trouble, 1)
    run = submitted(api)
    assert run.run_id == "run-1"
    assert submitted(api).found
    assert submitted(api, again=True).run_id == "run-2"
    assert len(api.runs) == 2


@pytest.mark.parametrize("trouble", ["lose_answers", "cut_answers"])
def test_a_lost_answer_makes_no_second_schedule(api: KfpApi, trouble: str) -> None:
    setattr(api, trouble, 1)
    assert scheduled(api)[1] == "made"
    assert scheduled(api)[1] == "unchanged"
    assert len(api.schedules) == 1


@pytest.mark.parametrize(
    ("status", "refused", "told"),
    [
        (401, True, "give a token"),
        (403, True, "lacks rights"),
        (400, True, "quota exceeded"),
        (409, False, "quota exceeded"),
        (429, False, "quota exceeded"),
        (500, False, "quota exceeded"),
        (503, False, "not confirmed"),
    ],
)
def test_a_refusal_says_what_to_do_and_makes_no_run(api: KfpApi, status: int, refused: bool, told: str) -> None:
    api.refuse_with = status
    with pytest.raises(ServiceError, match=told) as caught:
        submitted(api)
    assert isinstance(caught.value, RefusedError) == refused
    assert "\n" not in str(caught.value)
    assert api.runs == []
    api.refuse_with = 0
    assert submitted(api).run_id == "run-1"
    assert len(api.runs) == 1


def test_whoever_asks_shows_a_token_of_the_environment_a_file_or_a_cookie(api: KfpApi, tmp_path: Path) -> None:
    api.token = RIGHT
    with pytest.raises(RefusedError, match="give a token"):
        server(api).run_named("x")
    assert server(api, token=RIGHT).run_named("x") is None
    file = tmp_path / "token"
    file.write_text("wrong\n")
    projected = KfpServer(Access.of(api.url, environ={"KF_PIPELINES_SA_TOKEN_PATH": str(file)}))
    with pytest.raises(RefusedError):
        projected.run_named("x")
    file.write_text(RIGHT)  # Kubernetes replaces it every hour
    assert projected.run_named("x") is None
    file.unlink()
    with pytest.raises(SettingsError, match="token cannot be read"):
        projected.run_named("x")
    api.token, api.cookie = "", "authservice_session=abc"
    dex = Access.of(
        api.url, environ={"QUILLFLOW_KFP_COOKIE": "authservice_session=abc", "QUILLFLOW_KFP_TOKEN": "t"}
    )
    assert KfpServer(dex).run_named("x") is None
    assert "abc" not in repr(dex)
    api.login_page = True
    with pytest.raises(RefusedError, match="login page"):
        KfpServer(dex).run_named("x")


def test_the_governors_runs_carry_the_same_token(
    api: KfpApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p.yaml").write_text(package("training").text)
    api.token = RIGHT
    monkeypatch.setenv("QUILLFLOW_KFP_TOKEN", RIGHT)
    runs = KfpRuns(host=api.url, package=tmp_path / "p.yaml")
    assert runs.start("k", {"lines": "/d"}) == "run-1"
    assert runs.find("k") is not None


def scheduled(api: KfpApi, cron: str = "30 3 * * 1", **arguments: Any) -> tuple[str, str]:
    made = schedule(
        server(api),
        SITE_NAMED,
        pipeline="training",
        arguments={**ARGUMENTS, **arguments},
        commit="0123abc",
        cron=cron,
        name="weekly",
        sleep=lambda seconds: None,
    )
    return made.schedule_id, made.done


def test_a_schedule_given_twice_is_one_and_changed_it_is_replaced(api: KfpApi) -> None:
    assert scheduled(api) == ("recurring-run-1", "made")
    assert scheduled(api) == ("recurring-run-1", "unchanged")
    (made,) = api.schedules
    assert made["trigger"] == {"cron_schedule": {"cron": "0 30 3 * * 1"}}
    assert (made["max_concurrency"], made["no_catchup"], made["mode"]) == ("1", True, "ENABLE")
    assert scheduled(api, "0 4 * * *")[1] == "replaced"
    assert scheduled(api, "0 4 * * *", margin=0.5)[1] == "replaced"
    made = api.schedules[0]
    assert len(api.schedules) == 1
    made["status"] = "DISABLED"
    assert scheduled(api, "0 4 * * *", margin=0.5)[1] == "paused"
    api.schedules.append({**made, "recurring_run_id": "recurring-run-9", "created_at": "2030-01-01T00:00:00Z"})
    assert scheduled(api, "0 4 * * *", margin=0.5)[1] == "paused"
    assert len(api.schedules) == 1
    assert unschedule(server(api), "weekly") == 1
    assert unschedule(server(api), "weekly") == 0
    assert api.schedules == []


@pytest.mark.parametrize("cron", ["", "1 2 3", "a b c d e", "* * * * * * *", "0 3 * * 1; x"])
def test_times_that_cannot_be_read_are_shown(cron: str) -> None:
    with pytest.raises(SettingsError, match="--cron"):
        six_fields(cron)


def task(name: str, state: str, **more: Any) -> dict[str, Any]:
    start = NOON.isoformat()
    ended = {"end_time": (NOON + timedelta(seconds=65)).isoformat()} if state in ("SUCCEEDED", "FAILED") else {}
    return {"display_name": name, "state": state, "start_time": start, **ended, **more}


def test_waiting_tells_each_step_once_and_outlives_a_server_that_is_away(api: KfpApi) -> None:
    run = submitted(api)
    looks = iter(
        [
            [task("root", "RUNNING"), task("ingest-driver", "SUCCEEDED"), task("ingest", "RUNNING")],
            [task("ingest", "SUCCEEDED"), task("validate", "RUNNING")],
            [
                task("ingest", "SUCCEEDED"),
                task("validate", "FAILED", error={"code": 2, "message": "12 bad lines"}),
            ],
        ]
    )

    def look(made: dict[str, Any]) -> None:
        tasks = next(looks)
        made["run_details"] = {"task_details": tasks}
        if any(one["state"] == "FAILED" for one in tasks):
            made |= {"state": "FAILED", "finished_at": (NOON + timedelta(seconds=126)).isoformat()}

    api.on_look = look
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        api.refuse_all_with = 503 if len(pauses) == 1 else 0  # away for one look

    told: list[str] = []
    watch = Watch(server=server(api), show=told.append, sleep=sleep, now=lambda: 10.0 * len(pauses))
    assert watch.to_the_end(run.run_id) is False
    assert told == [
        "0:00  ingest       running",
        "0:00  run running",
        "0:20  ingest       succeeded in 1:05",
        "0:20  validate     running",
        "0:30  validate     failed in 1:05: 12 bad lines",
        "run run-1 failed in 2:05",
    ]


def test_a_server_that_stays_away_is_given_up_and_a_refusal_at_once(api: KfpApi) -> None:
    run, ticks = submitted(api), iter(range(0, 100_000, 100))
    watch = Watch(server=server(api), show=lambda line: None, sleep=lambda s: None, now=lambda: float(next(ticks)))
    api.refuse_all_with = 502
    with pytest.raises(ServiceError, match="silent for"):
        watch.to_the_end(run.run_id)
    api.refuse_all_with = 401
    with pytest.raises(RefusedError, match="give a token"):
        watch.to_the_end(run.run_id)


def test_the_commands_submit_wait_schedule_and_remove(
    api: KfpApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # compiles for real
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", api.url)
    common = ["--site", str(SITE), "--host", api.url, "-p", "lines=/data/lines"]
    api.on_look = lambda run: run.update(state="SUCCEEDED")
    assert main(["submit", *common, "--wait", "--every", "0.1"]) == 0
    assert "run run-1 succeeded" in capsys.readouterr().out
    (made,) = api.runs
    assert made["service_account"] == "quillflow-pipeline"
    assert api.experiments[0]["namespace"] == "quillflow"
    assert "platform_spec" in api.versions[-1]["pipeline_spec"]
    assert main(["submit", *common]) == 0
    assert "was there already" in capsys.readouterr().out
    made["state"] = "FAILED"
    api.on_look = lambda run: run.update(state="FAILED")
    assert main(["submit", *common, "--wait", "--every", "0.1"]) == 1
    for told in ("made", "unchanged"):
        assert main(["schedule", *common, "--cron", "30 3 * * 1"]) == 0
        assert told in capsys.readouterr().out
    assert main(["schedule", "--host", api.url, "--remove"]) == 0
    assert "removed 1" in capsys.readouterr().out
    assert len(api.runs) == 2
    assert json.dumps(api.runs).count("governor") == 0  # the compiled default holds
