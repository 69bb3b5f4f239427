"""ALTO and PAGE: what is written is read again; what is neither is refused in words."""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

import pytest

from htr.errors import DataError
from htr.layout.geometry import PageLine
from htr.layout.marks import parse_page_xml
from htr.pages.reading import LineReading, PageReading, Word
from htr.pages.to_xml import alto_xml, page_xml
from tests.shared_lot import SHARED_DATA, needs_shared

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def reading_of(*texts: str) -> PageReading:
    lines = []
    for n, text in enumerate(texts):
        top = 10.0 + 50 * n
        polygon = ((10.0, top), (200.0, top), (210.0, top + 30), (10.0, top + 30))
        lefts = [10 + 60.0 * place for place in range(len(text.split()))]
        corners = [((x, top), (x + 50, top), (x + 50, top + 30), (x, top + 30)) for x in lefts]
        words = tuple(Word(text=word, polygon=place) for word, place in zip(text.split(), corners, strict=True))
        line = PageLine(polygon=polygon, baseline=((10.0, top + 25), (210.0, top + 27)), region=n // 2)
        lines.append(LineReading(line=line, text=text, confidence=0.5, words=words))
    return PageReading(width=300, height=400, skew_degrees=0.0, lines=tuple(lines))


READING = reading_of("one two", "<three> & 'four'", "été", "")


@pytest.mark.parametrize("kind", ["alto", "page"])
def test_lines_and_texts_are_read_as_they_were_written(tmp_path: Path, kind: str) -> None:
    text = (
        alto_xml(READING, file_name="a & b.png")
        if kind == "alto"
        else page_xml(READING, file_name="a & b.png", created=NOON)
    )
    (tmp_path / "a.xml").write_text(text, encoding="utf-8")
    marked = parse_page_xml(tmp_path / "a.xml")
    assert (marked.width, marked.height) == (300, 400)
    assert marked.texts == tuple(line.text for line in READING.lines)
    assert marked.lines == tuple(line.line for line in READING.lines)
    assert len(marked.zones) == 2
    assert "a &amp; b.png" in text


def test_alto_says_where_each_word_stands() -> None:
    root = ET.fromstring(alto_xml(READING, file_name="a.png"))  # noqa: S314 (our own)
    strings = root.findall(".//{*}String")
    assert [(s.get("CONTENT"), s.get("HPOS"), s.get("WIDTH")) for s in strings[:2]] == [
        ("one", "10", "50"),
        ("two", "70", "50"),
    ]
    (gap, *_) = root.findall(".//{*}SP")
    assert (gap.get("HPOS"), gap.get("WIDTH")) == ("60", "10")
    names = [element.get("ID") for element in root.iter() if element.get("ID")]
    assert len(names) == len(set(names))


def test_page_gives_the_reading_order_and_the_confidence() -> None:
    root = ET.fromstring(page_xml(READING, file_name="a.png", created=NOON))  # noqa: S314 (our own)
    assert [ref.get("regionRef") for ref in root.iter() if ref.tag.endswith("RegionRefIndexed")] == [
        "block_0",
        "block_1",
    ]
    assert [e.get("conf") for e in root.iter() if e.tag.endswith("TextEquiv")] == ["0.5000"] * 4
    assert root.findtext(".//{*}Created") == "2026-01-02T12:00:00Z"


def test_a_page_without_lines_is_a_page(tmp_path: Path) -> None:
    empty = reading_of()
    for text in (alto_xml(empty, file_name="a"), page_xml(empty, file_name="a", created=NOON)):
        (tmp_path / "a.xml").write_text(text, encoding="utf-8")
        assert parse_page_xml(tmp_path / "a.xml").lines == ()


def test_what_xml_cannot_hold_is_replaced() -> None:
    odd = reading_of("a\x00b\ud800c")
    for text in (alto_xml(odd, file_name="x\x01.png"), page_xml(odd, file_name="x\x01.png", created=NOON)):
        assert "a\ufffdb\ufffdc" in text
        ET.fromstring(text)  # noqa: S314 (our own)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("no xml", "no ALTO or PAGE"),
        ("<html/>", "root element is <html>"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><alto/>', "document type"),
        ("<alto/>", "0 pages"),
        ("<alto><MeasurementUnit>mm10</MeasurementUnit><Page/></alto>", "mm10"),
        ('<PcGts><Page imageWidth="x" imageHeight="4"/></PcGts>', "no ALTO or PAGE"),
    ],
)
def test_what_cannot_be_used_is_told_of(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "a.xml").write_text(content)
    with pytest.raises(DataError, match=told):
        parse_page_xml(tmp_path / "a.xml")
    with pytest.raises(DataError, match="check the path"):
        parse_page_xml(tmp_path / "none.xml")


def test_other_programs_ways_are_understood(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(
        '<alto><Layout><Page WIDTH="90.0" HEIGHT="80"><TextBlock>'
        '<TextLine BASELINE="40"><Shape><Polygon POINTS="1,2 30,2 30,42"/></Shape>'
        '<String CONTENT="one"/><String CONTENT="two"/></TextLine>'
        '<TextLine><String CONTENT="without outline"/></TextLine>'
        "</TextBlock></Page></Layout></alto>"
    )
    marked = parse_page_xml(tmp_path / "a.xml")
    assert marked.texts == ("one two",)
    (line,) = marked.lines
    assert line.polygon == ((1, 2), (30, 2), (30, 42))
    assert line.baseline == ((1, 42), (30, 42))


@needs_shared
def test_every_marked_page_of_the_shared_lot_is_read() -> None:
    folder = SHARED_DATA / "pages"
    counts = {path.name.split(".")[0]: len(parse_page_xml(path).lines) for path in folder.glob("*.xml")}
    assert len(counts) == 8
    assert counts["repert__FRAN_0025_2352_L-1"] == 242
    assert counts["timeus__IMG_20190620_123213"] == 39
