import json
import re
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htr.errors import DataError, OutputError, QuillflowError, ServiceError, SettingsError
from monitoring.decisions import DecisionLog
from monitoring.policy import Request
from monitoring.retrain import KfpLauncher, LocalLauncher, RetrainGuard
from tests.fakes import NOON, RecordingLauncher, kfp_server

CHAMPION = "sha256:" + "c" * 64


class KilledError(BaseException):
    """The process ends here: nothing after it is run."""


def verdict(state: str = "drift", *, bundle_digest: str = CHAMPION) -> dict[str, Any]:
    features = [{"name": "slant", "drifted": state == "drift"}, {"name": "noise", "drifted": False}]
    rows = 10 if state == "not_enough" else 200
    return {
        "state": state,
        "rows": rows,
        "rows_wanting": max(0, 100 - rows),
        "since": None,
        "until": None,
        "bundle_digest": bundle_digest,
        "features": features,
    }


def request(state: str = "drift", *, corrections: str = "sha256:1", **changes: Any) -> Request:
    values: dict[str, Any] = {
        "verdict": verdict(state),
        "champion_digest": CHAMPION,
        "num_corrections": 60,
        **changes,
    }
    return Request(corrections_digest=corrections, **values)


def guard(folder: Path) -> RetrainGuard:
    return RetrainGuard(folder, clock=lambda: NOON)


def fail() -> None:
    raise ServiceError("the cluster is full")


def die() -> None:
    raise KilledError


@pytest.mark.parametrize(
    ("asked", "decision", "reason"),
    [
        (request("quiet"), "ignore", "no drift in 200 readings"),
        (request("not_enough"), "ignore", "only 10 readings; 90 more"),
        (request(verdict=verdict(bundle_digest="sha256:old")), "ignore", "the verdict is about old"),
        (request(verdict=verdict(bundle_digest="")), "ignore", "about no model in particular"),
        (request(num_corrections=49), "ask_for_labels", "49 corrected lines of 50; correct 1 more"),
        (request(num_corrections=0, corrections=""), "ask_for_labels", "correct 50 more"),
        (request(num_corrections=50), "train", "50 corrected lines that this champion has not seen"),
    ],
)
def test_the_guard_decides_and_says_why(tmp_path: Path, asked: Request, decision: str, reason: str) -> None:
    launcher = RecordingLauncher()
    made = guard(tmp_path).consider(asked, launcher, {"corrections": "c"})
    assert made.decision == decision
    assert reason in made.reason
    assert launcher.started == [{"corrections": "c"}] * (decision == "train")


def test_every_decision_is_on_disk_before_and_after_the_run(tmp_path: Path) -> None:
    seen: list[Any] = []
    launcher = RecordingLauncher(lambda: seen.extend(DecisionLog(tmp_path).read().decisions))
    guard(tmp_path).consider(request(), launcher, {}, announce=seen.append)
    announced, before = seen
    assert announced == before
    assert before.outcome == "started"
    lines = [json.loads(line) for line in (tmp_path / "decisions.jsonl").read_text().splitlines()]
    assert [(line["outcome"], line["run_id"]) for line in lines] == [("started", ""), ("done", "run-1")]
    assert lines[0]["verdict"]["drifted"] == ["slant"]
    assert lines[0]["time"] == NOON.isoformat()


def test_the_same_verdict_a_hundred_times_trains_once(tmp_path: Path) -> None:
    launcher = RecordingLauncher()
    decisions = [guard(tmp_path).consider(request(), launcher, {}) for _ in range(100)]
    assert len(launcher.started) == 1
    assert Counter(d.decision for d in decisions) == {"train": 1, "ignore": 99}
    assert "trained on already" in decisions[-1].reason
    assert "run-1" in decisions[-1].reason


def test_new_corrections_or_a_new_champion_may_train_again(tmp_path: Path) -> None:
    launcher = RecordingLauncher()
    other = {"verdict": verdict(bundle_digest="sha256:new"), "champion_digest": "sha256:new"}
    for asked in request(), request(corrections="sha256:2"), request(**other):
        assert guard(tmp_path).consider(asked, launcher, {}).outcome == "done"
    assert len(launcher.started) == 3


