"""Searchable PDF: the picture of every page, and over it the text that was read, which can be found and copied.

The text is invisible: it is set in Type 3 fonts (PDF 32000-1, section 9.6.5) whose glyphs draw nothing and whose
ToUnicode maps say which character each stands for. So any script can be searched without embedding a font of it.
"""

import io
import math
import zlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from PIL import Image

from htr.errors import OutputError
from htr.pages.reading import LineReading, PageReading, Word

JPEG_QUALITY = 85
_POINTS_PER_INCH = 72
_ADVANCE = 500
"""Width of every glyph, in thousandths of the font size."""
_DESCENT = 0.2
"""Share of a word's height that lies below its baseline."""
_CODES = 256
"""Characters in one font: the codes of one byte."""
_CATALOG, _PAGES, _FONTS, _GLYPH = 1, 2, 3, 4


class PdfWriter:
    """Writes a PDF page by page; it appears under its name when all is well at the end of the ``with`` block.

    Args:
        path: the file to write; its folder is there.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._file: BinaryIO

    def __enter__(self) -> "PdfStream":
        try:
            self._file = self._partial.open("wb")
            self._pdf = PdfStream(self._file)
        except OSError as error:
            raise self._failed(error) from error
        return self._pdf

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._pdf.finish()
            self._file.close()
            if kind is None:
                self._partial.replace(self._path)
        except OSError as failure:
            raise self._failed(failure) from failure
        finally:
            self._file.close()
            self._partial.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(f"{self._path}: cannot be written ({error.strerror}); choose another place")


class PdfStream:
    """A PDF that grows page by page in an open file or in memory.

    Args:
        file: takes bytes from its start on; the caller closes it.

    Raises:
        OSError: here and in every method, the file cannot be written.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offsets: dict[int, int] = {}
        self._last = _GLYPH
        self._page_numbers: list[int] = []
        self._codes: dict[str, int] = {}
        self._file.write(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n")

    def add(self, image: Image.Image, reading: PageReading, *, dpi: float) -> None:
        """Add one page.

        Args:
            image: upright, of the reading's size.
            reading: what was read on it.
            dpi: dots an inch, which gives the size of the paper.
        """
        scale = _POINTS_PER_INCH / dpi
        width, height = reading.width * scale, reading.height * scale
        picture = image if image.mode in {"L", "RGB"} else image.convert("RGB")
        jpeg = io.BytesIO()
        picture.save(jpeg, "JPEG", quality=JPEG_QUALITY)
        colours = "DeviceGray" if picture.mode == "L" else "DeviceRGB"
        image_number = self._stream(
            jpeg.getvalue(),
            f"/Type /XObject /Subtype /Image /Width {picture.width} /Height {picture.height} "
            f"/ColorSpace /{colours} /BitsPerComponent 8 /Filter /DCTDecode",
        )
        drawn = [f"q {width:.2f} 0 0 {height:.2f} 0 0 cm /Page Do Q", "BT 3 Tr"]
        for line in reading.lines:
            drawn += self._line(line, scale, height)
        content = zlib.compress("\n".join([*drawn, "ET"]).encode("ascii"))
        content_number = self._stream(content, "/Filter /FlateDecode")
        page = self._new()
        self._object(
            page,
            f"<< /Type /Page /Parent {_PAGES} 0 R /MediaBox [0 0 {width:.2f} {height:.2f}] "
            f"/Contents {content_number} 0 R "
            f"/Resources << /XObject << /Page {image_number} 0 R >> /Font {_FONTS} 0 R >> >>",
        )
        self._page_numbers.append(page)

    def _line(self, line: LineReading, scale: float, height: float) -> list[str]:
        drawn: list[str] = []
        for place, word in enumerate(line.words):
            drawn += self._word(word, scale, height, last=place == len(line.words) - 1)
        return drawn

    def _word(self, word: Word, scale: float, height: float, *, last: bool) -> list[str]:
        (left, top), _, (x1, y1), (x0, y0) = word.polygon
        size = max(1.0, math.hypot(x0 - left, y0 - top) * scale)
        width = max(0.1, math.hypot(x1 - x0, y1 - y0) * scale)
        angle = math.atan2(y0 - y1, x1 - x0)
        cos, sin = math.cos(angle), math.sin(angle)
        x = x0 * scale - sin * _DESCENT * size
        y = height - y0 * scale + cos * _DESCENT * size
        stretch = 100 * width / (len(word.text) * _ADVANCE / 1000 * size)
        drawn = [f"{stretch:.2f} Tz {cos:.5f} {sin:.5f} {-sin:.5f} {cos:.5f} {x:.2f} {y:.2f} Tm"]
        font, run = -1, ""
        for character in word.text if last else word.text + " ":
            code = self._codes.setdefault(character, len(self._codes))
            if code // _CODES != font:
                if run:
                    drawn.append(f"<{run}> Tj")
                font, run = code // _CODES, ""
                drawn.append(f"/F{font} {size:.2f} Tf")
            run += f"{code % _CODES:02x}"
        return [*drawn, f"<{run}> Tj"]

    def finish(self) -> None:
        """Write what stands at the end of a PDF; there is no adding to it afterwards."""
        characters = list(self._codes)
        fonts = [
            f"/F{number} {self._font(characters[first : first + _CODES])} 0 R"
            for number, first in enumerate(range(0, len(characters), _CODES))
        ]
        self._object(_FONTS, f"<< {' '.join(fonts)} >>")
        procedure = f"{_ADVANCE} 0 0 -{_DESCENT * 1000:.0f} {_ADVANCE} {(1 - _DESCENT) * 1000:.0f} d1".encode()
        self._stream(procedure, "", number=_GLYPH)
        kids = " ".join(f"{number} 0 R" for number in self._page_numbers)
        self._object(_PAGES, f"<< /Type /Pages /Kids [{kids}] /Count {len(self._page_numbers)} >>")
        self._object(_CATALOG, f"<< /Type /Catalog /Pages {_PAGES} 0 R >>")
        start = self._file.tell()
        rows = [f"{self._offsets[number]:010d} 00000 n \n" for number in range(1, self._last + 1)]
        self._file.write(f"xref\n0 {self._last + 1}\n0000000000 65535 f \n{''.join(rows)}".encode())
        trailer = f"trailer\n<< /Size {self._last + 1} /Root {_CATALOG} 0 R >>\nstartxref\n{start}\n%%EOF\n"
        self._file.write(trailer.encode())

    def _font(self, characters: list[str]) -> int:
        values = [character.encode("utf-16-be", "replace").hex() for character in characters]
        pairs = [f"<{code:02x}> <{value}>" for code, value in enumerate(values)]
        blocks = [pairs[first : first + 100] for first in range(0, len(pairs), 100)]  # the format's limit
        mapped = "\n".join(f"{len(b)} beginbfchar\n" + "\n".join(b) + "\nendbfchar" for b in blocks)
        unicode_map = (
            "/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n"
            "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
            "/CMapName /Adobe-Identity-UCS def /CMapType 2 def\n"
            f"1 begincodespacerange <00> <ff> endcodespacerange\n{mapped}\n"
            "endcmap CMapName currentdict /CMap defineresource pop end end"
        )
        map_number = self._stream(unicode_map.encode("ascii"), "")
        names = [f"/c{code}" for code in range(len(characters))]
        number = self._new()
        self._object(
            number,
            f"<< /Type /Font /Subtype /Type3 /FontMatrix [0.001 0 0 0.001 0 0] /Resources << >> "
            f"/FontBBox [0 -{_DESCENT * 1000:.0f} {_ADVANCE} {(1 - _DESCENT) * 1000:.0f}] "
            f"/FirstChar 0 /LastChar {len(names) - 1} /Widths [{' '.join([str(_ADVANCE)] * len(names))}] "
            f"/Encoding << /Type /Encoding /Differences [0 {' '.join(names)}] >> "
            f"/CharProcs << {' '.join(f'{name} {_GLYPH} 0 R' for name in names)} >> "
            f"/ToUnicode {map_number} 0 R >>",
        )
        return number

    def _new(self) -> int:
        self._last += 1
        return self._last

    def _stream(self, data: bytes, entries: str, *, number: int | None = None) -> int:
        number = self._new() if number is None else number
        head = f"<< {entries} /Length {len(data)} >>\nstream\n".encode("ascii")
        self._write(number, head + data + b"\nendstream")
        return number

    def _object(self, number: int, body: str) -> None:
        self._write(number, body.encode("ascii"))

    def _write(self, number: int, body: bytes) -> None:
        self._offsets[number] = self._file.tell()
        self._file.write(b"%d 0 obj\n" % number + body + b"\nendobj\n")
