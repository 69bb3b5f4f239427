"""Files to take away open with the readers of this project, and say what was corrected."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from htr.errors import ImageError
from htr.layout.marks import parse_page_xml
from serving.web.downloads import write_download
from tests.unit.serving.web.desks import seen_line, work_with


def test_each_format_says_what_was_sent(tmp_path: Path) -> None:
    source = tmp_path / "scan.png"
    Image.new("L", (100, 200), 255).save(source)
    work = work_with(seen_line("one two"), seen_line("three"), source=source).with_sent("uno y two")
    paths = {
        wanted: write_download(work, wanted, tmp_path, clock=lambda: datetime(2026, 1, 2, tzinfo=UTC))
        for wanted in ("text", "alto", "page", "pdf")
    }
    assert [path.name for path in paths.values()] == ["scan.txt", "scan.alto.xml", "scan.page.xml", "scan.pdf"]
    assert paths["text"].read_text() == "uno y two\nthree\n"
    for name in ("alto", "page"):
        assert parse_page_xml(paths[name]).texts == ("uno y two", "three")
    text = pypdfium2.PdfDocument(paths["pdf"])[0].get_textpage().get_text_range()
    assert all(word in text for word in ("uno", "y", "two", "three"))


def test_of_several_pages_xml_is_of_the_one_shown_and_text_of_all(tmp_path: Path) -> None:
    one = work_with(seen_line("one"))
    work = replace(
        one, sheets=(one.sheets[0], replace(one.sheets[0], number=2, lines=(seen_line("two"),))), sheet=1
    )
    assert write_download(work, "page", tmp_path).name == "scan.0002.page.xml"
    assert write_download(work, "text", tmp_path).read_text() == "one\n\ntwo\n"


def test_a_pdf_needs_the_picture(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no longer kept"):
        write_download(work_with(seen_line("one"), source=tmp_path / "gone.png"), "pdf", tmp_path)
    assert list(tmp_path.iterdir()) == []