def test_callers_at_the_same_time_start_one_run_between_them(tmp_path: Path) -> None:
    launcher = RecordingLauncher(lambda: time.sleep(0.2))
    asked = [request(corrections=f"sha256:{n % 4}") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        decisions = list(pool.map(lambda a: guard(tmp_path).consider(a, launcher, {}), asked))
    reasons = {d.reason for d in decisions if d.decision == "ignore"}
    assert len(launcher.started) == 1
    assert reasons == {"a training is in progress; ask again when it has ended"}
    assert len(DecisionLog(tmp_path).read().decisions) == 9


@pytest.mark.parametrize(
    ("behave", "error", "said"),
    [(fail, ServiceError, "failed (the cluster is full)"), (die, KilledError, "started and never ended")],
)
def test_a_training_that_failed_or_was_killed_is_repeated_only_on_request(
    tmp_path: Path, behave: Any, error: type[BaseException], said: str
) -> None:
    with pytest.raises(error):
        guard(tmp_path).consider(request(), RecordingLauncher(behave), {})
    launcher = RecordingLauncher()
    refused = guard(tmp_path).consider(request(), launcher, {})
    assert refused.decision == "ignore"
    assert said in refused.reason
    assert "--again" in refused.reason
    assert not launcher.started
    repeated = guard(tmp_path).consider(request(again=True), launcher, {})
    assert repeated.outcome == "done"
    assert said in repeated.reason
    assert "repeated on request" in repeated.reason
    assert guard(tmp_path).consider(request(), launcher, {}).decision == "ignore"
    assert len(launcher.started) == 1


@pytest.mark.parametrize(
    ("ends_as", "said"),
    [
        ("done", "trained on already, .*, run run-1"),
        ("submitted", "submitted already, .*, as run run-1; .*--again"),
    ],
)
def test_a_training_that_was_handed_over_or_ended_well_is_repeated_only_on_request(
    tmp_path: Path, ends_as: Literal["done", "submitted"], said: str
) -> None:
    launcher = RecordingLauncher(ends_as=ends_as)
    first = guard(tmp_path).consider(request(), launcher, {})
    assert (first.outcome, first.run_id) == (ends_as, "run-1")
    refused = guard(tmp_path).consider(request(), launcher, {})
    assert refused.decision == "ignore"
    assert re.search(said, refused.reason)
    assert len(launcher.started) == 1
    repeated = guard(tmp_path).consider(request(again=True), launcher, {})
    assert (repeated.outcome, repeated.run_id) == (ends_as, "run-2")
    assert re.search("the training of .* run run-1; repeated on request", repeated.reason)
    assert guard(tmp_path).consider(request(), launcher, {}).decision == "ignore"


def test_a_killed_training_is_mentioned_when_other_corrections_train(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        guard(tmp_path).consider(request(), RecordingLauncher(die), {})
    made = guard(tmp_path).consider(request(corrections="sha256:2"), RecordingLauncher(), {})
    assert made.outcome == "done"
    assert "for other corrections or another champion, never ended" in made.reason


@pytest.mark.parametrize("keep", [1, 40, -1])
def test_a_half_written_line_is_skipped_reported_and_kept(tmp_path: Path, keep: int) -> None:
    guard(tmp_path).consider(request("quiet"), RecordingLauncher(), {})
    file = tmp_path / "decisions.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:keep].rstrip(b"}\n"))
    made = guard(tmp_path).consider(request(), RecordingLauncher(), {})
    assert made.outcome == "done"
    assert "skipped half-written lines of the log: 2" in made.reason
    assert [d.outcome for d in DecisionLog(tmp_path).read().decisions] == ["", "started", "done"]


@pytest.mark.parametrize(
    "line", ["{}", '"train"', '{"format_version": 1, "time": "noon"}', '{"format_version": 2}']
)
def test_a_line_that_is_no_decision_stops_the_guard(tmp_path: Path, line: str) -> None:
    (tmp_path / "decisions.jsonl").write_text(line + "\n")
    launcher = RecordingLauncher()
    with pytest.raises(DataError, match=r"decisions\.jsonl: line 1"):
        guard(tmp_path).consider(request(), launcher, {})
    assert not launcher.started


def test_nothing_starts_when_the_decision_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, not a folder")
    launcher = RecordingLauncher()
    with pytest.raises(OutputError, match="state"):
        guard(tmp_path / "state").consider(request(), launcher, {})
    assert not launcher.started


calls = st.tuples(
    st.sampled_from(["drift", "drift", "drift", "quiet", "not_enough"]),
    st.sampled_from(["sha256:1", "sha256:2"]),
    st.sampled_from([10, 60]),
    st.booleans(),
    st.sampled_from([lambda: None, fail, die]),
    st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(calls, max_size=12))
def test_no_sequence_of_calls_starts_two_runs_for_one_key_unasked(sequence: list[Any]) -> None:
    started: Counter[str] = Counter()
    asked_again: Counter[str] = Counter()
    done: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        log = DecisionLog(Path(folder))
        for state, corrections, count, again, behave, torn in sequence:
            asked = request(state, corrections=corrections, num_corrections=count, again=again)
            launcher = RecordingLauncher(behave)
            try:
                outcome = guard(Path(folder)).consider(asked, launcher, {}).outcome
            except (QuillflowError, KilledError):
                outcome = "failed"
            assert not (launcher.started and started[asked.key] and not again), "only a person repeats a training"
            started[asked.key] += len(launcher.started)
            asked_again[asked.key] += again
            if outcome == "done":
                done.add(asked.key)
            if torn and log.file.exists():
                with log.file.open("ab") as stream:
                    stream.write(b'{"format_version": 1, "time": "2026-11')
        history = log.read()
    assert all(started[key] <= 1 + asked_again[key] for key in started)
    assert sum(d.outcome == "started" for d in history.decisions) == started.total()
    assert {d.key for d in history.decisions if d.outcome == "done"} == done


def write_pipelines(folder: Path, body: str) -> None:
    """Write a program that stands where ``python -m pipelines`` is looked for."""
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "__init__.py").touch()
    (folder / "pipelines" / "__main__.py").write_text(f"import json, sys\nfrom pathlib import Path\n{body}\n")


