"""ALTO or PAGE XML in, the lines that somebody marked on a page out.

Found lines are scored against them, and lines to learn from are cut out by them. Both formats are read as
eScriptorium, Transkribus and ABBYY write them: ALTO 2 to 4, PAGE 2010 to 2019. `htr.pages.to_xml` writes them.
"""

import html
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from htr.errors import DataError
from htr.layout.geometry import PageLine, Points
from htr.plain_xml import parse_xml

_PARTS = frozenset({"String", "SP", "HYP"})
_REFERENCE = re.compile(r"&(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});")
"""What is left in a text that was escaped twice; nobody writes it by hand."""
_TYPE = re.compile(r"type:\s*([^;}]+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkedLine:
    """One line as the file has it, with or without an outline."""

    id: str
    text: str
    polygon: Points
    """Outline; where there is none the line's box, and empty where there is no box either."""
    baseline: Points
    """At least two points, or empty."""
    has_outline: bool
    region: int
    """Number of its block, from 0."""
    kinds: tuple[str, ...] = ()
    """Types of the line and of its block, in the file's own words: ``printed``, ``DefaultLine:Handwritten``."""
    was_escaped_twice: bool = False
    """Its text held XML references as letters, which were resolved."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkedPage:
    """What a person, or another program, marked on a page."""

    width: int
    """In the file's unit, which `parse_page_xml` says."""
    height: int
    marks: tuple[MarkedLine, ...]
    """Every line, in the file's order."""
    zones: tuple[Points, ...]
    """Outlines of the blocks that have one."""
    file_name: str = ""
    """Of the image, as the file says it."""

    @property
    def outlined(self) -> list[MarkedLine]:
        """The lines that have an outline."""
        return [mark for mark in self.marks if mark.has_outline]

    @property
    def lines(self) -> tuple[PageLine, ...]:
        """Outlines of the lines that have one, in the file's order; ``region`` counts its blocks."""
        return tuple(
            PageLine(polygon=mark.polygon, baseline=mark.baseline or foot(mark.polygon), region=mark.region)
            for mark in self.outlined
        )

    @property
    def texts(self) -> tuple[str, ...]:
        """One for each of ``lines``."""
        return tuple(mark.text for mark in self.outlined)


def parse_page_xml(path: Path, *, any_unit: bool = False) -> MarkedPage:
    """Read the lines of an ALTO or PAGE file, of any version.

    Args:
        path: of the file.
        any_unit: whether points may be in millimetres or inches, so that they have to be scaled; else in pixels.

    Raises:
        DataError: the file cannot be read, is not XML, or is neither ALTO nor PAGE.
    """
    root = parse_xml(path)
    try:
        if root.tag == "alto":
            return _alto_page(root, any_unit)
        if root.tag == "PcGts":
            return _page_page(root)
    except (KeyError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{path}: is no ALTO or PAGE that can be used ({error!r}); export it again") from error
    raise DataError(f"{path}: root element is <{root.tag}>, expected <alto> or <PcGts>; export it again")


def foot(polygon: Points) -> Points:
    """Return a line at the foot of an outline: it stands for the baseline where a program gives none."""
    xs, ys = zip(*polygon, strict=True)
    return (min(xs), max(ys)), (max(xs), max(ys))


def _alto_page(root: ET.Element, any_unit: bool) -> MarkedPage:
    unit = root.findtext(".//MeasurementUnit", "pixel").strip()
    if unit != "pixel" and not any_unit:
        raise ValueError(f"MeasurementUnit is {unit!r}, only pixel can be used")
    sheet = _only_page(root)
    labels = {tag.get("ID", ""): tag.get("LABEL", "") for group in root.iter("Tags") for tag in group}
    marks: list[MarkedLine] = []
    blocks = list(sheet.iter("TextBlock"))
    for region, block in enumerate(blocks):
        for line in block.iter("TextLine"):
            outline = line.find("Shape/Polygon")
            polygon = _numbers(outline.attrib["POINTS"]) if outline is not None else ()
            text, twice = _unescaped(_alto_text([part for part in line if part.tag in _PARTS]))
            references = f"{line.get('TAGREFS', '')} {block.get('TAGREFS', '')}".split()
            marks.append(
                MarkedLine(
                    id=line.get("ID", ""),
                    text=text,
                    polygon=polygon if len(polygon) > 2 else _alto_box(line),
                    baseline=_baseline(line.get("BASELINE", "")),
                    has_outline=len(polygon) > 2,
                    region=region,
                    kinds=tuple(labels[name] for name in references if labels.get(name)),
                    was_escaped_twice=twice,
                )
            )
    outlines = [block.find("Shape/Polygon") for block in blocks]
    return MarkedPage(
        width=_length(sheet.attrib["WIDTH"]),
        height=_length(sheet.attrib["HEIGHT"]),
        marks=tuple(marks),
        zones=tuple(_numbers(shape.attrib["POINTS"]) for shape in outlines if shape is not None),
        file_name=(root.findtext(".//sourceImageInformation/fileName") or "").strip(),
    )


def _alto_text(parts: list[ET.Element]) -> str:
    """Return the text of a line; where a program writes no spaces, every string is a word."""
    between = "" if any(part.tag == "SP" for part in parts) else " "
    text = ""
    for part in parts:
        if part.tag == "SP":
            text += " "
        else:  # a hyphen at the end of a line belongs to its word
            text += ("" if part.tag == "HYP" or not text else between) + part.get("CONTENT", "")
    return text


def _alto_box(line: ET.Element) -> Points:
    try:
        left, top, width, height = (float(line.attrib[name]) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))
    except KeyError:
        return ()
    if not all(map(math.isfinite, (left, top, width, height))) or width <= 0 or height <= 0:
        return ()
    return (left, top), (left + width, top), (left + width, top + height), (left, top + height)


def _page_page(root: ET.Element) -> MarkedPage:
    sheet = _only_page(root)
    marks: list[MarkedLine] = []
    zones: list[Points] = []
    for region, block in enumerate(sheet.iter("TextRegion")):
        shape = block.find("Coords")
        if shape is not None:
            zones.append(_coordinates(shape))
        for line in block.findall("TextLine"):
            outline, base = line.find("Coords"), line.find("Baseline")
            polygon = _coordinates(outline) if outline is not None else ()
            text, twice = _unescaped(_page_text(line))
            marks.append(
                MarkedLine(
                    id=line.get("id", ""),
                    text=text,
                    polygon=polygon if len(polygon) > 2 else (),
                    baseline=_baseline(base.get("points", "")) if base is not None else (),
                    has_outline=len(polygon) > 2,
                    region=region,
                    kinds=tuple(_page_kinds(line) + _page_kinds(block)),
                    was_escaped_twice=twice,
                )
            )
    return MarkedPage(
        width=_length(sheet.attrib["imageWidth"]),
        height=_length(sheet.attrib["imageHeight"]),
        marks=tuple(marks),
        zones=tuple(zones),
        file_name=sheet.get("imageFilename", "").strip(),
    )


def _page_text(line: ET.Element) -> str:
    """Return the best text of a line: of several the one of the lowest index, of none those of its words."""
    texts = [(int(text.get("index", "0")), text.findtext("Unicode")) for text in line.findall("TextEquiv")]
    found = [(index, text) for index, text in texts if text is not None]
    if found:
        return min(found, key=lambda pair: pair[0])[1]
    return " ".join(word.findtext("TextEquiv/Unicode") or "" for word in line.findall("Word"))


def _page_kinds(element: ET.Element) -> list[str]:
    """Return the types that an element names: its own, how it was made, and Transkribus's structure."""
    named = [element.get("type", ""), element.get("production", ""), *_TYPE.findall(element.get("custom", ""))]
    return [kind.strip() for kind in named if kind.strip()]


def _coordinates(shape: ET.Element) -> Points:
    """Return the points of an outline; before 2013 each was an element of its own."""
    if "points" in shape.attrib:
        return _numbers(shape.attrib["points"])
    return _numbers(" ".join(f"{point.attrib['x']},{point.attrib['y']}" for point in shape.findall("Point")))


def _only_page(root: ET.Element) -> ET.Element:
    pages = list(root.iter("Page"))
    if len(pages) != 1:
        raise ValueError(f"has {len(pages)} pages, exactly one can be used")
    return pages[0]


def _baseline(points: str) -> Points:
    """Return a baseline of two points or more; some programs give a single height, which is none."""
    numbers = _numbers(points)
    return numbers if len(numbers) > 1 else ()


def _unescaped(text: str) -> tuple[str, bool]:
    """Resolve the references that are left where a program escaped a text twice, and say whether it did."""
    plain = _REFERENCE.sub(lambda match: html.unescape(match[0]), text)
    return plain, plain != text


def _length(number: str) -> int:
    value = float(number)
    if not 0.5 < value < 1e7:
        raise ValueError(f"a page of size {number!r}")
    return round(value)


def _numbers(points: str) -> Points:
    """Return the points of ``x,y x,y`` or ``x y x y``: both are about."""
    values = [float(number) for number in re.split(r"[\s,]+", points.strip()) if number]
    if not all(map(math.isfinite, values)):
        raise ValueError(f"points that are no numbers: {points[:40]!r}")
    if len(values) % 2:
        if len(values) == 1:
            return ()
        raise ValueError(f"{len(values)} numbers make no points: {points[:40]!r}")
    return tuple(zip(values[::2], values[1::2], strict=True))
