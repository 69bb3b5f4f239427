"""Files that go wrong as pages, made by code; nasty_pages.csv says what the server answers to each.

What goes wrong as a line image too (`tests.nasty_images`) goes wrong the same way here and is not made again.
"""

import io
import struct
from collections.abc import Callable

import numpy as np
from PIL import Image

from htr.pages.reading import PageReading
from htr.pages.to_pdf import PdfStream
from tests.drawn_pages import DrawnPage
from tests.nasty_images import IMAGES, encoded, png_header, tiff_header, turned


def drawn(lines: int = 3) -> Image.Image:
    page = DrawnPage(width=600, height=520)
    page.column(lines, 60, top=60, words=4)
    return Image.fromarray(page.grey())


PAGE = encoded(drawn())


def scan(*pages: Image.Image) -> bytes:
    """Return a PDF of pictures, made by our own writer."""
    out = io.BytesIO()
    pdf = PdfStream(out)
    for page in pages:
        pdf.add(page, PageReading(width=page.width, height=page.height, skew_degrees=0.0, lines=()), dpi=250)
    pdf.finish()
    return out.getvalue()


def pdf(*objects: bytes, trailer: bytes = b"") -> bytes:
    """Return a PDF of some objects, numbered from 1, the first of them its catalogue."""
    out, places = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    end = b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        trailer,
        len(out),
    )
    return out + head + end


CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"


def one_page(page: bytes, *more: bytes, catalog: bytes = CATALOG) -> bytes:
    return pdf(catalog, b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page, *more)


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), entries, content)


SHEET = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] >>"
RUNS_SCRIPT = (
    b"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /JavaScript /JS (app.alert(1); while\\(1\\){}) >> "
    b"/AA << /WC << /S /Launch /F (/bin/sh) >> >> >>"
)
DRAWS_ITSELF = stream(
    b"/X Do /X Do", b"/Type /XObject /Subtype /Form /BBox [0 0 300 300] /Resources << /XObject << /X 4 0 R >> >>"
)
SHEET_OF_FORM = (
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents 5 0 R "
    b"/Resources << /XObject << /X 4 0 R >> >> >>"
)


def tiff(*pages: Image.Image) -> bytes:
    return encoded(pages[0], "TIFF", save_all=True, append_images=list(pages[1:]))


def endless_tiff() -> bytes:
    """Return a TIFF whose last page names the first one as its next."""
    data = bytearray(tiff(drawn(), drawn()))
    place, last = struct.unpack_from("<I", data, 4)[0], 0
    first = place
    while place:
        (count,) = struct.unpack_from("<H", data, place)
        last = place + 2 + 12 * count
        (place,) = struct.unpack_from("<I", data, last)
    struct.pack_into("<I", data, last, first)
    return bytes(data)


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, (height, width))
    return Image.fromarray(values.astype(np.uint8))


def small_print(width: int = 3000, height: int = 4000) -> Image.Image:
    """Return a page of short strokes in so many rows and columns that there may be thousands of lines."""
    grey = np.full((height, width), 230, np.uint8)
    for top in range(20, height - 20, 24):
        for left in range(20, width - 100, 120):
            grey[top : top + 12, left : left + 80 : 5] = 20
            grey[top + 5 : top + 7, left : left + 80] = 20
    return Image.fromarray(grey)


SAME_AS_IMAGES = (
    "cmyk_jpeg",
    "cmyk_tiff",
    "no_bytes",
    "random_bytes",
    "text",
    "truncated_png",
    "truncated_jpeg",
    "wrong_checksum",
    "png_bomb",
    "png_comment_bomb",
    "jpeg_scan_bomb",
    "tiff_bomb",
    "bmp_bomb",
    "svg",
    "html",
    "heic",
    "zip",
    "postscript",
    "gif_that_is_javascript",
)
PAGES: dict[str, Callable[[], bytes]] = {
    **{name: IMAGES[name] for name in SAME_AS_IMAGES},
    "plain": lambda: PAGE,
    "exif_6": lambda: turned(6, "JPEG", drawn()),
    "dark": lambda: encoded(Image.fromarray(255 - np.asarray(drawn()))),
    "grey16": lambda: encoded(Image.fromarray(np.asarray(drawn()).astype(np.uint16) * 257)),
    "alpha": lambda: encoded(drawn().convert("RGBA")),
    "palette": lambda: encoded(drawn().convert("P")),
    "bilevel": lambda: encoded(drawn().convert("1")),
    "animation": lambda: encoded(drawn(), "GIF", save_all=True, append_images=[noise(600, 520)]),
    "white": lambda: encoded(Image.new("L", (600, 520), 255)),
    "black": lambda: encoded(Image.new("L", (600, 520), 0)),
    "noise": lambda: encoded(noise(900, 900)),
    "small_print": lambda: encoded(small_print()),
    "one_pixel": lambda: encoded(Image.new("L", (1, 1))),
    "sixty_three": lambda: encoded(Image.new("L", (63, 400), 255)),
    "wide_20000": lambda: encoded(Image.new("L", (20_000, 70), 255)),
    "forty_one_million": lambda: png_header(6_404, 6_404),
    "page_then_zip": lambda: PAGE + b"PK\x03\x04" + bytes(100),
    "tiff_of_two": lambda: tiff(drawn(), drawn(1)),
    "tiff_of_twenty_one": lambda: tiff(*[Image.new("1", (64, 64))] * 21),
    "tiff_without_end": endless_tiff,
    "tiff_second_page_cut": lambda: tiff(drawn(), noise(600, 520))[:-50_000],
    "tiff_header": lambda: tiff_header(600, 520),
    "pdf": lambda: scan(drawn()),
    "pdf_of_twenty_one": lambda: scan(*[Image.new("L", (64, 64))] * 21),
    "pdf_empty_sheet": lambda: one_page(SHEET),
    "pdf_behind_html": lambda: b"<html><script>alert(1)</script>" + scan(drawn()),
    "pdf_behind_spaces": lambda: b"\r\n   " + scan(drawn()),
    "pdf_name_alone": lambda: b"%PDF-1.7",
    "pdf_cut": lambda: scan(drawn())[:400],
    "pdf_without_pages": lambda: pdf(CATALOG, b"<< /Type /Pages /Kids [] /Count 0 >>"),
    "pdf_claims_a_million": lambda: pdf(CATALOG, b"<< /Type /Pages /Kids [3 0 R] /Count 1000000 >>", SHEET),
    "pdf_tree_is_a_circle": lambda: pdf(CATALOG, b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>"),
    "pdf_huge_sheet": lambda: one_page(SHEET.replace(b"0 300 300", b"0 14400 14400")),
    "pdf_sheet_of_no_size": lambda: one_page(SHEET.replace(b"[0 0 300 300]", b"[0 0 0 0]")),
    "pdf_with_password": lambda: pdf(
        CATALOG,
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        SHEET,
        trailer=b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O ("
        + b"o" * 32
        + b") /U ("
        + b"u" * 32
        + b") >> "
        b"/ID [(a) (a)]",
    ),
    "pdf_that_runs_scripts": lambda: one_page(SHEET, catalog=RUNS_SCRIPT),
    "pdf_form_draws_itself": lambda: one_page(SHEET_OF_FORM, DRAWS_ITSELF, stream(b"/X Do")),
}
"""Every file by name; it is made when it is asked for."""
