import json
import re
import shutil
from pathlib import Path

import pytest

from htr.errors import DataError, OutputError, SettingsError
from monitoring.__main__ import main
from monitoring.governor.events import to_json
from monitoring.governor.journal import FILE, Journal, read_journal
from monitoring.governor.policy import Policy
from monitoring.governor.state import fold
from tests.governor import FolderCluster, SetLabels, SetRegistry, WorldClock, alert, make_governor

GOLDEN = Path(__file__).parents[3] / "golden" / "governor-1"


def write_golden(folder: Path) -> None:
    """Write the journal that the golden file holds: drift, lines, a lost answer, a rejection."""
    clock, labels = WorldClock(), SetLabels()
    cluster = FolderCluster(folder / "cluster", ["lost", "ok"])
    governor = make_governor(
        folder,
        cluster,
        clock=clock,
        policy=Policy(settle_s=1.0, min_lines=5),
        labels=labels,
        registry=SetRegistry(),
    )
    for count in (0, 5, 5, 5):
        labels.number = count
        clock.pass_by(60.0)
        governor.turn()
        governor.take(alert())
    cluster.end("succeeded")
    clock.pass_by(60.0)
    governor.turn()


def test_a_journal_is_written_as_ever(tmp_path: Path) -> None:
    write_golden(tmp_path)
    assert (tmp_path / FILE).read_text() == (GOLDEN / FILE).read_text()


def test_the_golden_journal_is_read_and_written_back_as_it_is() -> None:
    records = read_journal(GOLDEN)
    assert "\n".join(map(to_json, records)) + "\n" == (GOLDEN / FILE).read_text()
    state = fold(records)
    assert (state.misses, list(state.results.values())) == (1, ["rejected"])


def test_a_half_written_end_is_cut_off_and_kept(tmp_path: Path) -> None:
    shutil.copy(GOLDEN / FILE, tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole + whole[:70])
    journal = Journal(tmp_path)
    journal.open()
    assert (tmp_path / FILE).read_bytes() == whole
    assert (tmp_path / "governor.torn").read_bytes() == whole[:70] + b"\n"


@pytest.mark.parametrize("harm", ["altered", "lost", "newer"])
def test_damage_in_the_middle_is_an_error_that_names_the_line(tmp_path: Path, harm: str) -> None:
    lines = (GOLDEN / FILE).read_text().splitlines()
    if harm == "altered":
        lines[3] = lines[3].replace("drift", "drizzle")
    elif harm == "lost":
        del lines[3]
    else:
        lines[3] = json.dumps(json.loads(lines[3]) | {"format_version": 2})
    (tmp_path / FILE).write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=rf"{FILE}: line 4: .*; restore the file from a backup"):
        Journal(tmp_path).open()


def test_two_governors_do_not_share_a_folder(tmp_path: Path) -> None:
    second = Journal(tmp_path).alone()
    with Journal(tmp_path).alone(), pytest.raises(SettingsError, match="another governor is at work"), second:
        pass
    with Journal(tmp_path).alone():
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(OutputError, match="state: cannot be written"):
        Journal(tmp_path / "state").open()


def test_history_and_replay_tell_every_decision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(GOLDEN / FILE, tmp_path)
    assert main(["history", "--state", str(tmp_path)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert any("  ask_for_labels  alert HandwritingDrift: " in line for line in told)
    assert main(["replay", "--state", str(tmp_path)]) == 0
    replayed = capsys.readouterr().out.splitlines()
    assert len(replayed) == len(told) == len(read_journal(GOLDEN))
    assert not [line for line in replayed if "would be" in line]


def test_replay_decides_a_history_anew_under_another_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(GOLDEN / FILE, tmp_path)
    (tmp_path / "policy.toml").write_text('version = 1\npolicy = "retrain_at_once"\n')
    assert main(["replay", "--state", str(tmp_path), "--policy", str(tmp_path / "policy.toml")]) == 0
    told = capsys.readouterr().out
    assert "would be  train: HandwritingDrift (drift, record" in told
    assert told.splitlines()[-1].endswith(f"would be decided otherwise under {tmp_path / 'policy.toml'}")
    (tmp_path / "policy.toml").write_text("version = 1\nmin_lines = 100\n")
    assert main(["replay", "--state", str(tmp_path), "--policy", str(tmp_path / "policy.toml")]) == 0
    told = capsys.readouterr().out
    assert re.search(r"tick +train: .*\n +would be  wait: .*5 corrected lines of 100", told)
    assert told.splitlines()[-1].startswith("2 of ")


def test_a_journal_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--state", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "no decisions yet\n"
    assert main(["replay", "--state", str(tmp_path / "none")]) == 2
    assert "no such state folder" in capsys.readouterr().err
