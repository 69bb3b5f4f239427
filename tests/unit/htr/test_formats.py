"""Every format that one process writes and another reads, held against a golden file of the same version.

`tests.formats` says which there are, and how to write a golden file.
"""

import json
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import components.gate.rules as gate
import htr.audit.findings
import htr.bundle
import htr.corrections
import htr.error_model
import htr.image_log
import htr.labelling
import htr.lines
import htr.pages.to_json
import htr.prediction_log
import htr.profile
import htr.report
import htr.versions.records
from htr.alphabet import Alphabet
from htr.audit.findings import read_audit
from htr.bundle import ERROR_MODEL, INT8, ONNX, REFERENCE, WEIGHTS, Bundle, Parity
from htr.calibration import Calibration
from htr.correction_store import CorrectionStore, Stored
from htr.decoding import LEXICON, NGRAM
from htr.error_model import ErrorModel
from htr.errors import QuillflowError
from htr.image import Geometry
from htr.image_log import LoggedImage, digest_of, read_images
from htr.lines import LinesDataset
from htr.pages.to_json import parse_page_json
from htr.prediction_log import read_log
from htr.profile import REFERENCE_SCHEMA, Profile
from htr.report import read_report
from htr.versions.records import Tombstone
from monitoring.columns import read_reference
from monitoring.decisions import DecisionLog
from monitoring.sequence import Window
from monitoring.verdict import VERDICT, read_verdict
from tests.formats.known import FORMATS, GOLDEN, PARQUET, read_decision
from tests.formats.writers import (
    A_REQUEST,
    A_VERDICT,
    AUDIT,
    CALIBRATION,
    CORRECTIONS,
    DECODING,
    ERRORS,
    NOON,
    ORIGIN,
    PAGE,
    PARITY,
    PROFILE,
    WITHDRAWAL,
)


def shape(value: Any) -> Any:
    """Return names and types in place of values; lists of equal things count once."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return sorted({json.dumps(shape(inner), sort_keys=True) for inner in value})
    return type(value).__name__


def described(path: Path) -> dict[str, Any]:
    """Return what a file, or a folder of files, is made of."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    found: dict[str, Any] = {}
    for file in files:
        name = str(file.relative_to(path))
        if file.suffix == ".parquet":
            schema = pq.read_schema(file)
            columns = [(field.name, str(field.type), field.nullable) for field in schema]
            name = str(Path(name).with_stem("*"))  # names of log files hold a time and a process
            found[name] = {"columns": columns, "metadata": schema.metadata}
        elif file.suffix == ".json":
            found[name] = shape(json.loads(file.read_text()))
        elif file.suffix == ".jsonl":
            found[name] = shape([json.loads(line) for line in file.read_text().splitlines()])
        elif file.suffix == ".csv":
            found[name] = file.read_text().splitlines()[0]
        else:
            found[name] = "bytes"
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_todays_writer_writes_what_the_golden_file_of_its_version_holds(name: str, tmp_path: Path) -> None:
    one = FORMATS[name]
    assert one.golden.exists(), f"version {one.version} of the {name} has no golden file; see the top of this file"
    one.write(tmp_path / one.golden.name)
    assert described(tmp_path / one.golden.name) == described(one.golden), "a new format needs a new version"


@pytest.mark.parametrize("name", FORMATS)
def test_a_golden_file_names_its_version(name: str) -> None:
    one = FORMATS[name]
    if name in PARQUET:
        (file,) = one.golden.rglob("*.parquet")
        profiled = {b"profile_version": str(htr.profile.PROFILE_VERSION).encode()}
        expected = {b"format_version": str(one.version).encode(), **(profiled if name == "prediction log" else {})}
        assert pq.read_schema(file).metadata == expected
    else:
        first = (one.golden / one.versioned).read_text().splitlines()
        text = first[0] if one.versioned.endswith(".jsonl") else "\n".join(first)
        assert json.loads(text)["format_version"] == one.version


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "gate decision"])
def test_a_reader_refuses_another_version_and_names_it(name: str, tmp_path: Path) -> None:
    one = FORMATS[name]
    copy = tmp_path / one.golden.name
    if one.golden.is_dir():
        shutil.copytree(one.golden, copy)
    else:
        shutil.copyfile(one.golden, copy)
    if name in PARQUET:
        (file,) = copy.rglob("*.parquet")
        table = pq.read_table(file)
        pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"format_version": b"99"}), file)
    else:
        text = (copy / one.versioned).read_text()
        (copy / one.versioned).write_text(re.sub(r'"format_version": ?\d+', '"format_version": 99', text))
    with pytest.raises(QuillflowError, match="99"):
        one.read(copy)


def test_the_golden_audit_reads_as_it_was_written() -> None:
    assert read_audit(FORMATS["audit"].golden / "audit.jsonl") == AUDIT


