"""Read pages as XML for others to use: ALTO 4.2 and PAGE 2019-07-15.

ALTO is the Library of Congress's format (https://www.loc.gov/standards/alto), PAGE the PRImA Research Lab's
(Pletschacher and Antonacopoulos 2010). Both open in eScriptorium and Transkribus; `htr.layout.marks` reads them.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby

from htr import __version__
from htr.layout.geometry import Points
from htr.pages.reading import LineReading, PageReading, Word
from htr.plain_xml import PAGE_NAMESPACE, plain, xml_text

_ALTO = "http://www.loc.gov/standards/alto/ns-v4#"
_ALTO_SCHEMA = "http://www.loc.gov/standards/alto/v4/alto-4-2.xsd"
_XSI = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"


def alto_xml(reading: PageReading, *, file_name: str, page: int = 1) -> str:
    """Return a read page as ALTO 4.2, words as strings with boxes, lines with outline and baseline.

    Args:
        reading: the page.
        file_name: of the image.
        page: its number in the file, from 1.
    """
    root = ET.Element("alto", {"xmlns": _ALTO, _XSI: f"{_ALTO} {_ALTO_SCHEMA}"})
    about = ET.SubElement(root, "Description")
    ET.SubElement(about, "MeasurementUnit").text = "pixel"
    ET.SubElement(ET.SubElement(about, "sourceImageInformation"), "fileName").text = plain(file_name)
    step = ET.SubElement(about, "Processing", {"ID": "quillflow"})
    software = ET.SubElement(step, "processingSoftware")
    ET.SubElement(software, "softwareName").text = "quillflow"
    ET.SubElement(software, "softwareVersion").text = __version__
    size = {"WIDTH": str(reading.width), "HEIGHT": str(reading.height)}
    sheet = ET.SubElement(
        ET.SubElement(root, "Layout"), "Page", {"ID": f"page_{page}", "PHYSICAL_IMG_NR": str(page), **size}
    )
    space = ET.SubElement(sheet, "PrintSpace", {"HPOS": "0", "VPOS": "0", **size})
    for region, lines in _blocks(reading):
        outline = _around(lines)
        block = ET.SubElement(space, "TextBlock", {"ID": f"block_{region}", **_alto_box(outline)})
        _alto_shape(block, outline)
        for number, line in lines:
            _alto_line(block, number, line)
    return xml_text(root)


def page_xml(reading: PageReading, *, file_name: str, created: datetime) -> str:
    """Return a read page as PAGE XML, with reading order and the confidence of every line.

    Args:
        reading: the page.
        file_name: of the image.
        created: when, in UTC.
    """
    root = ET.Element(
        "PcGts", {"xmlns": PAGE_NAMESPACE, _XSI: f"{PAGE_NAMESPACE} {PAGE_NAMESPACE}/pagecontent.xsd"}
    )
    about = ET.SubElement(root, "Metadata")
    ET.SubElement(about, "Creator").text = f"quillflow {__version__}"
    for name in ("Created", "LastChange"):
        ET.SubElement(about, name).text = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    size = {"imageWidth": str(reading.width), "imageHeight": str(reading.height)}
    sheet = ET.SubElement(root, "Page", {"imageFilename": plain(file_name), **size})
    blocks = list(_blocks(reading))
    if blocks:
        group = ET.SubElement(ET.SubElement(sheet, "ReadingOrder"), "OrderedGroup", {"id": "reading_order"})
        for place, (region, _) in enumerate(blocks):
            ET.SubElement(group, "RegionRefIndexed", {"index": str(place), "regionRef": f"block_{region}"})
    for region, lines in blocks:
        block = ET.SubElement(sheet, "TextRegion", {"id": f"block_{region}"})
        ET.SubElement(block, "Coords", {"points": _pairs(_around(lines))})
        for number, line in lines:
            item = ET.SubElement(block, "TextLine", {"id": f"line_{number}"})
            ET.SubElement(item, "Coords", {"points": _pairs(line.line.polygon)})
            ET.SubElement(item, "Baseline", {"points": _pairs(line.line.baseline)})
            equivalent = ET.SubElement(item, "TextEquiv", {"conf": f"{line.confidence:.4f}"})
            ET.SubElement(equivalent, "Unicode").text = plain(line.text)
    return xml_text(root)


def _blocks(reading: PageReading) -> Iterator[tuple[int, list[tuple[int, LineReading]]]]:
    """Yield block after block the numbered lines; a block whose lines do not follow on each other comes once."""
    ordered = sorted(enumerate(reading.lines), key=lambda pair: (pair[1].line.region, pair[0]))
    for region, lines in groupby(ordered, key=lambda pair: pair[1].line.region):
        yield region, list(lines)


def _alto_line(block: ET.Element, number: int, line: LineReading) -> None:
    outline = line.line.polygon
    item = ET.SubElement(
        block,
        "TextLine",
        {"ID": f"line_{number}", "BASELINE": _pairs(line.line.baseline, comma=" "), **_alto_box(outline)},
    )
    _alto_shape(item, outline)
    before: Word | None = None
    words = line.words or (Word(text="", polygon=outline),)  # the schema wants one string at least
    for place, word in enumerate(words):
        if before is not None:
            gap = {"HPOS": f"{before.polygon[1][0]:.0f}", "VPOS": f"{before.polygon[1][1]:.0f}"}
            ET.SubElement(
                item, "SP", {"WIDTH": f"{max(0.0, word.polygon[0][0] - before.polygon[1][0]):.0f}", **gap}
            )
        box = {"ID": f"string_{number}_{place}", "CONTENT": plain(word.text), **_alto_box(word.polygon)}
        ET.SubElement(item, "String", box)
        before = word


def _alto_shape(parent: ET.Element, outline: Points) -> None:
    ET.SubElement(ET.SubElement(parent, "Shape"), "Polygon", {"POINTS": _pairs(outline, comma=" ")})


def _alto_box(points: Points) -> dict[str, str]:
    xs, ys = zip(*points, strict=True)
    left, top = round(min(xs)), round(min(ys))
    width, height = round(max(xs)) - left, round(max(ys)) - top
    return {"HPOS": str(left), "VPOS": str(top), "WIDTH": str(width), "HEIGHT": str(height)}


def _around(lines: list[tuple[int, LineReading]]) -> Points:
    boxes = [line.line.box for _, line in lines]
    left, top = min(b[0] for b in boxes), min(b[1] for b in boxes)
    right, bottom = max(b[2] for b in boxes), max(b[3] for b in boxes)
    return (left, top), (right, top), (right, bottom), (left, bottom)


def _pairs(points: Points, *, comma: str = ",") -> str:
    return " ".join(f"{max(0, round(x))}{comma}{max(0, round(y))}" for x, y in points)
