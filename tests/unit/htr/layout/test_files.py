"""Pages come out of files of every kind, in order; what cannot be opened is told of in words."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htr.errors import ImageError
from htr.layout.files import DEFAULT_DPI, PageFile
from htr.pages.reading import PageReading
from htr.pages.to_pdf import PdfWriter


def sheet(level: int, size: tuple[int, int] = (80, 120)) -> Image.Image:
    return Image.new("L", size, level)


def levels(file: PageFile, wanted: set[int] | None = None) -> list[tuple[int, int]]:
    return [(page.number, int(np.median(page.grey()))) for page in file.pages(wanted)]


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp", "bmp"])
def test_an_image_is_one_page(tmp_path: Path, ending: str) -> None:
    sheet(90).save(tmp_path / f"a.{ending}")
    file = PageFile.open(tmp_path / f"a.{ending}")
    assert file.num_pages == 1
    ((number, level),) = levels(file)
    assert (number, abs(level - 90) <= 2) == (1, True)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "F"])
def test_pages_of_any_kind_of_pixels_come_in_grey_or_colour(tmp_path: Path, mode: str) -> None:
    ramp = np.tile(np.linspace(0, 255, 120), (90, 1))
    if mode == "I;16":
        image = Image.fromarray((ramp * 257).astype(np.uint16))
    elif mode == "F":
        image = Image.fromarray(ramp.astype(np.float32))
    else:
        image = Image.fromarray(ramp.astype(np.uint8)).convert(mode)
    image.save(tmp_path / "a.tif")
    (page,) = PageFile.open(tmp_path / "a.tif").pages()
    assert page.image.mode in {"L", "RGB"}
    assert page.image.size == (120, 90)
    levels = page.grey().mean(axis=0)
    assert levels[5] < 60
    assert levels[-5] > 195


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (80, 120), (0, 0, 0, 0))
    image.paste((200, 0, 0, 255), (20, 20, 60, 60))
    image.save(tmp_path / "a.png")
    (page,) = PageFile.open(tmp_path / "a.png").pages()
    assert page.image.getpixel((5, 5)) == (255, 255, 255)
    assert page.image.getpixel((40, 40)) == (200, 0, 0)


def test_the_pages_of_a_tiff_come_in_order_or_only_those_wanted(tmp_path: Path) -> None:
    first, *others = (sheet(level) for level in (10, 90, 200))
    first.save(tmp_path / "a.tif", save_all=True, append_images=others, dpi=(150, 150))
    file = PageFile.open(tmp_path / "a.tif")
    assert levels(file) == [(1, 10), (2, 90), (3, 200)]
    assert levels(file, {3, 1}) == [(1, 10), (3, 200)]
    assert [page.dpi for page in file.pages()] == [150.0] * 3


def test_an_animated_gif_is_one_page(tmp_path: Path) -> None:
    sheet(10).save(tmp_path / "a.gif", save_all=True, append_images=[sheet(90)])
    assert PageFile.open(tmp_path / "a.gif").num_pages == 1


def test_a_photograph_is_turned_as_the_camera_was_held(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    sheet(90, (120, 80)).save(tmp_path / "a.jpg", exif=exif, dpi=(72, 72))
    (page,) = PageFile.open(tmp_path / "a.jpg").pages()
    assert page.image.size == (80, 120)
    assert page.dpi == DEFAULT_DPI, "72 dots an inch is what cameras write, not what pages have"


def test_the_pages_of_a_pdf_are_drawn_at_its_size(tmp_path: Path) -> None:
    with PdfWriter(tmp_path / "a.pdf") as pdf:
        for level in (40, 180):
            page = PageReading(width=300, height=600, skew_degrees=0.0, lines=())
            pdf.add(sheet(level, (300, 600)), page, dpi=300)
    file = PageFile.open(tmp_path / "a.pdf")
    assert file.num_pages == 2
    pages = list(file.pages())
    assert [page.image.size for page in pages] == [(250, 500)] * 2
    assert [abs(int(np.median(page.grey())) - level) <= 2 for page, level in zip(pages, (40, 180), strict=True)]
    assert levels(file, {2})[0][0] == 2


@pytest.mark.parametrize(
    ("data", "reason", "told"),
    [
        (b"", "empty", "no bytes"),
        (b"some text", "undecodable", "not an image"),
        (b"%PDF-1.7\nnothing more", "undecodable", "the PDF is damaged"),
    ],
)
def test_what_is_no_page_is_refused(tmp_path: Path, data: bytes, reason: str, told: str) -> None:
    (tmp_path / "a.pdf").write_bytes(data)
    with pytest.raises(ImageError, match=told) as refused:
        PageFile.open(tmp_path / "a.pdf")
    assert refused.value.reason == reason


def test_a_file_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file") as refused:
        PageFile.open(tmp_path / "none.png")
    assert refused.value.reason == "unreadable"


def test_a_page_cut_short_is_told_of_when_it_is_decoded(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    file = PageFile.open(tmp_path / "a.png")
    with pytest.raises(ImageError, match="damaged"):
        list(file.pages())


def test_a_page_too_large_to_decode_is_refused_before_it_is(tmp_path: Path) -> None:
    sheet(10, (200, 200)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="200 x 200") as refused:
        PageFile.of_bytes((tmp_path / "a.png").read_bytes(), max_pixels=20_000)
    assert refused.value.reason == "too_large"
    small = sheet(10, (100, 100))
    small.save(tmp_path / "a.tif", save_all=True, append_images=[sheet(10, (300, 300))])
    with pytest.raises(ImageError, match="page 2 has 300 x 300"):
        list(PageFile.of_bytes((tmp_path / "a.tif").read_bytes(), max_pixels=20_000).pages())
    with PdfWriter(tmp_path / "a.pdf") as pdf:
        pdf.add(sheet(10, (300, 300)), PageReading(width=300, height=300, skew_degrees=0.0, lines=()), dpi=100)
    with pytest.raises(ImageError, match="page 1 is 750 x 750"):
        list(PageFile.of_bytes((tmp_path / "a.pdf").read_bytes(), max_pixels=20_000).pages())


def test_a_file_of_too_many_pages_is_refused_before_any_is_decoded(tmp_path: Path) -> None:
    more = [sheet(level) for level in range(40, 90, 10)]
    sheet(30).save(tmp_path / "a.tif", save_all=True, append_images=more)
    with PdfWriter(tmp_path / "a.pdf") as pdf:
        for page in more:
            pdf.add(page, PageReading(width=80, height=120, skew_degrees=0.0, lines=()), dpi=100)
    for name, count in (("a.tif", 6), ("a.pdf", 5)):
        data = (tmp_path / name).read_bytes()
        assert PageFile.of_bytes(data, max_pages=count).num_pages == count
        with pytest.raises(ImageError, match=f"more than the {count - 1} pages") as refused:
            PageFile.of_bytes(data, max_pages=count - 1)
        assert refused.value.reason == "too_large"


def test_pages_say_how_they_lay_in_the_file(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    sheet(90).save(tmp_path / "a.jpg", exif=exif)
    sheet(90).save(tmp_path / "a.gif", save_all=True, append_images=[sheet(40)])
    sheet(90).save(tmp_path / "a.tif", save_all=True, append_images=[sheet(40)])
    found = {
        name: [(page.turned, page.more_frames) for page in PageFile.open(tmp_path / name).pages()]
        for name in ("a.jpg", "a.gif", "a.tif")
    }
    assert found == {"a.jpg": [(True, False)], "a.gif": [(False, True)], "a.tif": [(False, False)] * 2}