def test_the_golden_index_and_manifest_read_as_they_were_written() -> None:
    digest = "2296cacbf8c40d0501bc37739ab2f4991acf66627552f4f2ecf9c4f0cda51f29"
    index = FORMATS["index of versions"].read(FORMATS["index of versions"].golden)
    assert index.erased == (Tombstone(kind="lines", digest=digest, erased=NOON.isoformat()),)
    for older in (index, FORMATS["index of versions"].read(GOLDEN / "versions-1")):
        (entry,) = older.publications
        assert (entry.kind, entry.name, entry.digest, entry.created) == (
            "lines", "letters", digest, NOON.isoformat(),
        )  # fmt: skip
    assert older.erased == (), "version 1 knew no erasures"
    manifest = FORMATS["manifest of a version"].read(FORMATS["manifest of a version"].golden)
    assert (manifest.kind, manifest.digest, manifest.created) == ("lines", digest, NOON.isoformat())
    assert [file.path for file in manifest.files] == ["lines/00000.parquet", "quarantine.csv", "dataset.json"]
    assert entry.lineage == manifest.lineage


def test_the_golden_lines_read_as_they_were_written() -> None:
    dataset = LinesDataset.open(FORMATS["lines dataset"].golden)
    dataset.verify()  # the digest that was computed then is the one that is computed now
    assert dataset.digest == "sha256:2296cacbf8c40d0501bc37739ab2f4991acf66627552f4f2ecf9c4f0cda51f29"
    assert dataset.info.alphabet == " ,2Zdenoux£é"
    assert dataset.info.counts == {
        "split": {"test": 1, "train": 1, "val": 1},
        "source": {"s": 3},
        "language": {"": 1, "eng": 1, "fra": 1},
        "quarantined": {"empty_text": 1},
    }
    assert [shard["num_lines"] for shard in dataset.info.shards] == [3]
    (line,) = dataset.lines("val")
    assert (line.id, line.text, line.image) == ("line-1", "deux, 2 £", b"image 1")
    assert (line.writer, line.page, line.language, line.source) == ("w1", "p1", "fra", "s")
    assert (line.width, line.height) == (30, 20)


def test_the_golden_bundle_reads_as_it_was_written() -> None:
    bundle = Bundle.open(FORMATS["bundle"].golden)
    assert bundle.geometry == Geometry(height=32, min_width=16, max_width=2048, column_step=4)
    assert bundle.geometry.fingerprint() == "3d886546b3e2d3fd"
    assert bundle.alphabet.characters == Alphabet("Zaé 9").characters
    assert (bundle.calibration, bundle.parity, bundle.decoding) == (CALIBRATION, PARITY, DECODING)
    assert bundle.architecture == {"architecture": "crnn", "height": 32, "channels": [16, 32, 64, 96]}
    assert (bundle.metrics, bundle.trained_lines) == ({"cer": 0.125}, 7)
    assert (bundle.dataset_digest, bundle.git_commit, bundle.base_digest) == ("sha256:d", "abc1234", "sha256:b")
    assert set(bundle.files) == {WEIGHTS, ONNX, INT8, NGRAM, LEXICON, REFERENCE, ERROR_MODEL}
    reference = read_reference(bundle.path / REFERENCE)
    assert reference.schema.equals(REFERENCE_SCHEMA)
    assert ErrorModel.load(bundle.path / ERROR_MODEL) == ERRORS
    assert [row["slant"] for row in reference.to_pylist()] == [PROFILE.slant] * 2


def test_a_bundle_of_the_second_version_is_read_but_its_reference_is_refused_with_what_to_do() -> None:
    bundle = Bundle.open(GOLDEN / "bundle-2")
    assert (bundle.calibration, bundle.parity, bundle.decoding) == (CALIBRATION, PARITY, DECODING)
    assert ERROR_MODEL not in bundle.files
    with pytest.raises(QuillflowError, match="profile version 1, expected 2; evaluate the model again"):
        read_reference(bundle.path / REFERENCE)


def test_a_prediction_log_of_the_first_version_is_refused_with_what_to_do() -> None:
    with pytest.raises(QuillflowError, match="move it away"):
        read_log(GOLDEN / "prediction-log-1")


def test_a_verdict_of_the_first_version_is_still_read() -> None:
    verdict = read_verdict(GOLDEN / "drift-1" / VERDICT)
    assert (verdict["state"], [one["name"] for one in verdict["features"]]) == ("drift", ["slant"])


def test_a_verdict_of_the_second_version_is_still_read() -> None:
    verdict = read_verdict(GOLDEN / "drift-2" / VERDICT)
    assert "cannot_tell" not in verdict["estimated"]
    assert verdict["estimated"]["cer"] == A_VERDICT.estimated.cer  # type: ignore[union-attr]


def test_the_golden_labelling_request_reads_as_it_was_written() -> None:
    assert FORMATS["labelling request"].read(FORMATS["labelling request"].golden) == A_REQUEST


