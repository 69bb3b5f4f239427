"""Images that go wrong, made by code: what phones, scanners, programs and people with bad intentions send.

Each name is a row of nasty_inputs.csv, which says what the server answers.
"""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, PngImagePlugin

from tests.conftest import line_png

PLAIN = line_png("plain line", height=40)
STORED = {  # how a picture lies in the file that EXIF's orientation sets upright
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def line() -> Image.Image:
    return Image.open(io.BytesIO(PLAIN)).convert("L")


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def turned(orientation: int, kind: str = "PNG", image: Image.Image | None = None) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    how, upright = STORED[orientation], image or line()
    return encoded(upright if how is None else upright.transpose(how), kind, exif=exif)


def frames(kind: str, **options: object) -> bytes:
    other = Image.new("L", line().size, 128)
    return encoded(line(), kind, save_all=True, append_images=[other, line()], **options)


def dark() -> Image.Image:
    return Image.fromarray(255 - np.asarray(line()))


def ink_in_alpha() -> Image.Image:
    rgba = np.zeros((*np.asarray(line()).shape, 4), np.uint8)
    rgba[..., 3] = 255 - np.asarray(line())
    return Image.fromarray(rgba)


def striped(width: int, height: int) -> Image.Image:
    grey = np.full((height, width), 235, np.uint8)
    grey[height // 4 : height * 3 // 4, ::16] = 20
    return Image.fromarray(grey)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chunk(kind: bytes, content: bytes) -> bytes:
    """Put a chunk right behind the header of the plain PNG."""
    return PLAIN[:33] + chunk(kind, content) + PLAIN[33:]


def png_header(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def tiff_header(width: int, height: int) -> bytes:
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (279, 4, 8)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\x00" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + bytes(4)


def bmp_header(width: int, height: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 100, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)
    )


def scans() -> bytes:
    whole = encoded(line(), "JPEG", progressive=True)
    return whole[:-2] + whole[whole.rindex(b"\xff\xda") : -2] * 300 + whole[-2:]


def text_chunk() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "<script>alert(1)</script>")
    return encoded(line(), pnginfo=info)


def grey16() -> Image.Image:
    return Image.fromarray(np.asarray(line()).astype(np.uint16) * 257)


CUT_EXIF = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x02"
BOMB = zlib.compress(bytes(80_000_000), 9)
IMAGES: dict[str, Callable[[], bytes]] = {
    "plain": lambda: PLAIN,
    **{f"exif_{n}": lambda n=n: turned(n) for n in STORED},  # type: ignore[misc]
    "exif_6_jpeg": lambda: turned(6, "JPEG"),
    "exif_cut_off": lambda: encoded(line(), "JPEG", exif=CUT_EXIF),
    "cmyk_jpeg": lambda: encoded(line().convert("RGB").convert("CMYK"), "JPEG"),
    "cmyk_tiff": lambda: encoded(line().convert("RGB").convert("CMYK"), "TIFF"),
    "grey16_png": lambda: encoded(grey16()),
    "grey16_tiff": lambda: encoded(grey16(), "TIFF"),
    "float_tiff": lambda: encoded(Image.fromarray(np.asarray(line(), np.float32)), "TIFF"),
    "nan_tiff": lambda: encoded(Image.fromarray(np.full((40, 100), np.nan, np.float32)), "TIFF"),
    "rgb": lambda: encoded(line().convert("RGB")),
    "rgba": lambda: encoded(line().convert("RGBA")),
    "grey_alpha": lambda: encoded(line().convert("LA")),
    "ink_in_alpha": lambda: encoded(ink_in_alpha()),
    "all_transparent": lambda: encoded(Image.new("RGBA", (200, 40), (0, 0, 0, 0))),
    "palette": lambda: encoded(line().convert("P")),
    "palette_gif": lambda: encoded(line(), "GIF"),
    "bilevel": lambda: encoded(line().convert("1")),
    "bmp": lambda: encoded(line(), "BMP"),
    "webp": lambda: encoded(line(), "WEBP", lossless=True),
    "progressive_jpeg": lambda: encoded(line(), "JPEG", progressive=True),
    "jpeg_sent_as_png": lambda: encoded(line(), "JPEG"),
    "inverted": lambda: encoded(dark()),
    "inverted_and_rotated": lambda: turned(8, image=dark()),
    "white": lambda: encoded(Image.new("L", (300, 40), 255)),
    "black": lambda: encoded(Image.new("L", (300, 40), 0)),
    "one_pixel": lambda: encoded(Image.new("L", (1, 1))),
    "three_rows": lambda: encoded(Image.new("L", (200, 3))),
    "one_column": lambda: encoded(Image.new("L", (1, 64), 200)),
    "wide_20000": lambda: encoded(striped(20_000, 64)),
    "tall_20000": lambda: encoded(Image.new("L", (40, 20_000), 200)),
    "as_large_as_may_be": lambda: encoded(Image.new("1", (4000, 2000), 1)),
    "one_row_too_large": lambda: encoded(Image.new("1", (4000, 2001), 1)),
    "animated_gif": lambda: frames("GIF"),
    "animated_webp": lambda: frames("WEBP", lossless=True),
    "animated_png": lambda: frames("PNG"),
    "pages_tiff": lambda: frames("TIFF"),
    "two_pictures_of_a_phone": lambda: frames("MPO"),
    "no_bytes": lambda: b"",
    "truncated_png": lambda: PLAIN[: len(PLAIN) // 2],
    "truncated_jpeg": lambda: encoded(line(), "JPEG")[:-300],
    "header_alone": lambda: PLAIN[:33],
    "wrong_checksum": lambda: PLAIN[:60] + bytes([PLAIN[60] ^ 255]) + PLAIN[61:],
    "random_bytes": lambda: np.random.default_rng(1).bytes(5000),
    "zeros": lambda: bytes(5000),
    "text": lambda: b"a line of text, and no image of it",
    "png_bomb": lambda: png_header(60_000, 60_000),
    "png_of_two_billion": lambda: png_header(2**31 - 1, 2**31 - 1),
    "png_comment_bomb": lambda: with_chunk(b"zTXt", b"Comment\x00\x00" + BOMB),
    "png_profile_bomb": lambda: with_chunk(b"iCCP", b"p\x00\x00" + BOMB),
    "jpeg_scan_bomb": scans,
    "gif_bomb": lambda: b"GIF89a\xff\xff\xff\xff" + encoded(line(), "GIF")[10:],
    "tiff_bomb": lambda: tiff_header(200_000, 200_000),
    "bmp_bomb": lambda: bmp_header(60_000, 60_000),
    "webp_of_nine_million": lambda: encoded(Image.new("L", (3000, 3000)), "WEBP", quality=0, method=0),
    "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "svg_of_xml": lambda: (
        b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;</svg>'
    ),
    "html": lambda: b"<!doctype html><html><img src=x onerror=alert(1)></html>",
    "pdf": lambda: b"%PDF-1.7\n1 0 obj\n",
    "heic": lambda: b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(100),
    "zip": lambda: b"PK\x03\x04" + bytes(100),
    "icon": lambda: encoded(line().resize((32, 32)), "ICO"),
    "postscript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n(x) print quit\n",
    "image_then_zip": lambda: PLAIN + b"PK\x03\x04" + bytes(100),
    "image_then_html": lambda: PLAIN + b"<html><script>alert(1)</script></html>",
    "script_in_comment": text_chunk,
    "gif_that_is_javascript": lambda: b"GIF89a=1;alert(1)//" + bytes(20),
}
"""Every image by name; it is made when it is asked for."""
