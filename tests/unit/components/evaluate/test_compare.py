"""Evaluating a challenger beside the champion, on lines of every split and one that cannot be decoded."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.evaluate.compare import compare
from htr.bundle import ONNX, REFERENCE, WEIGHTS, Bundle
from htr.lines import LinesDataset
from htr.profile import REFERENCE_SCHEMA
from htr.recogniser import Recogniser
from htr.report import read_report
from htr.tuning import find_decoding
from tests.conftest import make_line
from tests.datasets import write_lines
from tests.pages import read_offline
from tests.servers import untaught_bundle

SPLITS = ("train", "val", "val", "val", "test", "test", "test", "test", "recent", "recent")
EPOCHS = [{"epoch": n, "loss": 4 - n, "val_loss": 4 - n, "val_cer": 1 / n, "learning_rate": 1e-3} for n in (1, 2)]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What the evaluate step left behind."""

    lines: LinesDataset
    metrics: dict[str, float]
    evaluated: Path
    report: dict[str, Any]
    page: str


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> LinesDataset:
    drawn = [make_line(f"line {'abcdefghij'[n]}", n, split=split) for n, split in enumerate(SPLITS)]
    broken = replace(make_line("torn", 10, split="test"), image=b"no image")
    return write_lines(tmp_path_factory.mktemp("data") / "lines", [*drawn, broken])


def run(out: Path, lines: LinesDataset, challenger: Path, champion: Path, *, tune_lines: int = 0) -> Compared:
    out.mkdir(parents=True, exist_ok=True)
    curves = out / "curves"
    curves.write_text(json.dumps({"epochs": EPOCHS, "lines": {"train": 1, "val": 3}}))
    report, page, evaluated = out / "report", out / "page", out / "evaluated"
    metrics = compare(
        lines.path,
        challenger,
        champion,
        curves,
        evaluated=evaluated,
        report=report,
        page=page,
        tune_lines=tune_lines,
    )
    return Compared(
        lines=lines,
        metrics=metrics,
        evaluated=evaluated,
        report=read_report(report),
        page=read_offline(page.read_text(encoding="utf-8")).text,
    )


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, lines: LinesDataset, tiny_bundle: Path) -> Compared:
    """The first model: where a champion would lie, there is an empty folder."""
    out = tmp_path_factory.mktemp("first")
    (out / "champion").mkdir()
    return run(out, lines, tiny_bundle, out / "champion")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory, lines: LinesDataset, tiny_bundle: Path) -> Compared:
    """The same model as challenger of another champion."""
    out = tmp_path_factory.mktemp("second")
    return run(out, lines, tiny_bundle, untaught_bundle(out / "champion", seed=8))


def test_the_evaluated_bundle_reads_as_before_and_holds_a_reference_of_the_held_out_lines(
    first: Compared, tiny_bundle: Path
) -> None:
    bundle, before = Bundle.open(first.evaluated), Bundle.open(tiny_bundle)
    assert [bundle.files[name] for name in (WEIGHTS, ONNX)] == [before.files[name] for name in (WEIGHTS, ONNX)]
    assert REFERENCE not in before.files
    reference = pq.read_table(bundle.path / REFERENCE)
    assert reference.schema.equals(REFERENCE_SCHEMA)
    assert len(reference) == sum(split != "train" for split in SPLITS)  # the broken image has no profile
    images = [line.image for line in first.lines.lines("val")]
    texts = [[reading.text for reading in Recogniser(one).read(images)] for one in (bundle, before)]
    assert texts[0] == texts[1]


def test_a_challenger_is_given_the_decoding_that_reads_validation_lines_best(
    lines: LinesDataset, tiny_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "champion").mkdir()
    tuned = run(tmp_path, lines, tiny_bundle, tmp_path / "champion", tune_lines=2)
    found, bundle = find_decoding(Bundle.open(tiny_bundle), lines, max_lines=2), Bundle.open(tuned.evaluated)
    assert found.decoding is not None  # an untaught network writes too much: fewer characters are fewer errors
    assert bundle.decoding == found.decoding
    readings = Recogniser(bundle).read(line.image for line in lines.lines("val"))
    told = [line["reading"] for line in tuned.report["lines"] if line["split"] == "val"]
    assert told == [reading.text for reading in readings]
    plain = Recogniser.load(tiny_bundle).read(line.image for line in lines.lines("val"))
    assert told != [reading.text for reading in plain]


def test_the_confidences_in_the_report_are_those_that_the_evaluated_bundle_gives(first: Compared) -> None:
    told = {line["id"]: line["confidence"] for line in first.report["lines"] if not line["undecodable"]}
    lines = [line for line in first.lines.lines() if line.id in told]
    readings = Recogniser.load(first.evaluated).read(line.image for line in lines)
    assert [told[line.id] for line in lines] == pytest.approx([reading.confidence for reading in readings])
    assert Bundle.open(first.evaluated).calibration.length_slope is not None


def test_the_metrics_in_the_bundle_are_those_of_the_golden_test_in_the_report(first: Compared) -> None:
    golden = first.report["challenger"]["splits"]["test"]
    assert set(first.metrics) == {"cer", "wer", "exact_match", "ece", "checked_share", "recent_cer"}
    assert {name: golden[name] for name in ("cer", "wer", "exact_match")} | {
        name: golden["confidence"][name] for name in ("ece", "checked_share")
    } == {name: value for name, value in first.metrics.items() if name != "recent_cer"}
    assert first.metrics["recent_cer"] == first.report["challenger"]["splits"]["recent"]["cer"]
    assert Bundle.open(first.evaluated).metrics == first.metrics
    assert first.metrics["cer"] > 0


def test_every_held_out_line_is_in_the_report_once_and_a_broken_one_counts_as_read_empty(first: Compared) -> None:
    lines = {line["id"]: line for line in first.report["lines"]}
    held_out = [line for line in first.lines.lines() if line.split != "train"]
    assert list(lines) == [line.id for line in held_out]
    assert [lines[line.id]["split"] for line in held_out] == [line.split for line in held_out]
    broken = lines["line-10"]
    assert (broken["undecodable"], broken["reading"], broken["edits"]) == (True, "", len("torn"))
    assert sum(line["undecodable"] for line in lines.values()) == 1


def test_without_a_champion_the_report_compares_with_nobody(first: Compared) -> None:
    assert first.report["champion"] is None
    assert {line["champion_edits"] for line in first.report["lines"]} == {None}
    assert first.report["dataset_digest"] == first.lines.digest
    assert first.report["challenger"]["bundle_digest"] == Bundle.open(first.evaluated).digest  # as registered


def test_a_champion_reads_the_golden_and_the_recent_lines_and_its_edits_stand_beside(
    first: Compared, second: Compared
) -> None:
    champion = second.report["champion"]
    assert set(champion["splits"]) == {"test", "recent"}
    assert champion["bundle_digest"] != second.report["challenger"]["bundle_digest"]
    for line in second.report["lines"]:
        assert (line["champion_edits"] is None) == (line["split"] == "val"), line
    edits = sum(line["champion_edits"] for line in second.report["lines"] if line["split"] == "test")
    characters = sum(line["characters"] for line in second.report["lines"] if line["split"] == "test")
    assert champion["splits"]["test"]["cer"] == pytest.approx(edits / characters)
    assert second.metrics == first.metrics


def test_the_page_shows_the_lines_and_names_the_champion_only_where_there_is_one(
    first: Compared, second: Compared
) -> None:
    for found in (first, second):
        assert "Evaluation" in found.page
        assert "line e" in found.page
    assert "champion" not in first.page.lower()
    assert "champion" in second.page.lower()
