"""Challenger and champion on the same held-out lines -> report, page, and the challenger's complete bundle."""

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.evaluate.report_page import evaluation_page
from components.page import write_page
from components.progress import Ticker, say
from htr.bundle import ERROR_MODEL, MANIFEST, REFERENCE, Bundle, amend_bundle
from htr.error_fit import fit_error_model
from htr.errors import SettingsError
from htr.evaluate import Evaluation, calibrate, evaluate, profile_bytes, recalibrated
from htr.lines import LinesDataset
from htr.parity import certify
from htr.recogniser import Recogniser
from htr.report import build_report
from htr.tuning import find_decoding

HELD_OUT = ("val", "test", "recent")
COMPARED = ("test", "recent")
SPOILT_LINES = 720
"""Read to learn how error rate and profile hang together; thirty of each kind and strength."""


def compare(
    dataset: Path,
    challenger: Path,
    champion: Path,
    curves: Path,
    *,
    evaluated: Path,
    report: Path,
    page: Path,
    tune_lines: int = 0,
) -> dict[str, float]:
    """Evaluate a challenger beside the champion.

    Args:
        dataset: lines dataset.
        challenger: its bundle.
        champion: its bundle, or an empty folder.
        curves: the train step's per-epoch metrics.
        evaluated: folder for the challenger's bundle with calibration, metrics, reference profile and error
            model.
        report: file for the report, JSON.
        page: file for the report that people read, HTML.
        tune_lines: validation lines to weigh a language model of the training texts by; 0 keeps the challenger's
            own decoding.

    Returns:
        Metrics of the challenger on the golden test, and on the recent lines where there are any.
    """
    lines = LinesDataset.open(dataset)
    if tune_lines < 0:
        raise SettingsError(f"tune_lines must be 0 or more, got {tune_lines}; 0 keeps best path")
    with TemporaryDirectory() as folder:
        bundle = Bundle.open(challenger)
        if tune_lines:
            bundle = tuned(bundle, lines, Path(folder) / "tuned", tune_lines)
        return _compared(bundle, lines, champion, curves, evaluated=evaluated, report=report, page=page)


def tuned(bundle: Bundle, lines: LinesDataset, out: Path, tune_lines: int) -> Bundle:
    """Return the bundle with the decoding that reads validation lines best; by best path where none betters it."""
    found = find_decoding(bundle, lines, max_lines=tune_lines)
    kept = "beam search with a language model" if found.decoding else "best path"
    say(
        f"evaluate: reads by {kept}, CER {found.cer:.1%} on {found.lines} validation lines "
        f"({found.best_path_cer:.1%} by best path)"
    )
    return amend_bundle(bundle, out, found.files, decoding=found.decoding)


def _compared(
    bundle: Bundle,
    lines: LinesDataset,
    champion: Path,
    curves: Path,
    *,
    evaluated: Path,
    report: Path,
    page: Path,
) -> dict[str, float]:
    bundle = certify(bundle, lines)
    recogniser = Recogniser(bundle)
    mine = _read("challenger", recogniser, lines, HELD_OUT)
    rival = None
    if (champion / MANIFEST).is_file():
        rival = _read("champion", Recogniser.load(champion), lines, COMPARED)
    calibration = calibrate(mine.of("val"))
    mine = recalibrated(mine, calibration)
    content = build_report(mine, rival)
    metrics = headline(content["challenger"]["splits"])
    files: dict[str, Path | bytes] = {REFERENCE: profile_bytes(mine.lines)}
    ticker = Ticker("evaluate: challenger reads spoilt lines", SPOILT_LINES)
    if errors := fit_error_model(recogniser, lines, mine.lines, num_spoilt=SPOILT_LINES, on_line=ticker):
        files[ERROR_MODEL] = errors.to_bytes()
    complete = amend_bundle(bundle, evaluated, files, calibration=calibration, metrics=metrics)
    # What is registered and served is the complete bundle: the report must name that one.
    mine = replace(mine, bundle_digest=complete.digest)
    content["challenger"]["bundle_digest"] = complete.digest
    report.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    epochs = json.loads(curves.read_text(encoding="utf-8"))["epochs"]
    write_page(page, evaluation_page(mine, dataset=lines, champion=rival, curves=epochs))
    shown = ", ".join(f"{name} {value:.1%}" for name, value in metrics.items())
    say(f"evaluate: {shown}")
    return metrics


def headline(splits: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the figures that stand for a model: those of the golden test, and the CER on recent lines.

    Beside the error rates these are ``ece``, the expected calibration error, and ``checked_share``, the share of
    lines that a person must check so that the rest has at most 1 % CER.
    """
    golden = splits["test"]
    metrics: dict[str, float] = {name: golden[name] for name in ("cer", "wer", "exact_match")}
    metrics |= {name: golden["confidence"][name] for name in ("ece", "checked_share")}
    if "recent" in splits:
        metrics["recent_cer"] = splits["recent"]["cer"]
    return metrics


def _read(who: str, recogniser: Recogniser, lines: LinesDataset, splits: tuple[str, ...]) -> Evaluation:
    total = sum(lines.info.counts["split"].get(split, 0) for split in splits)
    ticker = Ticker(f"evaluate: {who} reads", total)
    return evaluate(recogniser, lines, splits, on_line=ticker)
