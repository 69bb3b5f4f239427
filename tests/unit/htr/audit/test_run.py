"""The audit finds each planted fault, names its lines, and finds nothing in sound lines."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htr.audit.findings import Audit, Finding, audit_text, read_audit
from htr.audit.page import audit_page
from htr.audit.rules import RULES, WITH_MODEL
from htr.audit.run import audit_lines
from htr.errors import DataError
from htr.image import decode
from htr.lines import CORRECTIONS, Line, LinesDataset
from htr.recogniser import Recogniser
from tests.conftest import line_png, make_line
from tests.datasets import rewrite, sound_lines, write_lines
from tests.pages import read_offline
from tests.shared_lot import SHARED_DATA, needs_shared

Change = Callable[[list[Line]], list[Line]]


def encoded(grey: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.asarray(grey, np.uint8)).save(out, "PNG")
    return out.getvalue()


def audit(path: Path, change: Change = lambda lines: lines) -> Audit:
    return audit_lines(write_lines(path, change(sound_lines())))


def on(number: int, change: Callable[[Line], Line]) -> Change:
    return lambda lines: [change(line) if line.id == f"line-{number}" else line for line in lines]


def with_image(image: Callable[[Line], bytes]) -> Callable[[Line], Line]:
    return lambda line: replace(line, image=image(line))


def test_sound_lines_have_no_finding(tmp_path: Path) -> None:
    found = audit(tmp_path / "d")
    assert found.findings == ()
    assert set(found.rules) == set(RULES) - WITH_MODEL
    assert (found.num_lines, found.model) == (64, None)


FAULTS: dict[str, tuple[Change, list[str]]] = {
    "copy": (
        on(1, lambda line: replace(line, image=make_line("zwei 000 baum", 0).image, text="zwei 000 baum")),
        ["line-0", "line-1"],
    ),
    "conflicting_labels": (on(1, with_image(lambda _: make_line("zwei 000 baum", 0).image)), ["line-0", "line-1"]),
    "copy_in_two_splits": (
        on(30, lambda line: replace(line, image=make_line("zwei 000 baum", 0).image, text="zwei 000 baum")),
        ["line-0", "line-30"],
    ),
    "near_copy_in_two_splits": (
        on(
            30,
            lambda line: replace(
                line, image=encoded(decode(make_line("zwei 000 baum", 0).image) * 0.8), text="zwei 000 baum"
            ),
        ),
        ["line-0", "line-30"],
    ),
    "near_copy": (
        on(
            1,
            lambda line: replace(
                line, image=encoded(decode(make_line("zwei 000 baum", 0).image) * 0.8), text="zwei 000 baum"
            ),
        ),
        ["line-0", "line-1"],
    ),
    "infeasible": (on(3, lambda line: replace(line, text="w" * 90)), ["line-3"]),
    "placeholder": (on(3, lambda line: replace(line, text="UNREADABLE")), ["line-3"]),
    "unseen_character": (on(3, lambda line: replace(line, text="a\u200bb")), ["line-3"]),
    "mixed_scripts": (on(3, lambda line: replace(line, text="b\u0430um")), ["line-3"]),
    "too_long": (on(3, lambda line: replace(line, text="w" * 201)), ["line-3"]),
    "blank": (on(3, with_image(lambda _: encoded(np.full((32, 120), 230)))), ["line-3"]),
    "faint": (on(3, with_image(lambda line: encoded(200 + decode(line.image) / 8))), ["line-3"]),
    "inverted": (on(3, with_image(lambda line: encoded(255 - decode(line.image)))), ["line-3"]),
    "lying": (on(3, with_image(lambda line: encoded(np.rot90(decode(line.image))))), ["line-3"]),
    "too_small": (on(3, with_image(lambda _: encoded(np.tile([[30, 230]], (6, 60))))), ["line-3"]),
    "undecodable": (on(3, with_image(lambda line: line.image[:90])), ["line-3"]),
    "writer_in_two_splits": (
        on(30, lambda line: replace(line, writer="train-0")),
        [f"line-{n}" for n in (*range(0, 24, 3), 30)],
    ),
    "page_in_two_splits": (on(30, lambda line: replace(line, page="p0")), ["line-0", "line-30"]),
    "text_in_two_splits": (
        on(30, lambda line: replace(line, writer="train-0", text="zwei 003 baum")),
        ["line-3", "line-30"],
    ),
}


@pytest.mark.parametrize("rule", FAULTS)
def test_a_planted_fault_is_found_with_its_lines(tmp_path: Path, rule: str) -> None:
    change, lines = FAULTS[rule]
    found = audit(tmp_path / "d", change)
    assert found.lines(rule) == lines
    assert all(finding.severity == RULES[rule].severity for finding in found.findings if finding.rule == rule)
    about = {line_id for finding in found.findings for line_id in finding.ids}
    assert about <= set(lines) | set(FAULTS["writer_in_two_splits"][1]), "no other line is in question"


def test_corrected_and_recent_lines_may_share_writers(tmp_path: Path) -> None:
    def change(lines: list[Line]) -> list[Line]:
        lines[30] = replace(lines[30], writer="train-0", source=CORRECTIONS)
        lines[31] = replace(lines[31], writer="train-0", split="recent")
        return lines

    assert audit(tmp_path / "d", change).findings == ()


def test_a_character_in_a_line_or_two_of_a_thousand_is_rare(tmp_path: Path) -> None:
    image = line_png("same")
    lines = [replace(make_line(f"zwei {n:04d}", 0), id=f"l{n}", image=image) for n in range(1000)]
    lines[7] = replace(lines[7], text="zwei \u1e9e")
    assert audit_lines(write_lines(tmp_path / "d", lines)).lines("rare_character") == ["l7"]


def test_rows_that_no_line_may_be_are_audited_all_the_same(tmp_path: Path) -> None:
    dataset = write_lines(tmp_path / "d", sound_lines())

    def damage(rows: list[dict[str, object]]) -> list[dict[str, object]]:
        rows[0]["text"] = ""
        rows[1]["image"] = b""
        return rows

    found = audit_lines(rewrite(dataset, damage))
    assert found.lines("placeholder") == ["line-0"]
    assert found.lines("undecodable") == ["line-1"]
    assert "cannot be decoded" in audit_page(found, LinesDataset.open(tmp_path / "d"))


def test_the_page_shows_the_lines_and_loads_nothing(tmp_path: Path) -> None:
    nasty = '<img src="http://127.0.0.1/x.png"><script>alert(1)</script>'
    dataset = write_lines(
        tmp_path / "d", on(3, lambda line: replace(line, text=nasty, source=nasty))(sound_lines())
    )
    page = audit_page(audit_lines(dataset), dataset)
    read_offline(page)
    assert "<script" not in page
    assert page.count("data:image/png;base64,") >= 8


def test_the_contact_sheet_takes_lines_from_as_many_pages_as_it_can(tmp_path: Path) -> None:
    crowded = [replace(make_line(f"zwei {n:03d}", n), page="crowded") for n in range(60)]
    others = [replace(make_line(f"drei {n:03d}", 100 + n), page=f"page {n}") for n in range(3)]
    dataset = write_lines(tmp_path / "d", [*crowded, *others])
    sheet = audit_page(audit_lines(dataset), dataset).partition("A look at the lines")[2]
    assert all(f"line-{100 + n} " in sheet for n in range(3)), "no page is left out for one that has many lines"
    assert sheet.count("data:image/png;base64,") == 6, "three of the crowded page, and one of each other"


def test_the_list_is_read_back_and_a_cut_one_is_refused(tmp_path: Path) -> None:
    found = audit(tmp_path / "d", FAULTS["writer_in_two_splits"][0])
    file = tmp_path / "audit.jsonl"
    file.write_text(audit_text(found), encoding="utf-8")
    assert read_audit(file) == found
    file.write_text("".join(audit_text(found).splitlines(keepends=True)[:-1]), encoding="utf-8")
    with pytest.raises(DataError, match="cut off"):
        read_audit(file)
    file.write_text("no json")
    with pytest.raises(DataError, match="damaged"):
        read_audit(file)
    with pytest.raises(DataError, match="cannot be read"):
        read_audit(tmp_path / "none")


def test_a_finding_is_counted_by_its_severity() -> None:
    finding = Finding(rule="blank", severity="warning", ids=("a",), splits=("train",), detail="")
    found = Audit(dataset="d", digest="", num_lines=1, model=None, rules={"blank": 1}, findings=(finding,))
    assert (found.count("error"), found.count("warning")) == (0, 1)


@needs_shared
def test_swapped_labels_and_lines_upside_down_are_what_the_model_doubts_most(tmp_path: Path) -> None:
    from htr.importers.manifest import import_manifest
    from htr.pretrained import resolve

    import_manifest(
        SHARED_DATA / "manifest.csv", tmp_path / "lot", only={"subset": {"copiste"}, "split": {"test"}}, limit=60
    )
    lines = list(LinesDataset.open(tmp_path / "lot").lines())
    lines[10], lines[40] = replace(lines[10], text=lines[40].text), replace(lines[40], text=lines[10].text)
    lines[20] = replace(lines[20], image=encoded(decode(lines[20].image)[::-1, ::-1]))
    dataset = write_lines(tmp_path / "d", lines)
    found = audit_lines(dataset, recogniser=Recogniser.load(resolve("pretrained")))
    assert {lines[10].id, lines[40].id} <= set(found.lines("likely_mislabel"))
    assert found.lines("upside_down") == [lines[20].id]
    assert len(found.lines("likely_mislabel")) <= 4
    assert (
        audit_lines(dataset, recogniser=Recogniser.load(resolve("pretrained")), suspect_share=0.0).lines(
            "likely_mislabel"
        )
        == []
    )


def test_characters_that_the_model_lacks_are_told_of(tmp_path: Path, tiny_bundle: Path) -> None:
    dataset = write_lines(tmp_path / "d", [make_line("zwei 1", n) for n in range(3)])
    found = audit_lines(dataset, recogniser=Recogniser.load(tiny_bundle))
    assert found.lines("beyond_alphabet") == ["line-0", "line-1", "line-2"]
    assert found.model == Recogniser.load(tiny_bundle).digest
