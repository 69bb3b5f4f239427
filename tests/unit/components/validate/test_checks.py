"""Every rule finds the fault it is there for, and nothing else."""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from components.validate.checks import MAX_EXAMPLES, validate_lines
from components.validate.report import Check, ValidationReport
from components.validate.rule import Rule
from htr.errors import DataError
from htr.lines import SCHEMA, LinesDataset
from tests.conftest import line_png, make_line
from tests.datasets import Rows, rewrite, sound_lines, write_lines
from tests.pages import read_offline

TRAIN, VAL, TEST = 0, 24, 44
"""Row of each split's first line in the sound dataset of 24 + 20 + 20 lines."""
LOOSE = pa.schema([field.with_nullable(True) for field in SCHEMA])
LONG = "viel zu lang " * 20 + "baum"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> LinesDataset:
    return write_lines(tmp_path_factory.mktemp("sound") / "lines", sound_lines())


def blank(height: int = 32, shade: int = 230) -> dict[str, Any]:
    out = io.BytesIO()
    Image.new("L", (200, height), shade).save(out, "PNG")
    return {"image": out.getvalue(), "width": 200, "height": height}


def tiny(text: str) -> dict[str, Any]:
    out = io.BytesIO()
    Image.open(io.BytesIO(line_png(text))).resize((90, 6)).save(out, "PNG")
    return {"image": out.getvalue(), "width": 90, "height": 6}


def setting(first: int, last: int | None = None, **values: Any) -> Callable[[Rows], Rows]:
    """Overwrite some values of some rows."""

    def change(rows: Rows) -> Rows:
        for row in rows[first : first + 1 if last is None else last]:
            row.update(values)
        return rows

    return change


def copying(source: int, target: int, *names: str) -> Callable[[Rows], Rows]:
    """Copy some values from one row to another."""

    def change(rows: Rows) -> Rows:
        rows[target].update({name: rows[source][name] for name in names})
        return rows

    return change


def dimming(source: int, target: int) -> Callable[[Rows], Rows]:
    """Copy a line to another row, its image saved again on darker paper."""

    def change(rows: Rows) -> Rows:
        out = io.BytesIO()
        Image.open(io.BytesIO(rows[source]["image"])).point(lambda level: level * 0.8).save(out, "PNG")
        rows[target].update(image=out.getvalue(), **{n: rows[source][n] for n in ("text", "width", "height")})
        return rows

    return change


def without(split: str, keep: int = 0) -> Callable[[Rows], Rows]:
    """Leave out the lines of a split, but for a few."""

    def change(rows: Rows) -> Rows:
        chosen = [row for row in rows if row["split"] == split]
        return [row for row in rows if row["split"] != split] + chosen[:keep]

    return change


def one_page(writer: str | None) -> Callable[[Rows], Rows]:
    """Put two lines of different splits onto one page, by an unknown writer or by those they have."""

    def change(rows: Rows) -> Rows:
        for row in (rows[TRAIN], rows[TEST]):
            row["page"] = "shared"
            row["writer"] = row["writer"] if writer is None else writer
        return rows

    return change


