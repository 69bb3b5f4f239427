"""What an evaluation adds up to, and what its report is refused for."""

import json
from pathlib import Path

import pytest

from htr.calibration import Calibration
from htr.errors import DataError
from htr.evaluate import (
    calibrate,
    character_scores,
    confusions,
    evaluate,
    profile_table,
    rates,
    rates_by,
    recalibrated,
)
from htr.lines import LinesDataset, LinesWriter
from htr.recogniser import Recogniser
from htr.report import build_report, read_report


def test_an_evaluation_adds_up_and_becomes_a_report(
    dataset: LinesDataset, tiny_bundle: Path, tmp_path: Path
) -> None:
    found = evaluate(Recogniser.load(tiny_bundle), dataset, ["val", "test"])
    everything, groups = rates(found.lines), rates_by(found.lines, "source")
    assert everything.lines == 20 == sum(group.lines for group in groups.values())
    low, high = everything.cer_interval
    assert low <= everything.cer <= high
    assert sum(s.written for s in character_scores(found.lines)) == everything.characters
    assert all(truth != reading for truth, reading, _ in confusions(found.lines))
    assert profile_table(found.lines).num_rows == 20
    again = recalibrated(found, calibrate(found.lines))
    assert all(0 < line.confidence < 1 for line in again.lines)
    assert sum(line.confidence for line in again.lines) == pytest.approx(
        sum(line.right for line in found.lines), abs=1
    )
    with pytest.raises(ValueError, match="length_slope"):
        recalibrated(found, Calibration())
    report = tmp_path / "report.json"

    report.write_text(json.dumps(build_report(found, found)))
    content = read_report(report)
    assert all(line["edits"] == line["champion_edits"] for line in content["lines"])
    assert content["challenger"]["splits"]["test"]["lines"] == 10


@pytest.mark.parametrize("text", ["", "{}", '{"format_version": 99}', "[1]"])
def test_a_damaged_report_is_a_data_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DataError, match=r"r\.json"):
        read_report(tmp_path / "r.json")


def test_an_undecodable_line_counts_as_read_empty(tiny_bundle: Path, tmp_path: Path) -> None:
    from htr.lines import Line

    with LinesWriter(tmp_path / "d") as writer:
        writer.add(Line(id="x", image=b"nonsense", text="four", split="test", width=1, height=1))
    found = evaluate(Recogniser.load(tiny_bundle), LinesDataset.open(tmp_path / "d"), ["test"])
    assert found.lines[0].reading == ""
    assert found.lines[0].errors.edits == 4