def test_the_golden_windows_read_as_they_were_written() -> None:
    drift, quiet = FORMATS["windows"].read(FORMATS["windows"].golden)
    assert drift == Window.of(A_VERDICT, NOON)
    assert (quiet.state, quiet.since, quiet.estimated_cer) == ("quiet", None, None)


def test_a_bundle_of_the_first_version_is_read_with_what_it_has() -> None:
    bundle = Bundle.open(GOLDEN / "bundle-1")
    assert bundle.calibration == Calibration(slope=-1.5, offset=0.25)
    assert (bundle.parity, bundle.decoding) == (Parity(), None)
    assert set(bundle.files) == {WEIGHTS, ONNX, REFERENCE}


def test_the_golden_prediction_log_reads_as_it_was_written() -> None:
    rows = read_log(FORMATS["prediction log"].golden).to_pylist()
    assert [row["request_id"] for row in rows] == ["r0", "r1"]  # by time
    first, second = rows
    assert first["time"] == NOON
    assert (second["position"], second["model_version"], second["bundle_digest"]) == (1, "3", "sha256:b")
    assert second["confidence"] == 0.75
    assert Profile.of_row(second) == PROFILE


def test_the_golden_image_log_reads_as_it_was_written() -> None:
    first, second = read_images(FORMATS["image log"].golden)
    assert first == LoggedImage(
        time=NOON,
        request_id="r0",
        position=0,
        model_version="3",
        bundle_digest="sha256:b",
        text="Zoé 9",
        confidence=0.75,
        image_digest=digest_of("Zoé 9".encode()),
        image="Zoé 9".encode(),
    )
    assert (second.position, second.text, second.image) == (1, "", b"")


def test_the_golden_report_gives_the_figures_it_was_made_from() -> None:
    report = read_report(FORMATS["report"].golden)
    assert report["challenger"]["bundle_digest"] == "sha256:challenger"
    golden, recent = (report["challenger"]["splits"][split] for split in ("test", "recent"))
    assert (golden["cer"], golden["exact_match"], golden["lines"]) == (0.0, 1.0, 1)
    assert (recent["cer"], recent["wer"], recent["by_source"]["s"]["characters"]) == (0.4, 0.5, 5)
    assert (recent["grapheme_cer"], recent["graphemes"]) == (0.4, 5)
    assert report["champion"]["splits"]["recent"]["cer"] == 1.0
    assert [(line["edits"], line["champion_edits"]) for line in report["lines"]] == [(0, 2), (2, 5)]
    assert (golden["confidence"]["ece"], recent["confidence"]["checked_share"]) == (0.25, 1.0)
    assert [line["confidence"] for line in report["lines"]] == [0.75, 0.75]
    decision = gate.decide(report, cer_ceiling=0.5, margin=0.01)
    assert (decision.rule, decision.promote) == ("recent", True)


def test_the_golden_gate_decision_says_what_was_decided_and_why() -> None:
    decision = read_decision(FORMATS["gate decision"].golden)
    assert (decision["promote"], decision["rule"]) == (True, "recent")
    assert [(check["name"], check["passed"], check["lines"]) for check in decision["checks"]] == [
        ("recent", True, 1),
        ("golden", True, 1),
    ]
    assert decision["reason"].startswith("recent CER -60.0%")


def test_the_golden_verdict_reads_as_it_was_written() -> None:
    verdict = read_verdict(FORMATS["drift verdict"].golden / VERDICT)
    assert (verdict["state"], verdict["rows"], verdict["bundle_digest"]) == ("drift", 150, "sha256:b")
    assert datetime.fromisoformat(verdict["until"]) - datetime.fromisoformat(verdict["since"]) == timedelta(
        hours=1
    )
    (feature,) = verdict["features"]
    assert (feature["name"], feature["drifted"], feature["direction"]) == ("slant", True, "lower")


def test_the_golden_page_reads_as_it_was_written() -> None:
    assert parse_page_json(FORMATS["read page"].golden) == (PAGE, ORIGIN)


def test_the_golden_decisions_read_as_they_were_written() -> None:
    history = DecisionLog(FORMATS["retraining decisions"].golden).read()
    assert history.skipped == ()
    assert [(one.decision, one.outcome) for one in history.decisions] == [
        ("ask_for_labels", ""),
        ("train", "started"),
        ("train", "done"),
    ]
    last = history.last_training("k" * 64)
    assert last is not None
    assert (last.time, last.run_id, last.verdict["drifted"]) == (NOON, "r1", ["slant"])


def test_the_golden_corrections_read_as_they_were_written() -> None:
    golden = FORMATS["corrections"].golden
    found, count = CorrectionStore(golden).read()
    assert count == 2
    assert found == [Stored(CORRECTIONS[0], WITHDRAWAL), Stored(CORRECTIONS[1], None)]
    files = [CorrectionStore(golden).image_file(one.correction) for one in found]
    assert [file.read_bytes() for file in files] == [b"a", b"b"]
