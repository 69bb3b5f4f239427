"""Every format that one process writes and another reads, held against a golden file of the same version.

A change of a format needs a new version number, and that a golden file of its own, since the old ones stay as they
are: ``python -m tests.unit.htr.test_formats`` writes those that are missing and touches no other.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
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
import monitoring.decisions
import monitoring.sequence
import monitoring.verdict
from htr.alphabet import Alphabet
from htr.audit.findings import Audit, Finding, audit_text, read_audit
from htr.bundle import ERROR_MODEL, INT8, MANIFEST, ONNX, REFERENCE, WEIGHTS, Bundle, Parity, write_bundle
from htr.calibration import Calibration
from htr.correction_store import LOG, CorrectionStore, Stored, image_digest
from htr.corrections import SAMPLE, Correction, Withdrawal
from htr.decoding import LEXICON, NGRAM, Decoding
from htr.error_model import Case, ErrorModel, Term
from htr.errors import QuillflowError
from htr.evaluate import Evaluation, ReadLine, profile_table
from htr.image import Geometry
from htr.image_log import LoggedImage, digest_of, read_images
from htr.labelling import LabellingRequest, RequestedLine, read_request, write_request
from htr.layout.geometry import PageLine
from htr.lines import Line, LinesDataset, LinesWriter
from htr.metrics import count_errors
from htr.pages.reading import LineReading, PageReading, Word
from htr.pages.to_json import Origin, page_json, parse_page_json
from htr.prediction_log import log_row, read_log
from htr.profile import EMBEDDING_SIZE, FEATURES, REFERENCE_SCHEMA, Profile
from htr.report import build_report, read_report
from htr.versions import VersionStore
from htr.versions.folder import FolderObjects
from htr.versions.records import Index, Manifest, Tombstone
from monitoring.columns import read_reference
from monitoring.decisions import Decision, DecisionLog
from monitoring.error_rate import EstimatedError, MeasuredError
from monitoring.sequence import History, Window
from monitoring.verdict import VERDICT, Alert, Example, FeatureDrift, Verdict, read_verdict, write_verdict
from serving.prediction_log import LogPolicy, PredictionLog

GOLDEN = Path(__file__).parents[2] / "golden"
CALIBRATION = Calibration(slope=-1.5, offset=0.25, length_slope=0.5)
PARITY = Parity(lines=10, changed_lines=1, max_difference=0.125, cer_fp32=0.25, cer_int8=0.25)
DECODING = Decoding(ngram_weight=0.5, insertion_bonus=0.75, lexicon_penalty=0.25)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
PROFILE = Profile(
    **{name: number / 4 for number, name in enumerate(FEATURES)},
    embedding=tuple(n / 8 for n in range(EMBEDDING_SIZE)),
)
ERRORS = ErrorModel(
    offset=-1.5,
    terms=(Term(feature="entropy", lowest=-4.0, highest=1.0, mean=-2.0, scale=0.5, slope=0.25, curve=0.125),),
    spread=0.25,
    cases=(Case(name="blur 1", lines=50, estimated=0.25, measured=0.125),),
    fitted_rows=500,
)
TEXTS = {"test": ("two", "two", "tow"), "recent": ("Zoé 9", "Zoé", "")}
"""Split -> truth, reading of the challenger, reading of the champion."""


def write_lines(path: Path) -> None:
    with LinesWriter(path) as writer:
        for number, (split, text) in enumerate((("train", "one"), ("val", "deux, 2 £"), ("test", "Zoé"))):
            known = {"writer": f"w{number}", "page": "p1", "language": ("eng", "fra", "")[number]}
            image = f"image {number}".encode()
            line = Line(
                id=f"line-{number}", image=image, text=text, source="s", split=split, width=30, height=20, **known
            )
            writer.add(line)
        writer.quarantine("line-3", "empty_text", "row 4")


AUDIT = Audit(
    dataset="d",
    digest="sha256:00",
    num_lines=3,
    model="sha256:11",
    rules={"copy_in_two_splits": 1, "blank": 0, "likely_mislabel": 1},
    findings=(
        Finding(
            rule="copy_in_two_splits",
            severity="error",
            ids=("a", "b"),
            splits=("test", "train"),
            detail="the same",
        ),
        Finding(
            rule="likely_mislabel",
            severity="warning",
            ids=("é",),
            splits=("val",),
            score=4.5,
            detail="read as 'x'",
        ),
    ),
)


def write_audit(path: Path) -> None:
    path.mkdir()
    (path / "audit.jsonl").write_text(audit_text(AUDIT), encoding="utf-8")


def write_a_bundle(path: Path) -> None:
    reference = pa.BufferOutputStream()
    pq.write_table(
        profile_table(evaluation("challenger").lines), reference, compression="zstd", write_statistics=False
    )
    bundle = Bundle(
        path=path,
        architecture={"architecture": "crnn", "height": 32, "channels": [16, 32, 64, 96]},
        alphabet=Alphabet("Zaé 9"),
        geometry=Geometry(height=32, min_width=16, max_width=2048, column_step=4),
        calibration=CALIBRATION,
        parity=PARITY,
        decoding=DECODING,
        metrics={"cer": 0.125},
        dataset_digest="sha256:d",
        git_commit="abc1234",
        base_digest="sha256:b",
        trained_lines=7,
    )
    files = {WEIGHTS: b"weights", ONNX: b"network", INT8: b"8 bits", NGRAM: b"n-grams", LEXICON: b"words"}
    files[REFERENCE] = reference.getvalue().to_pybytes()
    files[ERROR_MODEL] = ERRORS.to_bytes()
    write_bundle(bundle, files)


def write_prediction_log(path: Path) -> None:
    log = PredictionLog(path, clock=lambda: NOON)
    reading = {"model_version": "3", "bundle_digest": "sha256:b", "confidence": 0.75}
    for number in (1, 0):
        at = NOON + timedelta(microseconds=number)
        log.append([log_row(PROFILE, time=at, request_id=f"r{number}", position=number, **reading)])
    log.close()
    (file,) = path.iterdir()
    file.rename(path / "20260102T120000.000000Z-1-0.parquet")  # it was named by the process


def write_image_log(path: Path) -> None:
    log = PredictionLog(path, policy=LogPolicy(image_share=1.0), clock=lambda: NOON)
    about = {"request_id": "r0", "model_version": "3", "bundle_digest": "sha256:b", "confidence": 0.75}
    log.append_images(
        [
            {**about, "time": NOON, "position": position, "text": text, "image": text.encode()}
            for position, text in enumerate(("Zoé 9", ""))
        ]
    )
    log.close()
    (file,) = (path / htr.image_log.FOLDER).iterdir()
    file.rename(file.with_name("20260102T120000.000000Z-1-0.parquet"))  # it was named by the process


def evaluation(who: str) -> Evaluation:
    lines = []
    for number, (split, (truth, *readings)) in enumerate(TEXTS.items()):
        text = readings[who == "champion"]
        known = {"id": f"line-{number}", "split": split, "source": "s", "language": "fra", "truth": truth}
        errors = count_errors(truth, text)
        lines.append(
            ReadLine(**known, reading=text, log_prob=-0.5, errors=errors, profile=PROFILE, confidence=0.75)
        )
    return Evaluation(bundle_digest=f"sha256:{who}", dataset_digest="sha256:d", lines=lines)


def write_report(path: Path) -> None:
    path.write_text(
        json.dumps(build_report(evaluation("challenger"), evaluation("champion")), separators=(",", ":"))
    )


def write_decision(path: Path) -> None:
    report = build_report(evaluation("challenger"), evaluation("champion"))
    path.write_text(json.dumps(gate.decide(report, cer_ceiling=0.5, margin=0.01).to_dict()))


ORIGIN = Origin(file="a.png", digest="sha256:a", page=1, num_pages=2, bundle="sha256:b", segmentation=1)
PAGE = PageReading(
    width=300,
    height=200,
    skew_degrees=0.5,
    lines=(
        LineReading(
            line=PageLine(polygon=((1.0, 2.0), (90.0, 2.0), (90.0, 42.0)), baseline=((1.0, 32.0), (90.0, 33.0))),
            text="Zoé 9",
            confidence=0.75,
            words=(Word(text="Zoé", polygon=((1.0, 2.0), (50.5, 2.0), (50.5, 42.0), (1.0, 42.0))),),
        ),
    ),
)


def write_page(path: Path) -> None:
    path.write_text(page_json(PAGE, ORIGIN), encoding="utf-8")


SLANT = FeatureDrift(
    name="slant",
    p_value=0.001,
    threshold=0.005,
    drifted=True,
    shift=-0.5,
    reference_median=0.5,
    current_median=0.25,
)
A_VERDICT = Verdict(
    state="drift", rows=150, rows_wanting=0, reference_rows=300, min_rows=100, alpha=0.01,
    since=NOON, until=NOON + timedelta(hours=1), bundle_digest="sha256:b", features=(SLANT,), p_value=0.001,
    tested_rows=150, shuffled="groups", groups=30, as_sent=(replace(SLANT, name="width", drifted=False),),
    changed_since=NOON + timedelta(minutes=1),
    examples=(Example(request_id="r1", position=2, time=NOON, feature="slant"),),
    estimated=EstimatedError(cer=0.25, interval=(0.125, 0.5), reference_cer=0.125, harmless=False),
    measured=MeasuredError(cer=0.25, interval=(0.125, 0.5), lines=40, characters=800),
    alert=Alert(raised=True, drifted_windows=2, windows=3, needed=2, of=3),
)  # fmt: skip


A_REQUEST = LabellingRequest(
    record=7,
    champion="sha256:b",
    reason="HandwritingDrift",
    wanted=4,
    lines=(
        RequestedLine(request_id="r1", position=2, why="uncertain", chosen_by="reading"),
        RequestedLine(request_id="r2", position=0, why="control", chosen_by="sample"),
    ),
)


def write_windows(path: Path) -> None:
    path.mkdir()
    history = History(path / "windows.jsonl")
    history.add(Window.of(A_VERDICT, NOON))
    quiet = replace(A_VERDICT, state="quiet", since=None, until=None, p_value=None, estimated=None, measured=None)
    history.add(Window.of(quiet, NOON))


def write_error_model(path: Path) -> None:
    path.write_bytes(ERRORS.to_bytes())


def write_a_verdict(path: Path) -> None:
    write_verdict(A_VERDICT, path, page=None)


def a_correction(name: str, **known: Any) -> Correction:
    model = {"model_version": "3", "bundle_digest": "sha256:" + "b" * 64}
    text = {"old_text": f"zoe {name}", "new_text": f"Zoé {name}", "image_digest": image_digest(name.encode())}
    return Correction(id=name, time=NOON, author="Ada", **model, **text, **known)


CORRECTIONS = (
    a_correction("a"),
    a_correction(
        "b", chosen_by=SAMPLE, line="p1/2", writer="w1", page="p1", language="fra", request_id="r1", position=2
    ),
)
WITHDRAWAL = Withdrawal(id="a", time=NOON, author="Bo", reason="wrong line")


def write_corrections(path: Path) -> None:
    store = CorrectionStore(path)
    for one in CORRECTIONS:
        store.add(one, one.id.encode())
    store.withdraw(WITHDRAWAL)


def write_decisions(path: Path) -> None:
    times = {"since": NOON.isoformat(), "until": None}
    verdict = {"state": "drift", "rows": 150, **times, "bundle_digest": "sha256:b", "drifted": ["slant"]}
    asked = {"cause": "drift check", "verdict": verdict, "key": "k" * 64}
    for choice, outcome, run_id in (("ask_for_labels", "", ""), ("train", "started", ""), ("train", "done", "r1")):
        decision = Decision(**asked, time=NOON, decision=choice, reason="because", outcome=outcome, run_id=run_id)
        DecisionLog(path).append(decision)


def write_store(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_lines(Path(folder) / "lines")
        store = VersionStore(FolderObjects((Path(folder) / "store").as_uri()), now=lambda: NOON)
        version = store.publish("lines", "letters", Path(folder) / "lines")
        path.mkdir()
        shutil.copyfile(Path(folder) / "store" / "lines" / version.digest / "version.json", path / "version.json")


def write_index(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_lines(Path(folder) / "lines")
        store = VersionStore(FolderObjects((Path(folder) / "store").as_uri()), now=lambda: NOON)
        version = store.publish("lines", "letters", Path(folder) / "lines")
        store.erase("lines", version.digest)
        path.mkdir()
        shutil.copyfile(Path(folder) / "store" / "index.json", path / "index.json")


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format, and how to write and read what its golden file holds."""

    golden: Path
    version: int
    write: Callable[[Path], None]
    read: Callable[[Path], Any]
    versioned: str
    """The file that names the version, below the golden path; "" where that is a file."""


