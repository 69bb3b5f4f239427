import re
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from htr.errors import DataError, OutputError
from htr.image_log import SCHEMA, digest_of, read_images
from htr.prediction_log import log_row, read_log
from htr.profile import FEATURES, Profile
from serving.log_writer import LogWriter
from serving.prediction_log import LogPolicy, PredictionLog
from tests.servers import wait_until

START = datetime(2026, 1, 1, tzinfo=UTC)


def rows(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    measured = Profile(**dict.fromkeys(FEATURES, 0.5))
    return [
        log_row(
            measured,
            time=START + timedelta(seconds=number),
            request_id=f"request-{number}",
            position=0,
            model_version="1",
            bundle_digest="sha256:0",
            confidence=0.25,
        )
        for number in range(first, first + count)
    ]


def ids(folder: Path) -> list[str]:
    return list(read_log(folder)["request_id"].to_pylist())


def test_rows_are_written_within_the_flush_time(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path / "log", flush_s=0.1)
    log.append(rows(3))
    wait_until(lambda: ids(tmp_path / "log"))
    assert ids(tmp_path / "log") == ["request-0", "request-1", "request-2"]
    log.close()


def test_many_rows_are_written_without_waiting(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, flush_s=60, flush_rows=5)
    log.append(rows(5))
    wait_until(lambda: log.num_written == 5)
    log.close()


def test_closing_writes_everything_and_leaves_only_finished_files(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, flush_s=60)
    log.append(rows(7))
    log.close()
    log.close()
    assert len(ids(tmp_path)) == 7
    (file,) = tmp_path.iterdir()
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-\d+-0\.parquet", file.name)


def test_rows_after_closing_are_counted_as_dropped(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.close()
    log.append(rows(2))
    assert (log.num_written, log.num_dropped) == (0, 2)
    assert list(tmp_path.iterdir()) == []


def test_rows_from_many_threads_all_arrive_once(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, flush_s=0.01, flush_rows=10)
    writers = [
        threading.Thread(target=lambda at=at: [log.append(rows(1, first=at * 100 + n)) for n in range(50)])
        for at in range(8)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    log.close()
    expected = sorted(f"request-{at * 100 + n}" for at in range(8) for n in range(50))
    assert sorted(ids(tmp_path)) == expected
    assert (log.num_written, log.num_dropped) == (400, 0)


def test_a_disk_that_refuses_holds_rows_up_to_the_bound_and_no_request(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = PredictionLog(folder, max_rows=10, flush_s=0.05)
    folder.rmdir()
    folder.write_text("a file stands in the way")
    began = time.monotonic()
    log.append(rows(8))
    log.append(rows(8, first=8))
    assert time.monotonic() - began < 0.5
    assert log.num_dropped == 6
    wait_until(lambda: log.num_failures >= 2)

    folder.unlink()
    wait_until(lambda: log.num_written == 10)
    log.append(rows(2, first=20))
    log.close()
    assert ids(folder) == [f"request-{number}" for number in [*range(10), 20, 21]]
    assert (log.num_written, log.num_dropped) == (12, 6)


def test_rows_that_never_reach_the_disk_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = PredictionLog(folder, flush_s=60)
    folder.rmdir()
    folder.write_text("")
    log.append(rows(4))
    log.close()
    assert (log.num_written, log.num_dropped) == (0, 4)


def test_rows_of_another_shape_do_not_stop_later_ones(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, flush_s=0.02)
    log.append([{**rows(1)[0], "confidence": "high"}])
    wait_until(lambda: log.num_dropped == 1)
    log.append(rows(1))
    log.close()
    assert ids(tmp_path) == ["request-0"]
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/log: .*give another --log-dir"):
        PredictionLog(tmp_path / "file" / "log")


def test_bounds_below_one_are_impossible(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_rows=0"):
        PredictionLog(tmp_path, max_rows=0)


def image_rows(count: int, *, first: int = 0, size: int = 100) -> list[dict[str, Any]]:
    """Return what was read on images that differ."""
    return [
        {
            "time": START + timedelta(seconds=number),
            "request_id": f"request-{number}",
            "position": 0,
            "model_version": "1",
            "bundle_digest": "sha256:0",
            "text": f"line {number}",
            "confidence": 0.25,
            "image": number.to_bytes(4) * (size // 4),
        }
        for number in range(first, first + count)
    ]


def test_images_lie_beside_the_rows_and_say_what_was_read(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, policy=LogPolicy(image_share=1.0))
    log.append(rows(2))
    log.append_images(image_rows(2))
    log.close()
    assert ids(tmp_path) == ["request-0", "request-1"], "who reads the rows meets no images"
    found = list(read_images(tmp_path))
    assert [(one.request_id, one.text, one.position) for one in found] == [
        ("request-0", "line 0", 0),
        ("request-1", "line 1", 0),
    ]
    assert found[1].image == image_rows(2)[1]["image"]
    assert found[1].image_digest == digest_of(found[1].image)
    later = list(read_images(tmp_path, since=START + timedelta(seconds=1)))
    assert [one.request_id for one in later] == ["request-1"]
    assert log.counts() == {
        "rows": {"written": 2, "dropped": 0, "failures": 0, "waiting": 0},
        "images": {"written": 2, "dropped": 0, "failures": 0, "waiting": 0},
    }


def test_a_request_is_sampled_again_when_it_is_sent_again(tmp_path: Path) -> None:
    some, none, every = (
        PredictionLog(tmp_path / name, policy=LogPolicy(image_share=share))
        for name, share in (("some", 0.25), ("none", 0.0), ("every", 1.0))
    )
    asked = [f"request-{number}" for number in range(2000)]
    sampled = [one for one in asked if some.samples(one)]
    assert 0.2 < len(sampled) / len(asked) < 0.3
    again = PredictionLog(tmp_path / "again", policy=LogPolicy(image_share=0.25))
    assert [one for one in asked if again.samples(one)] == sampled
    assert not any(none.samples(one) for one in asked)
    assert all(every.samples(one) for one in asked)
    for log in (some, none, every, again):
        log.close()


def test_a_slow_disk_drops_images_and_counts_them_while_nobody_waits(tmp_path: Path) -> None:
    gate = threading.Event()

    def slow(table: pa.Table, file: Path) -> None:
        assert gate.wait(20)
        pq.write_table(table, file)

    log = LogWriter(
        tmp_path, SCHEMA, what="image log", max_rows=100, max_bytes=1_000, size=lambda row: len(row["image"]),
        complete=lambda row: {**row, "image_digest": "sha256:0"}, flush_s=0.01, write=slow,
    )  # fmt: skip
    began = time.monotonic()
    for number in range(50):
        log.append(image_rows(1, first=number))
    assert time.monotonic() - began < 1.0
    assert (log.num_waiting, log.num_dropped, log.num_written) == (10, 40, 0)
    gate.set()
    wait_until(lambda: log.num_written == 10)
    log.append(image_rows(3, first=50))
    log.close()
    assert (log.num_written, log.num_dropped) == (13, 40)


def test_images_that_could_not_even_be_held_are_counted_too(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, policy=LogPolicy(image_share=1.0), max_image_bytes=400)
    log.append_images(image_rows(5))
    log.drop_images(2)
    log.close()
    assert log.counts()["images"] == {"written": 4, "dropped": 3, "failures": 0, "waiting": 0}


def test_old_files_are_removed_and_others_let_be(tmp_path: Path) -> None:
    old, young = START - timedelta(days=8), START - timedelta(days=6)
    for day in (old, young):
        log = PredictionLog(tmp_path, policy=LogPolicy(image_share=1.0), clock=lambda day=day: day)
        log.append(rows(1))
        log.append_images(image_rows(1))
        log.close()
    (tmp_path / "notes.parquet").write_text("of somebody else")
    unfinished = tmp_path / f".{old:%Y%m%dT%H%M%S.%fZ}-9-0.parquet"
    unfinished.write_text("half a file of a process that was killed")
    log = PredictionLog(tmp_path, policy=LogPolicy(days=7), clock=lambda: START)
    wait_until(lambda: not unfinished.exists())
    log.close()
    kept = sorted(file.name[:8] for file in tmp_path.rglob("*.parquet"))
    assert kept == [f"{young:%Y%m%d}", f"{young:%Y%m%d}", "notes.pa"]


def test_without_a_limit_of_days_nothing_finished_is_removed(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, clock=lambda: START - timedelta(days=4000))
    log.append(rows(1))
    log.close()
    PredictionLog(tmp_path, clock=lambda: START).close()
    assert len(ids(tmp_path)) == 1


def test_a_redacted_log_holds_no_id_of_a_client_and_still_tells_requests_apart(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, policy=LogPolicy(redact=True))
    log.append(rows(2))
    log.append(rows(1))
    log.append_images(image_rows(3))
    assert not log.samples("request-0")
    log.close()
    found = ids(tmp_path)
    assert not any("request" in one for one in found)
    assert len(set(found)) == 2, "both rows of the first request go by one name"
    assert list(read_images(tmp_path)) == []


@pytest.mark.parametrize("impossible", [{"image_share": 1.5}, {"image_share": 0.5, "redact": True}, {"days": 0.0}])
def test_an_impossible_policy_is_refused(impossible: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"impossible policy|keeps no images"):
        LogPolicy(**impossible)


def test_an_image_log_of_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no prediction log there"):
        list(read_images(tmp_path / "none"))
    (tmp_path / "images").mkdir()
    table = SCHEMA.empty_table().replace_schema_metadata({"format_version": "99"})
    pq.write_table(table, tmp_path / "images" / "a.parquet")
    with pytest.raises(DataError, match=r"'99', this program reads 1"):
        list(read_images(tmp_path))
    (tmp_path / "images" / "a.parquet").write_text("no Parquet")
    with pytest.raises(DataError, match="damaged log file"):
        list(read_images(tmp_path))
