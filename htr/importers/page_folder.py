"""Page images with ALTO or PAGE XML in, a lines dataset out: every marked line is cut out of its page.

Lines are cut as `htr.layout.crop` cuts those of pages that are read: turned level, what lies outside the outline
painted with paper. Each line of each file is a row; a file that is no page is one row, too.
"""

import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from htr.direction import is_right_to_left
from htr.errors import DataError, SettingsError
from htr.image import Grey
from htr.importers.folders import Known, files_under, folder_of, split_at
from htr.importers.page_scans import Scan, page_name, scan_of
from htr.importers.policy import Cleaner, cleaner_for
from htr.importers.rows import Progress, RowRejected, write_rows
from htr.layout.crop import crop
from htr.layout.geometry import PageLine, Points
from htr.layout.marks import MarkedLine, MarkedPage, foot, parse_page_xml
from htr.layout.strips import line_distance, strip
from htr.levels import measure_levels
from htr.lines import DatasetInfo, Line

CROPS = ("polygon", "baseline")
NOT_HANDWRITTEN = ("print", "printed", "typed", "typewritten")
"""Words in the type of a line, or else of its block, that keep it out by default."""
_HANDWRITTEN = frozenset({"handwritten", "manuscript", "handwriting"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Cutting:
    """How lines are taken from their pages."""

    by: str = "polygon"
    """``polygon``: along the outline, or a strip where there is none; ``baseline``: always a strip along the
    baseline."""
    max_height: int | None = None
    """Pixels; higher lines are scaled down to it. None keeps the page's resolution."""
    drop_types: frozenset[str] = frozenset(NOT_HANDWRITTEN)
    """Lines of these types are quarantined as ``type_WORD``."""

    def __post_init__(self) -> None:
        if self.by not in CROPS:
            raise SettingsError(f"crop {self.by!r} is not known; choose one of {CROPS}")
        if self.max_height is not None and self.max_height < 16:
            raise SettingsError(f"max-height must be 16 pixels or more, got {self.max_height}")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Row:
    xml: str
    name: str
    mark: MarkedLine | None = None
    page: MarkedPage | None = None
    fault: RowRejected | None = None


@dataclass(slots=True)
class _Pages:
    """The page that is being cut up; only one is in memory at a time."""

    root: Path
    xml: str = ""
    scan: Scan | RowRejected | None = None
    distance: float = 0.0
    notes: Counter[str] = field(default_factory=Counter)

    def scan_of(self, xml: str, page: MarkedPage) -> Scan:
        if xml != self.xml:
            self.xml = xml
            self.distance = line_distance([m.baseline for m in page.marks if m.baseline], page.height)
            try:
                self.scan = scan_of(self.root, xml, page)
                self.notes.update(self.scan.notes)
            except RowRejected as refusal:
                self.scan = refusal
        if isinstance(self.scan, RowRejected):
            raise RowRejected(self.scan.reason, self.scan.detail)
        if self.scan is None:
            raise AssertionError("a page is opened before it is cut up")
        return self.scan


def import_page_folder(
    folder: Path,
    out: Path,
    *,
    known: Known | None = None,
    cutting: Cutting | None = None,
    limit: int | None = None,
    policy: str | Path | None = None,
    progress: Progress | None = None,
) -> DatasetInfo:
    """Import a folder of pages; each of their lines is kept or quarantined with a reason.

    Args:
        folder: is searched, with all that is below it, for XML files; images lie beside them, one folder up
            or in a folder ``images``.
        out: the folder to create.
        known: what is true of all lines.
        cutting: how lines are taken from their pages.
        limit: take that many lines at most.
        policy: cleaning rules, by file or name; see `htr.importers.policy`.
        progress: called with lines done and lines in all.

    Raises:
        DataError: there is nothing to import, or nothing of it can be used; nothing is written then.
        SettingsError: the limit is below 1, or the policy cannot be used.
        OutputError: the folder is there already or cannot be written.
    """
    if limit is not None and limit < 1:
        raise SettingsError(f"limit must be 1 or more, got {limit}")
    known, cutting = known or Known(), cutting or Cutting()
    if not any(True for _ in files_under(folder, (".xml",))):
        raise DataError(f"{folder}: holds no .xml file; put the ALTO or PAGE files beside their images")
    total = sum(1 for _ in islice(_rows(folder), limit))
    cleaner = cleaner_for(policy, lambda: (row.mark.text for row in islice(_rows(folder), limit) if row.mark))
    pages = _Pages(folder)
    return write_rows(
        islice(_rows(folder), limit),
        out,
        origin=folder,
        total=total,
        name_of=lambda row: row.name,
        to_line=lambda row: _line(row, pages, known, cutting, cleaner),
        progress=progress,
        lineage=lambda: {
            "importer": "pages",
            "origin": folder.resolve().name,
            "crop": cutting.by,
            **({"notes": dict(sorted(pages.notes.items()))} if pages.notes else {}),
            **cleaner.lineage(),
        },
    )


def _rows(folder: Path) -> Iterator[_Row]:
    for xml in files_under(folder, (".xml",)):
        name = page_name(xml)
        try:
            page = _page(folder, xml)
        except RowRejected as refusal:
            yield _Row(xml=xml, name=name, fault=refusal)
            continue
        counts = Counter(mark.id for mark in page.marks)
        for number, mark in enumerate(page.marks, start=1):
            # ids should be there and unique within their file; where they are not, the place makes them so
            own = mark.id if mark.id and counts[mark.id] == 1 else f"{mark.id or 'line'}-{number}"
            yield _Row(xml=xml, name=f"{name}/{own}", mark=mark, page=page)


def _page(folder: Path, xml: str) -> MarkedPage:
    if not (folder / xml).resolve().is_relative_to(folder.resolve()):
        raise RowRejected("outside_folder", f"{xml} is a link that leads out of {folder}")
    try:
        page = parse_page_xml(folder / xml, any_unit=True)
    except DataError as error:
        raise RowRejected("bad_xml", str(error)) from error
    if not page.marks:
        raise RowRejected("no_lines", f"{xml}: nothing is marked on the page")
    return page


def _line(row: _Row, pages: _Pages, known: Known, cutting: Cutting, cleaner: Cleaner) -> Line:
    if row.fault is not None:
        raise row.fault
    if row.mark is None or row.page is None:
        raise AssertionError("a row is a line or a fault")
    dropped = _dropped_type(row.mark, cutting.drop_types)
    if dropped:
        raise RowRejected(f"type_{dropped}", f"types {', '.join(row.mark.kinds)}")
    text = cleaner.text(row.mark.text)
    scan = pages.scan_of(row.xml, row.page)
    grey = _cut(row.mark, scan, cutting, pages.distance)
    pages.notes["texts_escaped_twice"] += row.mark.was_escaped_twice
    page, place = page_name(row.xml), folder_of(row.xml)
    writer = known.writer(place, page)
    return Line(
        id=row.name,
        image=_png(grey),
        text=text,
        writer=writer,
        page=page,
        language=known.language,
        source=known.source or pages.root.resolve().name,
        split=split_at(row.xml, writer or page),
        width=grey.shape[1],
        height=grey.shape[0],
    )


def _dropped_type(mark: MarkedLine, words: frozenset[str]) -> str:
    """Return the word that keeps a line out, or ""; the line's own type goes before that of its block."""
    for kind in mark.kinds:
        said = re.findall(r"[a-z]+", kind.casefold())
        if found := words.intersection(said):
            return min(found)
        if _HANDWRITTEN.intersection(said):
            break
    return ""


def _cut(mark: MarkedLine, scan: Scan, cutting: Cutting, distance: float) -> Grey:
    polygon = mark.polygon
    if mark.baseline and (cutting.by == "baseline" or not polygon):
        polygon = strip(mark.baseline, distance)
    if len(polygon) < 3:
        raise RowRejected("no_outline", "neither an outline, nor a baseline, nor a box")
    outline = scan.placed(polygon)
    xs, ys = zip(*outline, strict=True)
    if max(xs) - min(xs) < 2 or max(ys) - min(ys) < 2:
        raise RowRejected("outside_page", "its outline has no area on the page")
    baseline = scan.placed(mark.baseline) if mark.baseline else foot(outline)
    line = PageLine(polygon=outline, baseline=_from_left(baseline, mark.text))
    levels = measure_levels(scan.grey[round(min(ys)) : round(max(ys)) + 1, round(min(xs)) : round(max(xs)) + 1])
    paper, ink = levels.paper, levels.ink
    # Cutting paints with paper and takes the light part for it: light writing on dark is turned over meanwhile.
    piece = 255 - crop(255 - scan.grey, line).grey if ink > paper else crop(scan.grey, line).grey
    if cutting.max_height is None or piece.shape[0] <= cutting.max_height:
        return piece
    return _scaled(piece, cutting.max_height)


def _from_left(baseline: Points, text: str) -> Points:
    """Return a baseline from left to right; programs may draw those of Hebrew or Arabic as they are read."""
    return baseline[::-1] if baseline[-1][0] < baseline[0][0] and any(map(is_right_to_left, text)) else baseline


def _scaled(grey: Grey, height: int) -> Grey:
    width = max(1, round(grey.shape[1] * height / grey.shape[0]))
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.LANCZOS), np.uint8)


def _png(grey: Grey) -> bytes:
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG")
    return out.getvalue()
