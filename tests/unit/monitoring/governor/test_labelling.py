import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from htr.corrected_lines import CorrectedLines
from htr.correction_store import CorrectionStore, image_digest
from htr.corrections import Correction
from htr.errors import DataError
from htr.labelling import read_request
from htr.prediction_log import SCHEMA
from monitoring.governor.choosing import LogChooser
from monitoring.governor.labelling import LabellingRequests
from monitoring.verdict import Verdict
from tests.fakes import NOON, log_rows, profile_rows, write_log


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = write_log(tmp_path / "log", log_rows(profile_rows(300, seed=1), bundle_digest="sha256:a"))
    other = log_rows(profile_rows(50, seed=2), bundle_digest="sha256:b")
    return write_log(folder, other, "20261120T130000-1-1.parquet")


def test_a_request_names_readings_of_the_champion_and_why_each_was_chosen(log: Path, tmp_path: Path) -> None:
    requests = LabellingRequests(state=tmp_path, choose=LogChooser(log=log))
    requests.ask(7, champion="sha256:a", reason="drift", wanted=40)
    found = read_request(tmp_path, 7)
    assert found is not None
    assert (found.record, found.wanted, found.champion) == (7, 40, "sha256:a")
    assert Counter((line.why, line.chosen_by) for line in found.lines) == {
        ("uncertain", "reading"): 30,
        ("control", "sample"): 10,
    }
    assert len({line.place for line in found.lines}) == 40


def test_a_request_is_written_once_and_stays_as_it_is(log: Path, tmp_path: Path) -> None:
    requests = LabellingRequests(state=tmp_path, choose=LogChooser(log=log))
    requests.ask(7, champion="sha256:a", reason="drift", wanted=4)
    before = (tmp_path / "labelling" / "7.json").read_bytes()
    requests.ask(7, champion="sha256:b", reason="other", wanted=9)
    assert (tmp_path / "labelling" / "7.json").read_bytes() == before
    assert read_request(tmp_path, 8) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"format_version": 2}', '{"format_version": 1, "lines": [{}]}'])
def test_a_damaged_request_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "labelling").mkdir()
    (tmp_path / "labelling" / "7.json").write_text(text)
    with pytest.raises(DataError, match=r"7\.json: "):
        read_request(tmp_path, 7)


def test_what_was_asked_for_or_corrected_already_is_not_asked_for_again(log: Path, tmp_path: Path) -> None:
    digest = image_digest(b"x")
    told = {"model_version": "1", "bundle_digest": digest, "image_digest": digest, "old_text": "", "author": "Ada"}
    for number in range(20):
        one = Correction(id=f"c{number}", time=NOON, new_text="x", request_id=f"request-{number}", **told)
        CorrectionStore(tmp_path / "store").add(one, b"x")
    requests = LabellingRequests(
        state=tmp_path, choose=LogChooser(log=log, corrections=CorrectedLines(tmp_path / "store"), state=tmp_path)
    )
    corrected = {(f"request-{number}", 0) for number in range(20)}
    seen = set(corrected)
    for record, (wanted, named) in enumerate([(40, 40), (200, 200), (90, 40), (5, 0)], start=1):
        requests.ask(record, champion="sha256:a", reason="drift", wanted=wanted)
        found = read_request(tmp_path, record)
        assert found is not None
        lines = {line.place for line in found.lines}
        assert len(lines) == len(found.lines) == named
        assert not lines & seen
        seen |= lines
    assert len(seen) == 300


def test_ids_that_a_client_used_twice_name_a_line_once_and_the_newest(tmp_path: Path) -> None:
    said = log_rows(profile_rows(30, seed=1), bundle_digest="sha256:a").to_pydict()
    said |= {"request_id": ["job"] * 30, "confidence": [0.1] * 29 + [1.0]}  # only the newest is sure
    log = write_log(tmp_path / "log", pa.table(said, schema=SCHEMA))
    choose = LogChooser(log=log)
    (line,) = choose("sha256:a", 8)
    assert line.place == ("job", 0)
    others = log_rows(profile_rows(20, seed=2), bundle_digest="sha256:a")
    write_log(log, others, "20261120T130000-1-1.parquet")
    assert len(choose("sha256:a", 100)) == 21
    assert "job" not in {line.request_id for line in choose("sha256:a", 4)}, "it is the surest of all"


def test_lines_are_chosen_from_the_window_that_a_verdict_about_the_champion_looked_at(
    log: Path, tmp_path: Path
) -> None:
    verdict = dict.fromkeys(Verdict.__dataclass_fields__)
    verdict |= {"format_version": 1, "state": "drift", "rows": 100, "rows_wanting": 0, "reference_rows": 300}
    verdict |= {"min_rows": 100, "alpha": 0.01, "bundle_digest": "sha256:a", "examples": [], "as_sent": []}
    verdict |= {"since": "2026-11-20T12:01:40+00:00", "until": "2026-11-20T12:03:19+00:00"}
    drifted = {"name": "slant", "drifted": True}
    file = tmp_path / "drift.json"
    file.write_text(json.dumps({**verdict, "features": [drifted]}))
    chooser = LogChooser(log=log, verdict=file)
    assert {line.request_id for line in chooser("sha256:a", 1000)} == {f"request-{n}" for n in range(100, 200)}
    assert len(chooser("sha256:b", 1000)) == 50, "the verdict is about another model"


def test_a_damaged_request_is_moved_aside_and_stops_no_other(log: Path, tmp_path: Path, caplog: Any) -> None:
    requests = LabellingRequests(state=tmp_path, choose=LogChooser(log=log, state=tmp_path))
    requests.ask(1, champion="sha256:a", reason="drift", wanted=300)
    (tmp_path / "labelling" / "1.json").write_text('{"format_version": 1, "li')
    newer = '{"format_version": 2}'
    (tmp_path / "labelling" / "2.json").write_text(newer)
    requests.ask(3, champion="sha256:a", reason="drift", wanted=10)
    found = read_request(tmp_path, 3)
    assert found is not None
    assert len(found.lines) == 10, "what only the damaged one named may be asked for again"
    assert {file.name for file in (tmp_path / "labelling").iterdir()} == {"1.json.damaged", "2.json", "3.json"}
    assert (tmp_path / "labelling" / "2.json").read_text() == newer, "of another version, not damaged"
    assert "1.json.damaged" in caplog.text


def test_the_open_request_is_written_anew_where_it_was_damaged(log: Path, tmp_path: Path) -> None:
    requests = LabellingRequests(state=tmp_path, choose=LogChooser(log=log, state=tmp_path))
    requests.ask(1, champion="sha256:a", reason="drift", wanted=10)
    before = read_request(tmp_path, 1)
    (tmp_path / "labelling" / "1.json").write_bytes(b"\xff\xfe")
    requests.ask(1, champion="sha256:a", reason="drift", wanted=10)
    assert read_request(tmp_path, 1) == before
