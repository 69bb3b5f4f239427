"""The formats: golden file, version, writer, reader."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from htr.audit.findings import read_audit
from htr.bundle import MANIFEST, Bundle
from htr.correction_store import LOG, CorrectionStore
from htr.error_model import ErrorModel
from htr.image_log import read_images
from htr.labelling import read_request, write_request
from htr.lines import LinesDataset
from htr.pages.to_json import parse_page_json
from htr.prediction_log import read_log
from htr.report import read_report
from htr.versions.records import Index, Manifest
from monitoring.decisions import DecisionLog
from monitoring.sequence import History
from monitoring.verdict import VERDICT, read_verdict
from tests.formats.writers import (
    A_REQUEST,
    write_a_bundle,
    write_a_verdict,
    write_audit,
    write_corrections,
    write_decision,
    write_decisions,
    write_error_model,
    write_image_log,
    write_index,
    write_lines,
    write_page,
    write_prediction_log,
    write_report,
    write_store,
    write_windows,
)

GOLDEN = Path(__file__).parents[1] / "golden"


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
