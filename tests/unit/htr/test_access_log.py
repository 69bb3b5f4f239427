import json
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from htr.access_log import FILE, AccessLog
from htr.errors import SettingsError

GOLDEN = Path(__file__).parents[2] / "golden" / "access-1" / FILE


def opened(file: Path) -> AccessLog:
    return AccessLog(file, service="serving", clock=lambda: datetime(2026, 11, 21, 12, tzinfo=UTC))


def note(file: Path, number: int = 1, status: int = 201) -> None:
    opened(file).note(route="POST /v1/corrections", client="desk", status=status, request_id=f"r-{number}")


def note_many(file: Path, first: int) -> None:
    for number in range(first, first + 50):
        note(file, number)


def test_the_format_stays_as_it_was_written_once(tmp_path: Path) -> None:
    note(tmp_path / FILE)
    note(tmp_path / FILE, 2, 401)
    assert (tmp_path / FILE).read_bytes() == GOLDEN.read_bytes()
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_half_written_line_spoils_no_other(tmp_path: Path) -> None:
    note(tmp_path / FILE)
    with (tmp_path / FILE).open("ab") as stream:
        stream.write(b'{"format_ver')
    note(tmp_path / FILE, 2)
    first, torn, second = (tmp_path / FILE).read_text().splitlines()
    assert (json.loads(first)["request_id"], torn, json.loads(second)["request_id"]) == (
        "r-1",
        '{"format_ver',
        "r-2",
    )


def test_processes_that_append_at_once_lose_nothing(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    others = [fork.Process(target=note_many, args=(tmp_path / FILE, 1000 * number)) for number in range(3)]
    for one in others:
        one.start()
    for one in others:
        one.join()
        assert one.exitcode == 0
    ids = [json.loads(line)["request_id"] for line in (tmp_path / FILE).read_text().splitlines()]
    assert len(ids) == len(set(ids)) == 150


def test_a_file_that_is_moved_away_is_begun_anew(tmp_path: Path) -> None:
    log = opened(tmp_path / FILE)
    (tmp_path / FILE).rename(tmp_path / "old")
    log.note(route="POST /v1/wishes", client="", status=200, request_id="r")
    assert (tmp_path / FILE).read_text().count("\n") == 1


def test_a_place_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="make it writable"):
        opened(tmp_path / "missing" / FILE)


def test_a_disk_that_refuses_later_is_told_to_the_log_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "folder").mkdir()
    log = opened(tmp_path / "folder" / FILE)
    (tmp_path / "folder" / FILE).unlink()
    (tmp_path / "folder").rmdir()
    for _ in range(3):
        log.note(route="POST /v1/wishes", client="", status=200, request_id="r")
    assert caplog.text.count("writes go unnoted") == 1