IMAGE = ("image", "width", "height")
Change = Callable[[Rows], Rows]
Fault = tuple[str, str, Change]
FAULTS: dict[str, list[Fault]] = {
    "fields": [
        ("values_present", "error", setting(TRAIN, page=None)),
        ("ids_unique", "error", copying(TRAIN + 1, TEST, "id")),
        ("split_known", "error", setting(TRAIN + 2, split="dev")),
        ("language_codes", "warning", setting(TRAIN + 3, language="English")),
    ],
    "texts": [
        ("text_present", "error", setting(TRAIN, text="")),
        ("text_normalised", "error", setting(TRAIN + 1, text="zwei  baum")),
        ("text_controls", "error", setting(TRAIN + 2, text="zwei\x07baum")),
        ("text_recoverable", "warning", setting(TRAIN + 5, text="سل baum 12")),
        ("text_visible", "warning", setting(TRAIN + 3, text="zwei\u200bbaum")),
        ("text_is_a_label", "warning", setting(TRAIN + 4, text="UNREADABLE")),
        ("alphabet_covered", "warning", setting(TEST, text="zwei Bäume")),
    ],
    "a few wrong images": [
        ("images_not_blank", "warning", setting(TRAIN, **blank())),
        ("images_large_enough", "warning", setting(TRAIN + 1, **tiny("zwei"))),
        ("images_as_large_as_stored", "warning", setting(TRAIN + 2, width=1)),
        ("ctc_feasible", "warning", setting(TRAIN + 3, text=LONG)),
        ("text_length", "warning", setting(TRAIN + 3, text=LONG)),
    ],
    "many wrong lines": [
        ("images_decodable", "error", setting(VAL, image=b"no image")),
        ("ctc_feasible", "error", setting(TRAIN, TRAIN + 5, text=LONG)),
        ("text_length", "error", setting(TRAIN, TRAIN + 5, text=LONG)),
        ("alphabet_covered", "error", setting(TEST, TEST + 20, text="ΑΒΓΔΕΖ")),
    ],
    "no train": [("split_train", "error", without("train")), ("alphabet_covered", "error", without("train"))],
    "no val": [("split_val", "error", without("val")), ("split_test", "warning", without("test", keep=5))],
    "no test": [("split_test", "error", without("test")), ("split_val", "warning", without("val", keep=5))],
    "shared between splits": [
        ("pages_in_one_split", "warning", one_page(writer=None)),
        ("writers_in_one_split", "error", copying(TRAIN + 1, TEST + 1, "writer")),
        ("images_in_one_split", "error", copying(TRAIN + 2, TEST + 2, "text", *IMAGE)),
        ("images_in_one_split_in_any_form", "warning", dimming(TRAIN + 7, TEST + 7)),
        ("images_once", "warning", copying(TRAIN + 3, TRAIN + 4, "text", *IMAGE)),
    ],
    "shared by the unknown": [
        ("pages_in_one_split", "error", one_page(writer="")),
        ("images_one_text", "error", copying(TRAIN + 3, TRAIN + 4, *IMAGE)),
        ("images_once", "warning", copying(TRAIN + 3, TRAIN + 4, *IMAGE)),
    ],
}


def spoilt(sound: LinesDataset, path: Path, change: Change) -> LinesDataset:
    shutil.copytree(sound.path, path)
    return rewrite(LinesDataset.open(path), change, LOOSE)


def failed(report: ValidationReport) -> dict[str, Check]:
    return {check.name: check for check in report.checks if not check.passed}


def test_a_sound_dataset_passes_every_check(sound: LinesDataset) -> None:
    seen: list[int] = []
    report = validate_lines(sound, on_progress=seen.append)
    assert report.ok
    assert failed(report) == {}
    assert seen == list(range(1, 65))
    assert all(check.expectation.startswith("Expect") for check in report.checks)
    report.raise_on_errors()


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_planted_faults_are_found_and_nothing_else(
    sound: LinesDataset, tmp_path: Path, faults: list[Fault]
) -> None:
    dataset = sound
    for number, (_, _, change) in enumerate(faults):
        dataset = spoilt(dataset, tmp_path / str(number), change)
    report = validate_lines(dataset)
    found = failed(report)
    assert {check.name: check.severity for check in found.values()} == {n: severity for n, severity, _ in faults}
    assert report.ok == all(check.severity == "warning" for check in found.values())
    for check in found.values():
        assert check.remedy
        if not check.name.startswith("split_t") and check.name != "split_val":  # these speak of a split as a whole
            assert check.message.startswith(f"{check.found} of {check.judged} lines ")
            assert len(check.examples) == min(MAX_EXAMPLES, check.found) > 0
        assert all(example.detail and "{" not in example.detail for example in check.examples)


def test_every_rule_about_lines_has_a_planted_fault(sound: LinesDataset) -> None:
    rules = {check.name for check in validate_lines(sound).checks if not check.name.startswith("shard_")}
    assert rules == {name for faults in FAULTS.values() for name, _, _ in faults}


def test_a_few_undecodable_images_are_a_warning(tmp_path: Path) -> None:
    dataset = write_lines(tmp_path / "lines", sound_lines(num_train=90))
    report = validate_lines(rewrite(dataset, setting(TRAIN, image=b"no image")))
    assert [(c.name, c.severity, c.found) for c in failed(report).values()] == [("images_decodable", "warning", 1)]


def test_a_corrected_hand_may_stand_on_both_sides(tmp_path: Path) -> None:
    corrected = [
        make_line(f"drei {n} baum", 100 + n, split=split, source="corrections", writer="test-1", page="p50")
        for n, split in enumerate(["train", "recent", "train", "recent"])
    ]
    asked = make_line("wer hat dies", 110, split="recent", writer="train-1", page="p0")
    asked = replace(asked, text="zwei baum")
    report = validate_lines(write_lines(tmp_path / "lines", [*sound_lines(), *corrected, asked]))
    assert failed(report).keys() <= {"alphabet_covered"}


