"""What golden files hold, and how today's code writes it."""

import json
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

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
from htr.audit.findings import Audit, Finding, audit_text
from htr.bundle import ERROR_MODEL, INT8, ONNX, REFERENCE, WEIGHTS, Bundle, Parity, write_bundle
from htr.calibration import Calibration
from htr.correction_store import CorrectionStore, image_digest
from htr.corrections import SAMPLE, Correction, Withdrawal
from htr.decoding import LEXICON, NGRAM, Decoding
from htr.error_model import Case, ErrorModel, Term
from htr.evaluate import Evaluation, ReadLine, profile_table
from htr.image import Geometry
from htr.labelling import LabellingRequest, RequestedLine
from htr.layout.geometry import PageLine
from htr.lines import Line, LinesWriter
from htr.metrics import count_errors
from htr.pages.reading import LineReading, PageReading, Word
from htr.pages.to_json import Origin, page_json
from htr.prediction_log import log_row
from htr.profile import EMBEDDING_SIZE, FEATURES, Profile
from htr.report import build_report
from htr.versions import VersionStore
from htr.versions.folder import FolderObjects
from monitoring.decisions import Decision, DecisionLog
from monitoring.error_rate import EstimatedError, MeasuredError
from monitoring.sequence import History, Window
from monitoring.verdict import Alert, Example, FeatureDrift, Verdict, write_verdict
from serving.prediction_log import LogPolicy, PredictionLog

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
