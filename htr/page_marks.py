"""ALTO or PAGE XML in, the lines that somebody marked on a page out: what found lines are scored against.

Both are read as eScriptorium and Transkribus write them, of any version; `htr.page_xml` writes them.
"""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from htr.errors import DataError
from htr.page_geometry import PageLine, Points

_WORDS = frozenset({"String", "SP", "HYP"})


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkedPage:
    """What a person, or another program, marked on a page."""

    width: int
    height: int
    lines: tuple[PageLine, ...]
    """In the file's order; ``region`` counts its blocks."""
    texts: tuple[str, ...]
    """One a line."""
    zones: tuple[Points, ...]
    """Outlines of the blocks that have one."""


def parse_page_xml(path: Path) -> MarkedPage:
    """Read the lines of an ALTO or PAGE file, of any version; lines without an outline are left out.

    Raises:
        DataError: the file cannot be read, is not XML, or is neither ALTO nor PAGE.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:  # neither format has one; entities are how XML bombs are made
        raise DataError(f"{path}: declares a document type, which ALTO and PAGE do not; remove it")
    try:
        root = ET.fromstring(data)  # noqa: S314 (bombs are refused above, and nothing outside is ever fetched)
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        if root.tag == "alto":
            return _alto_page(root)
        if root.tag == "PcGts":
            return _page_page(root)
    except (ET.ParseError, KeyError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: is no ALTO or PAGE that can be used ({error!r}); export it again") from error
    raise DataError(f"{path}: root element is <{root.tag}>, expected <alto> or <PcGts>; export it again")


def _alto_page(root: ET.Element) -> MarkedPage:
    unit = root.findtext(".//MeasurementUnit", "pixel")
    if unit != "pixel":
        raise ValueError(f"MeasurementUnit is {unit!r}, only pixel can be used")
    sheet = _only_page(root)
    lines: list[PageLine] = []
    texts: list[str] = []
    blocks = list(sheet.iter("TextBlock"))
    for region, block in enumerate(blocks):
        for line in block.iter("TextLine"):
            outline = line.find("Shape/Polygon")
            if outline is None:
                continue
            polygon = _numbers(outline.attrib["POINTS"])
            baseline = _numbers(line.get("BASELINE", ""))
            lines.append(_marked_line(polygon, baseline, region))
            texts.append(_alto_text([part for part in line if part.tag in _WORDS]))
    outlines = [block.find("Shape/Polygon") for block in blocks]
    return MarkedPage(
        width=round(float(sheet.attrib["WIDTH"])),
        height=round(float(sheet.attrib["HEIGHT"])),
        lines=tuple(lines),
        texts=tuple(texts),
        zones=tuple(_numbers(shape.attrib["POINTS"]) for shape in outlines if shape is not None),
    )


def _alto_text(parts: list[ET.Element]) -> str:
    """Return the text of a line; where a program writes no spaces, every string is a word."""
    between = "" if any(part.tag == "SP" for part in parts) else " "
    return between.join(" " if part.tag == "SP" else part.get("CONTENT", "") for part in parts)


def _page_page(root: ET.Element) -> MarkedPage:
    sheet = _only_page(root)
    lines: list[PageLine] = []
    texts: list[str] = []
    zones: list[Points] = []
    for region, block in enumerate(sheet.iter("TextRegion")):
        shape = block.find("Coords")
        if shape is not None:
            zones.append(_numbers(shape.attrib["points"]))
        for line in block.findall("TextLine"):
            outline, base = line.find("Coords"), line.find("Baseline")
            if outline is None:
                continue
            baseline = _numbers(base.attrib["points"]) if base is not None else ()
            lines.append(_marked_line(_numbers(outline.attrib["points"]), baseline, region))
            texts.append(line.findtext("TextEquiv/Unicode") or "")
    return MarkedPage(
        width=int(sheet.attrib["imageWidth"]),
        height=int(sheet.attrib["imageHeight"]),
        lines=tuple(lines),
        texts=tuple(texts),
        zones=tuple(zones),
    )


def _only_page(root: ET.Element) -> ET.Element:
    pages = list(root.iter("Page"))
    if len(pages) != 1:
        raise ValueError(f"has {len(pages)} pages, exactly one can be used")
    return pages[0]


def _marked_line(polygon: Points, baseline: Points, region: int) -> PageLine:
    if len(baseline) < 2:  # some programs give a single height; a line at the foot of the outline stands for it
        xs, ys = zip(*polygon, strict=True)
        baseline = ((min(xs), max(ys)), (max(xs), max(ys)))
    return PageLine(polygon=polygon, baseline=baseline, region=region)


def _numbers(points: str) -> Points:
    """Return the points of ``x,y x,y`` or ``x y x y``: both are about."""
    values = [float(number) for number in re.split(r"[\s,]+", points.strip()) if number]
    if len(values) % 2:
        if len(values) == 1:
            return ()
        raise ValueError(f"{len(values)} numbers make no points: {points[:40]!r}")
    return tuple(zip(values[::2], values[1::2], strict=True))
