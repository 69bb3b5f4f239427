"""A file of pages in, what is answered about it out: its lines, and the files that were asked for.

    {"pages": [{"page", "width", "height", "skew_degrees", "lines": [LINE, ...]}, ...],
     "files": {"text", "alto": [...], "page": [...], "pdf", "overlay": [...]}, "verdicts": [WORD, ...]}

A page is laid out as `htr.pages.to_json` does it. LINE adds its ``position`` in the request and ``verdicts`` and,
where they were asked for, ``characters``, ``alternatives`` and ``crop``. Text is one string with a form feed
between pages; ALTO, PAGE and overlays are one a page; PDF and pictures are base64.
"""

import base64
import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from htr.alignment import Character
from htr.image import Grey
from htr.layout.crop import Crop, crop, encode_crop
from htr.layout.files import PageFile, PageImage
from htr.layout.finding import find_lines
from htr.layout.geometry import Layout, PageLine
from htr.layout.overlay import overlay
from htr.pages.reading import LineReading, PageReading, words_of
from htr.pages.to_json import page_content
from htr.pages.to_pdf import PdfStream
from htr.pages.to_xml import alto_xml, page_xml
from htr.verdicts import Verdict
from serving.admission import Check
from serving.limits import Limits
from serving.line_source import Lines, Prediction
from serving.page_wanted import PageWanted
from serving.refusals import ImageTooLargeError

FORM_FEED = "\f"
OVERLAY_QUALITY = 85


def read_file(
    file: PageFile,
    lines: Lines,
    wanted: PageWanted,
    limits: Limits,
    *,
    instance: int,
    time: datetime,
    check: Check,
) -> dict[str, Any]:
    """Read all pages of a file, one after another.

    Args:
        file: opened.
        lines: reads the lines.
        wanted: what the answer shall hold.
        limits: how many lines a page may have.
        instance: the file's place in the request, from 0.
        time: what PAGE files are dated with.
        check: called between steps.

    Raises:
        ImageError: a page is damaged, too large or too small.
        ImageTooLargeError: a page has too many lines.
        RefusedError: the lines cannot be read now.
    """
    answer = _Answer(wanted, file.name, time)
    for image in file.pages():
        check()
        grey = image.grey()
        layout = find_lines(grey)
        check()
        num_lines = len(layout.lines)
        if num_lines > limits.max_lines:
            raise ImageTooLargeError(
                f"page {image.number} has {num_lines} lines, at most {limits.max_lines} are read; cut it up",
                instance=instance,
                verdict=Verdict.TOO_LARGE,
            )
        answer.add(image, layout, _read_lines(grey, layout, lines, wanted, check))
    return answer.content()


def b64(data: bytes) -> str:
    """Return base64 text."""
    return base64.b64encode(data).decode()


Found = tuple[LineReading, dict[str, Any]]
"""A line, and what the answer says of it beyond what `htr.pages.to_json` does."""


def _read_lines(grey: Grey, layout: Layout, lines: Lines, wanted: PageWanted, check: Check) -> list[Found]:
    page = 255 - grey if layout.dark else grey
    places = {id(line): position for position, line in enumerate(layout.lines, start=lines.num_read)}

    def cut(line: PageLine) -> Crop:
        return crop(page, line)

    def finish(line: PageLine, piece: Crop, said: Prediction) -> Found:
        characters = [Character(**one) for one in said["characters"]]
        reading = LineReading(
            line=line, text=said["text"], confidence=said["confidence"], words=words_of(piece, characters)
        )
        more = {"position": places[id(line)], "verdicts": said["verdicts"]}
        if wanted.lines.characters:
            more["characters"] = said["characters"]
        if wanted.lines.alternatives:
            more["alternatives"] = said["alternatives"]
        if wanted.crops:
            more["crop"] = {"b64": b64(encode_crop(piece.grey))}
        return reading, more

    return lines.read(layout.lines, cut, finish, check)


class _Answer:
    """What is answered about one file, page by page."""

    def __init__(self, wanted: PageWanted, name: str, time: datetime) -> None:
        self._formats = wanted.formats
        self._name = name
        self._time = time
        self._pages: list[dict[str, Any]] = []
        self._verdicts: set[Verdict] = set()
        self._texts: list[str] = []
        self._files: dict[str, list[str]] = {
            name: [] for name in ("alto", "page", "overlay") if name in self._formats
        }
        self._pdf_bytes = io.BytesIO()
        self._pdf = PdfStream(self._pdf_bytes) if "pdf" in self._formats else None

    def add(self, image: PageImage, layout: Layout, found: Sequence[Found]) -> None:
        """Add a page."""
        reading = PageReading(
            width=layout.width,
            height=layout.height,
            skew_degrees=layout.skew_degrees,
            lines=tuple(line for line, _ in found),
        )
        content = page_content(reading)
        content["lines"] = [line | more for line, (_, more) in zip(content["lines"], found, strict=True)]
        self._pages.append({"page": image.number, **content})
        self._judge(image, layout)
        self._texts.append(reading.text + "\n")
        if "alto" in self._files:
            self._files["alto"].append(alto_xml(reading, file_name=self._name, page=image.number))
        if "page" in self._files:
            self._files["page"].append(page_xml(reading, file_name=self._name, created=self._time))
        if "overlay" in self._files:
            drawn = io.BytesIO()
            overlay(image.image, layout.lines).save(drawn, "JPEG", quality=OVERLAY_QUALITY)
            self._files["overlay"].append(b64(drawn.getvalue()))
        if self._pdf is not None:
            self._pdf.add(image.image, reading, dpi=image.dpi)

    def content(self) -> dict[str, Any]:
        """Return all of it; nothing can be added afterwards."""
        files: dict[str, Any] = dict(self._files)
        if "text" in self._formats:
            files["text"] = FORM_FEED.join(self._texts)
        if self._pdf is not None:
            self._pdf.finish()
            files["pdf"] = b64(self._pdf_bytes.getvalue())
        verdicts = [one.value for one in Verdict if one in self._verdicts] or [Verdict.OK.value]
        return {"pages": self._pages, "files": files, "verdicts": verdicts}

    def _judge(self, image: PageImage, layout: Layout) -> None:
        remarks = {
            Verdict.BLANK: not layout.lines,
            Verdict.INVERTED_AND_FIXED: layout.dark,
            Verdict.ROTATED_AND_FIXED: image.turned,
            Verdict.ANIMATED: image.more_frames,
        }
        self._verdicts |= {verdict for verdict, applies in remarks.items() if applies}
