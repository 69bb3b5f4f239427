import re
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from htr.errors import OutputError
from htr.prediction_log import log_row, read_log
from htr.profile import EMBEDDING_SIZE, FEATURES, Profile
from serving.prediction_log import PredictionLog
from tests.servers import wait_until

START = datetime(2026, 1, 1, tzinfo=UTC)


def rows(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    measured = Profile(**dict.fromkeys(FEATURES, 0.5), embedding=(0.5,) * EMBEDDING_SIZE)
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