def _format(
    name: str, version: int, write: Callable[[Path], None], read: Callable[[Path], Any], versioned: str
) -> Format:
    stem, dot, suffix = name.partition(".")
    golden = GOLDEN / f"{stem}-{version}{dot}{suffix}"
    return Format(golden=golden, version=version, write=write, read=read, versioned=versioned)


def read_decision(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


FORMATS = {
    "lines dataset": _format("lines", htr.lines.FORMAT_VERSION, write_lines, LinesDataset.open, "dataset.json"),
    "bundle": _format("bundle", htr.bundle.FORMAT_VERSION, write_a_bundle, Bundle.open, MANIFEST),
    "prediction log": _format(
        "prediction-log", htr.prediction_log.FORMAT_VERSION, write_prediction_log, read_log, ""
    ),
    "image log": _format(
        "image-log", htr.image_log.FORMAT_VERSION, write_image_log, lambda path: list(read_images(path)), ""
    ),
    "report": _format("report.json", htr.report.FORMAT_VERSION, write_report, read_report, ""),
    "gate decision": _format("decision.json", gate.FORMAT_VERSION, write_decision, read_decision, ""),
    "read page": _format("page.json", htr.pages.to_json.FORMAT_VERSION, write_page, parse_page_json, ""),
    "drift verdict": _format(
        "drift",
        monitoring.verdict.FORMAT_VERSION,
        write_a_verdict,
        lambda path: read_verdict(path / VERDICT),
        VERDICT,
    ),
    "labelling request": _format(
        "labelling",
        htr.labelling.FORMAT_VERSION,
        lambda path: write_request(path, A_REQUEST),
        lambda path: read_request(path, A_REQUEST.record),
        "labelling/7.json",
    ),
    "windows": _format(
        "windows",
        monitoring.sequence.FORMAT_VERSION,
        write_windows,
        lambda path: History(path / "windows.jsonl").read(),
        "windows.jsonl",
    ),
    "error model": _format(
        "error_model.json", htr.error_model.FORMAT_VERSION, write_error_model, ErrorModel.load, ""
    ),
    "retraining decisions": _format(
        "decisions",
        monitoring.decisions.FORMAT_VERSION,
        write_decisions,
        lambda path: DecisionLog(path).read(),
        "decisions.jsonl",
    ),
    "audit": _format(
        "audit",
        htr.audit.findings.FORMAT_VERSION,
        write_audit,
        lambda path: read_audit(path / "audit.jsonl"),
        "audit.jsonl",
    ),
    "index of versions": _format(
        "versions",
        htr.versions.records.INDEX_VERSION,
        write_index,
        lambda path: Index.from_bytes((path / "index.json").read_bytes(), "index.json"),
        "index.json",
    ),
    "manifest of a version": _format(
        "manifest",
        htr.versions.records.FORMAT_VERSION,
        write_store,
        lambda path: Manifest.from_bytes((path / "version.json").read_bytes(), "version.json"),
        "version.json",
    ),
    "corrections": _format(
        "corrections",
        htr.corrections.FORMAT_VERSION,
        write_corrections,
        lambda path: CorrectionStore(path).read(),
        LOG,
    ),
}


PARQUET = ("prediction log", "image log")
"""Those that are Parquet files and nothing else."""


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


def _write_missing() -> None:
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=GOLDEN) as folder:
        for one in FORMATS.values():
            if not one.golden.exists():
                fresh = Path(folder) / one.golden.name
                one.write(fresh)
                fresh.replace(one.golden)


if __name__ == "__main__":
    _write_missing()
