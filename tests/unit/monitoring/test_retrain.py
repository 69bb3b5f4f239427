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

from htr.errors import DataError, OutputError, QuillflowError, ServiceError
from monitoring.decisions import DecisionLog
from monitoring.policy import Request
from monitoring.retrain import RetrainGuard
from tests.fakes import NOON, RecordingLauncher

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
