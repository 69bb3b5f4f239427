"""A lines dataset -> images with a PAGE file each, for programs that correct or learn from such.

The pages that lines were cut from are not part of a dataset, so each image is a page of one line, marked from edge
to edge. Split, writer and page stand in the file's comment.
"""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from htr import __version__
from htr.exporters.folders import image_name, whole_folder
from htr.lines import Line, LinesDataset
from htr.plain_xml import PAGE_NAMESPACE, plain, xml_text


def export_pages(
    dataset: LinesDataset,
    out: Path,
    *,
    created: datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write an image and a PAGE file of 2019 for each line, in folders by split; return how many lines there are.

    Args:
        dataset: the lines.
        out: the folder to create.
        created: the time that the files say, in UTC; now by default.
        progress: called with lines done and lines in all.

    Raises:
        DataError: a shard is damaged.
        OutputError: the folder is there already or cannot be written.
    """
    created = created or datetime.now(UTC)
    with whole_folder(out) as folder:
        for number, line in enumerate(dataset.lines(), start=1):
            name = image_name(number, line.image)
            (folder / line.split).mkdir(exist_ok=True)
            (folder / line.split / name).write_bytes(line.image)
            xml = _page(line, name, created)
            (folder / line.split / name).with_suffix(".xml").write_text(xml, encoding="utf-8")
            if progress:
                progress(number, len(dataset))
    return len(dataset)


def _page(line: Line, file_name: str, created: datetime) -> str:
    root = ET.Element("PcGts", {"xmlns": PAGE_NAMESPACE})
    about = ET.SubElement(root, "Metadata")
    ET.SubElement(about, "Creator").text = f"quillflow {__version__}"
    for name in ("Created", "LastChange"):
        ET.SubElement(about, name).text = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    known = {name: getattr(line, name) for name in ("id", "split", "writer", "page", "language", "source")}
    ET.SubElement(about, "Comments").text = plain(json.dumps(known, ensure_ascii=False))
    size = {"imageWidth": str(line.width), "imageHeight": str(line.height)}
    page = ET.SubElement(root, "Page", {"imageFilename": file_name, **size})
    right, low = line.width - 1, line.height - 1
    edge = f"0,0 {right},0 {right},{low} 0,{low}"
    region = ET.SubElement(page, "TextRegion", {"id": "region_1"})
    ET.SubElement(region, "Coords", {"points": edge})
    item = ET.SubElement(region, "TextLine", {"id": "line_1"})
    ET.SubElement(item, "Coords", {"points": edge})
    foot = round(0.8 * low)
    ET.SubElement(item, "Baseline", {"points": f"0,{foot} {right},{foot}"})
    ET.SubElement(ET.SubElement(item, "TextEquiv"), "Unicode").text = plain(line.text)
    return xml_text(root)