def test_the_local_launcher_passes_root_and_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pipelines(tmp_path, "Path('seen').write_text(json.dumps(sys.argv[1:]))")
    monkeypatch.chdir(tmp_path)
    launcher = LocalLauncher(root=Path("runs"), extra=["--quiet"])
    assert launcher.start({"lines": "a b", "corrections": "c=d"}).startswith("local-")
    expected = ["run", "--root", "runs", "-p", "lines=a b", "-p", "corrections=c=d", "--quiet"]
    assert json.loads((tmp_path / "seen").read_text()) == expected


def test_a_local_pipeline_that_fails_shows_its_output_and_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_pipelines(tmp_path, "print('step 1 failed'); sys.exit(7)")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ServiceError, match="exit code 7"):
        LocalLauncher(root=Path("runs")).start({})
    assert "step 1 failed" in capfd.readouterr().out


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from kfp import compiler, dsl

    @dsl.component(base_image="python:3.11-slim", install_kfp_package=False)
    def note(lines: str, epochs: int, rate: float, quick: bool) -> str:
        return f"{lines} {epochs} {rate} {quick}"

    @dsl.pipeline(name="training")
    def training(
        lines: str, corrections: str = "", epochs: int = 3, rate: float = 0.1, quick: bool = False
    ) -> None:
        note(lines=lines, epochs=epochs, rate=rate, quick=quick)

    path = tmp_path_factory.mktemp("package") / "training.yaml"
    compiler.Compiler().compile(training, str(path))
    return path


@pytest.mark.filterwarnings("ignore:This client only works:FutureWarning")
def test_kubeflow_gets_one_run_with_typed_parameters(package: Path) -> None:
    given = {"lines": "s3://b/7", "corrections": "12", "epochs": "10", "rate": "1e-3", "quick": "true"}
    with kfp_server() as (host, runs):
        launcher = KfpLauncher(host=host, package=package, experiment="nightly")
        assert launcher.start(given) == "run-1"
        assert launcher.ends_as == "submitted"
    (run,) = runs
    expected = {"lines": "s3://b/7", "corrections": "12", "epochs": 10, "rate": 0.001, "quick": True}
    assert run["runtime_config"]["parameters"] == expected
    assert run["pipeline_spec"]["pipelineInfo"]["name"] == "training"


@pytest.mark.filterwarnings("ignore:This client only works:FutureWarning")
def test_a_refusing_kubeflow_is_named_with_its_reason(package: Path) -> None:
    with kfp_server(accepts=False) as (host, _), pytest.raises(ServiceError, match=f"{host}.*429") as caught:
        KfpLauncher(host=host, package=package).start({"lines": "x"})
    assert "quota exceeded" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"epoch": "3"}, "no parameter 'epoch'"), ({"epochs": "many"}, "-p epochs=many: expected .*NUMBER_INTEGER")],
)
def test_arguments_that_do_not_fit_the_package_are_refused(
    package: Path, arguments: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        KfpLauncher(host="http://127.0.0.1:1", package=package).check(arguments)


def test_a_package_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml: not a compiled pipeline"):
        KfpLauncher(host="http://127.0.0.1:1", package=tmp_path / "none.yaml").check({})