def test_shards_that_are_not_what_was_written_are_found_before_any_line_is_read(
    sound: LinesDataset, tmp_path: Path
) -> None:
    def no_page(rows: Rows) -> Rows:
        return [{k: v for k, v in row.items() if k != "page"} | {"width": "wide", "note": "x"} for row in rows]

    shutil.copytree(sound.path, tmp_path / "columns")
    report = validate_lines(rewrite(LinesDataset.open(tmp_path / "columns"), no_page))
    (check,) = failed(report).values()
    assert check.name == "shard_schema"
    assert check.examples[0].detail == (
        "no column 'page'; unknown column 'note'; column 'width' is string, should be integer"
    )
    assert {c.name for c in report.checks} == {"shard_schema", "shard_rows", "shard_digests"}

    shutil.copytree(sound.path, tmp_path / "bytes")
    altered = LinesDataset.open(tmp_path / "bytes")
    file = altered.path / altered.info.shards[0]["file"]
    file.write_bytes(file.read_bytes()[:-100])
    assert failed(validate_lines(altered)).keys() == {"shard_schema", "shard_rows", "shard_digests"}


def test_a_dataset_without_lines_lacks_its_splits(tmp_path: Path) -> None:
    report = validate_lines(write_lines(tmp_path / "lines", []))
    assert failed(report).keys() == {"split_train", "split_val", "split_test"}
    assert "split train holds 0 lines" in report.errors[0].message


def test_examples_show_one_of_each_fault_before_a_second_of_any(sound: LinesDataset, tmp_path: Path) -> None:
    def change(rows: Rows) -> Rows:
        return setting(TRAIN + 22, language="deutsch")(setting(TRAIN, 22, language="English")(rows))

    check = failed(validate_lines(spoilt(sound, tmp_path / "lines", change)))["language_codes"]
    assert check.found == 23
    assert [e.detail for e in check.examples[:3]] == [
        "language 'English'",
        "language 'deutsch'",
        "language 'English'",
    ]


def test_the_error_lists_what_failed_with_examples_and_remedies(sound: LinesDataset, tmp_path: Path) -> None:
    def change(rows: Rows) -> Rows:
        return setting(TRAIN, 9, text="zwei\x07baum")(copying(TRAIN, TEST, "writer")(rows))

    report = validate_lines(spoilt(sound, tmp_path / "lines", change))
    with pytest.raises(DataError) as caught:
        report.raise_on_errors()
    text = str(caught.value).splitlines()
    assert text[0] == f"{tmp_path / 'lines'}: not fit for training, 2 of 29 checks failed (and 0 with a warning)"
    assert "  1. text_controls: 9 of 64 lines hold a control character" in text
    assert "       line-0: text 'zwei\\x07baum'" in text
    assert "       ... and 4 more" in text
    assert any(line.startswith("  2. writers_in_one_split: ") for line in text)
    assert sum(line.startswith("     remedy: ") for line in text) == 2


def test_the_report_is_json_with_a_version(sound: LinesDataset, tmp_path: Path) -> None:
    report = validate_lines(spoilt(sound, tmp_path / "lines", setting(TRAIN, text="")))
    values = json.loads(json.dumps(report.to_dict()))
    assert values["format_version"] == 1
    assert values["ok"] is False
    assert values["counts"]["split"] == {"test": 20, "train": 24, "val": 20}
    first = values["checks"][0]
    assert (first["name"], first["passed"], first["examples"]) == (
        "text_present",
        False,
        [{"id": "line-0", "detail": "the text is empty", "row": 0}],
    )


def test_the_page_shows_the_lines_in_question_and_stands_alone(sound: LinesDataset, tmp_path: Path) -> None:
    def change(rows: Rows) -> Rows:
        rows[TRAIN]["text"] = " <script>alert(1)</script>"
        rows[TRAIN + 1]["image"] = b"no image"
        return setting(VAL, VAL + 20, language="English")(rows)

    path = tmp_path / "report"
    report = validate_lines(spoilt(sound, tmp_path / "lines", change), report=path)
    page = read_offline(path.read_text(encoding="utf-8"))
    assert "Not fit for training. 2 of 29 checks failed, and 1 gave a warning" in page.text
    assert "<script>alert(1)</script>" in page.text
    assert "bytes are not an image" in page.text
    assert 10 < len(page.images) <= 40
    assert all(check.promise in page.text and check.expectation in page.text for check in report.checks)
    validate_lines(sound, report=path)
    assert "Fit for training. All 29 checks passed." in read_offline(path.read_text(encoding="utf-8")).text


def test_a_rule_must_expect_something() -> None:
    with pytest.raises(ValueError, match="'empty' expects nothing"):
        Rule(name="empty", promise="", complaint="", remedy="")
