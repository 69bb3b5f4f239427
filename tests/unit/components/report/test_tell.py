"""A run's end reaches the governor: from the step, from the exit handler of a run that fails early, from here."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kfp import local

from components.report.tell import ALERT, Ending, tell
from htr.errors import ServiceError
from monitoring.governor.events import Alert
from monitoring.governor.governor import Governor
from monitoring.governor.journal import read_journal
from monitoring.governor.receiver import make_server
from monitoring.governor.service import Service
from pipelines.__main__ import main
from pipelines.children import PROJECT
from pipelines.reported import reported
from pipelines.site import Site
from pipelines.training import training_on
from tests.governor import FolderCluster, make_governor
from tests.servers import wait_until

TOKEN = "secret"  # noqa: S105 - of a test
FAILED = Ending(pipeline="p", run_id="r1", state="FAILED", said="ingest:\n no lines")


class Told:
    """A governor behind its real server, and how often it was woken."""

    def __init__(self, folder: Path, token: str | None) -> None:
        self.folder = folder
        self.governor: Governor = make_governor(folder, FolderCluster(folder / "cluster"))
        self.woken = 0
        service = Service(governor=self.governor, metrics=lambda: b"", token=token, wake=self._wake)
        self.server = make_server(service, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def _wake(self) -> None:
        self.woken += 1

    def alerts(self) -> list[Alert]:
        events = [record.event for record in read_journal(self.folder)]
        return [event for event in events if isinstance(event, Alert)]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    served = Told(tmp_path / "governor", TOKEN)
    yield served
    served.server.shutdown()
    served.server.server_close()


def test_a_failure_is_written_down_once_begins_no_training_and_wakes_the_governor(told: Told) -> None:
    for _ in range(2):  # the step is retried
        assert "told the governor" in tell(FAILED, governor=told.url, token=TOKEN)
    (alert,) = told.alerts()
    assert (alert.name, alert.firing, alert.summary) == (ALERT, True, "p: run r1 failed: ingest: no lines")
    wait_until(lambda: told.woken == 2)  # after the answer has left
    assert told.governor.state.run is None
    assert told.governor.state.concerns == {}


def test_a_success_is_a_hint_to_ask_the_registry(told: Told) -> None:
    good = Ending(pipeline="p", run_id="r1", state="SUCCEEDED")
    assert "told the governor" in tell(good, governor=told.url, token=TOKEN)
    assert told.alerts() == []
    wait_until(lambda: told.woken == 1)


def test_a_failure_that_cannot_be_told_fails_the_step_and_a_success_does_not(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in (
        told.url,
        "http://127.0.0.1:9",
        "governor:8090",
    ):  # without the token, nobody there, no address
        with pytest.raises(ServiceError, match="could not be told"):
            tell(FAILED, governor=address, token="")
        assert "could not be told" in tell(
            Ending(pipeline="p", run_id="r1", state="SUCCEEDED"), governor=address, token=""
        )
    monkeypatch.delenv("QUILLFLOW_GOVERNOR", raising=False)
    assert "no governor to tell" in tell(FAILED, governor="")


def test_the_exit_step_tells_of_a_run_whose_first_step_fails(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUILLFLOW_GOVERNOR_TOKEN", TOKEN)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    dag = reported(training_on(Site()), name="quillflow-training", description="", site=Site())
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "kfp"), raise_on_error=True)
    with pytest.raises(Exception, match="ingest"):
        dag(lines=str(tmp_path / "nowhere"), governor=told.url)
    (alert,) = told.alerts()
    assert alert.name == ALERT
    assert "quillflow-training: run" in alert.summary
    assert "failed" in alert.summary


def test_a_run_on_this_machine_tells_too_and_its_own_error_stays(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUILLFLOW_GOVERNOR_TOKEN", TOKEN)
    command = ["run", "--root", str(tmp_path / "r"), "-p", f"lines={tmp_path / 'nowhere'}"]
    assert main([*command, "-p", f"governor={told.url}"]) == 2
    shown = capsys.readouterr()
    assert "not a lines dataset" in shown.err
    assert "told the governor" in shown.out
    (alert,) = told.alerts()
    assert "not a lines dataset" in alert.summary
