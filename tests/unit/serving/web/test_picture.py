"""Files and drawings become pictures; what is none is refused with a reason."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htr.errors import ImageError
from htr.image import decode
from serving.web.picture import MARGIN, MAX_SIDE, drawing_of, open_pictures, trimmed


def png(pixels: np.ndarray, mode: str | None = None) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels, mode).save(out, "PNG")
    return out.getvalue()


def drawn() -> np.ndarray:
    grey = np.full((200, 600), 255, np.uint8)
    grey[80:110, 250:400] = 0
    return grey


def test_a_drawing_is_cut_out_with_a_margin() -> None:
    assert decode(trimmed(png(drawn()))).shape == (30 + 2 * MARGIN, 150 + 2 * MARGIN)


def test_ink_on_nothing_is_ink_on_white() -> None:
    rgba = np.zeros((200, 600, 4), np.uint8)
    rgba[80:110, 250:400, 3] = 255
    piece = decode(trimmed(png(rgba)))
    assert piece.shape == (30 + 2 * MARGIN, 150 + 2 * MARGIN)
    assert (piece[0, 0], piece[MARGIN, MARGIN]) == (255, 0)


def test_an_empty_drawing_is_refused() -> None:
    with pytest.raises(ImageError, match="nothing is drawn yet"):
        trimmed(png(np.full((20, 60), 255, np.uint8)))


def test_a_drawing_comes_as_a_data_address_of_a_png() -> None:
    image = png(drawn())
    assert drawing_of("data:image/png;base64," + base64.b64encode(image).decode()) == image


@pytest.mark.parametrize(
    "sent",
    [
        None,
        7,
        "",
        "file:///etc/passwd",
        "data:text/html;base64,AAAA",
        "data:image/png;base64,%%%",
        "data:image/png;base64," + "A" * 5_000_000,
    ],
)
def test_anything_else_is_no_drawing(sent: object) -> None:
    with pytest.raises(ImageError, match="did not arrive whole"):
        drawing_of(sent)


def test_every_page_has_a_preview_upright_and_no_larger_than_needed(tmp_path: Path) -> None:
    pages = [Image.new("L", (3000, 2000), 200), Image.new("RGB", (900, 100), "white")]
    path = tmp_path / "two.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    first, second = open_pictures(path)
    assert (first.width, first.height, first.is_line) == (3000, 2000, False)
    assert max(Image.open(io.BytesIO(first.preview)).size) == MAX_SIDE
    assert (second.number, second.is_line, Image.open(io.BytesIO(second.preview)).size) == (2, True, (900, 100))
    lying = tmp_path / "lying.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (400, 50), 255).save(lying, exif=exif)
    assert (open_pictures(lying)[0].width, open_pictures(lying)[0].height) == (50, 400)


def test_a_book_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "book.tif"
    page = Image.new("1", (20, 20))
    page.save(path, save_all=True, append_images=[page] * 20)
    with pytest.raises(ImageError, match="21 pages, at most 20"):
        open_pictures(path)
