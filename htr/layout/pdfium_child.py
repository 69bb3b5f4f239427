"""The program that draws PDF pages, in a process of its own; `htr.layout.pdfium` runs it.

PDFs are programs, and PDFium is written in C++: one that makes it crash, or draw for ever, must take nothing else
with it. What is said to it and what it says:

    in    the PDF's length in bytes, a line; the PDF; then a line a page: its number from 1, most pixels, dpi
    out   {"pages": n}, a line; then for each page {"mode", "width", "height", "stride", "size"}, a line, and so
          many bytes; or {"reason", "error"} in the place of any of them, and that is the end

It runs as a file, without our other modules, so that it starts quickly.
"""

import json
import sys
from typing import Any, BinaryIO

import pypdfium2

MEMORY_BYTES = 2 * 1024**3
PROCESSOR_SECONDS = 120
"""Where nobody is left to stop it."""
_POINTS_PER_INCH = 72


class DrawingError(Exception):
    """A page or document cannot be drawn; its arguments are those of `htr.errors.ImageError`."""


def main() -> None:
    """Draw what is asked for until nothing more is."""
    _limit()
    asked, said = sys.stdin.buffer, sys.stdout.buffer
    data = asked.read(int(asked.readline()))
    try:
        document = _open(data)
        _say(said, {"pages": len(document)})
        for line in asked:
            number, max_pixels, dpi = (int(word) for word in line.split())
            _draw(said, document, number, max_pixels, dpi)
    except DrawingError as error:
        reason, text = error.args
        _say(said, {"reason": reason, "error": text})


def _open(data: bytes) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise DrawingError("undecodable", "the PDF wants a password; remove it and send it again") from error
        raise DrawingError("undecodable", "the PDF is damaged or cut off; export or copy it again") from error


def _draw(said: BinaryIO, document: pypdfium2.PdfDocument, number: int, max_pixels: int, dpi: int) -> None:
    try:
        page = document[number - 1]
        width, height = (size / _POINTS_PER_INCH * dpi for size in page.get_size())
        if width * height > max_pixels:
            raise DrawingError(
                "too_large",
                f"page {number} is {width:.0f} x {height:.0f} pixels at {dpi} dots an inch, "
                f"at most {max_pixels} are read; scale it down",
            )
        drawn = page.render(scale=dpi / _POINTS_PER_INCH, rev_byteorder=True)
    except pypdfium2.PdfiumError as error:
        raise DrawingError("undecodable", f"page {number} of the PDF is damaged; export it again") from error
    pixels = memoryview(drawn.buffer).cast("B")
    head = {"mode": drawn.mode, "width": drawn.width, "height": drawn.height, "stride": drawn.stride}
    _say(said, {**head, "size": len(pixels)}, pixels)
    page.close()


def _say(said: BinaryIO, head: dict[str, Any], content: memoryview | bytes = b"") -> None:
    said.write(json.dumps(head).encode() + b"\n")
    said.write(content)
    said.flush()


def _limit() -> None:
    """Bound memory and processor time, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
