"""Corrections on their way into a training: store, import, the retrain guard, the pipeline's own ingest step."""

import json
from pathlib import Path

import pytest
from kfp import dsl

from components.ingest.component import ingest
from htr.bundle import Bundle
from htr.corrections import SAMPLE
from htr.importers.corrections import import_corrections
from htr.lines import CORRECTIONS, Line, LinesDataset
from monitoring.__main__ import main
from tests.datasets import sound_lines, write_lines
from tests.servers import ROOT
from tests.unit.htr.importers.test_corrections import Desk, picture

FEATURES = [{"name": "slant", "drifted": True}]
FIRST_STEP = """
import sys
from kfp import dsl
from components.ingest.component import ingest

given = dict(word.split("=", 1) for word in sys.argv if "=" in word)
root = sys.argv[sys.argv.index("--root") + 1]
ingest.python_func(**given, held_back=0.3, dataset=dsl.Dataset(uri=root))
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "store")


def ingested(desk: Desk, folder: Path) -> dict[str, Line]:
    """Import the store, run the pipeline's own step on it, and return the corrected lines by their text."""
    folder.mkdir()
    import_corrections(desk.folder, folder / "corrections")
    if not (folder.parent / "base").exists():
        write_lines(folder.parent / "base", sound_lines())
    artifact = dsl.Dataset(uri=str(folder / "merged"))
    digest = ingest.python_func(
        lines=str(folder.parent / "base"), corrections=str(folder / "corrections"), held_back=0.5, dataset=artifact
    )
    dataset = LinesDataset.open(folder / "merged")
    assert dataset.digest == digest
    return {line.text: line for line in dataset.lines() if line.source == CORRECTIONS}


def test_ingest_holds_back_a_share_of_the_sample_and_nothing_that_a_reading_asked_for(
    desk: Desk, tmp_path: Path
) -> None:
    for number in range(40):
        desk.correct(f"sampled {number}", picture(number), chosen_by=SAMPLE)
        desk.correct(f"asked for {number}", picture(100 + number))
    found = ingested(desk, tmp_path / "run")
    splits = {text: line.split for text, line in found.items()}
    assert {split for text, split in splits.items() if text.startswith("asked")} == {"train"}
    held_back = sum(split == "recent" for split in splits.values())
    assert 8 <= held_back <= 32
    assert len(found) == 80


def test_a_line_never_changes_side_however_often_it_is_corrected(desk: Desk, tmp_path: Path) -> None:
    for number in range(20):
        desk.correct(f"sampled {number}", picture(number), chosen_by=SAMPLE, line=f"s{number}")
        desk.correct(f"asked for {number}", picture(100 + number), line=f"a{number}")
    desk.withdraw("c0")
    before = {line.id: line.split for line in ingested(desk, tmp_path / "before").values()}
    for number in range(20):
        desk.correct(f"sampled {number} again", picture(200 + number), line=f"s{number}")
        desk.correct(f"asked for {number} again", picture(100 + number), chosen_by=SAMPLE)
    desk.correct("new", picture(999), chosen_by=SAMPLE)
    after = ingested(desk, tmp_path / "after")
    sides = {line.id: line.split for line in after.values()}
    assert before.items() <= sides.items()
    assert {line.split for text, line in after.items() if text.startswith("asked")} == {"train"}
    assert len(after) == 41


def test_retrain_counts_the_imported_lines_and_hands_them_to_the_pipelines_ingest_step(
    desk: Desk,
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The pipeline is cut off behind its first step: what comes after is the same as without corrections."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").touch()
    (tmp_path / "pipelines" / "__main__.py").write_text(FIRST_STEP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    verdict = {"format_version": 1, "state": "drift", "rows": 150, "rows_wanting": 0, "reference_rows": 300}
    more = {"min_rows": 100, "alpha": 0.01, "since": None, "until": None}
    digest = Bundle.open(tiny_bundle).digest
    Path("drift.json").write_text(json.dumps({**verdict, **more, "bundle_digest": digest, "features": FEATURES}))
    write_lines(tmp_path / "base", sound_lines())
    asked = ["retrain", "--verdict", "drift.json", "--bundle", str(tiny_bundle), "--state", "state"]
    asked += ["--local-root", "runs", "-p", "lines=base", "--min-corrections", "3", "--corrections"]

    for number in range(2):
        desk.correct(f"sampled {number}", picture(number), chosen_by=SAMPLE)
    import_corrections(desk.folder, tmp_path / "two")
    assert main([*asked, "two"]) == 0
    assert capfd.readouterr().out.startswith("ask_for_labels: drift, but 2 corrected lines of 3")
    desk.correct("asked for", picture(2))
    desk.withdraw("c0")
    desk.correct("sampled 0 again", picture(0))
    import_corrections(desk.folder, tmp_path / "three")
    assert main([*asked, "three"]) == 0
    assert "train: drift, and 3 corrected lines" in capfd.readouterr().out
    texts = {line.text: line.split for line in LinesDataset.open("runs").lines() if line.source == CORRECTIONS}
    assert set(texts) == {"sampled 0 again", "sampled 1", "asked for"}
    assert texts["asked for"] == "train"
    assert main([*asked, "three"]) == 0
    assert capfd.readouterr().out.startswith("ignore: these corrections were trained on already")
