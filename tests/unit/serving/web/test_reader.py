"""A picture is read as a page or as a line, by its shape, by what is found on it, or as it was said."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from htr.errors import ImageError
from serving.client import FileRead, PageLineRead, PageRead
from serving.web.reader import AUTOMATIC, Reader, page_name
from serving.web.reading import LINE, PAGE
from tests.conftest import line_png
from tests.unit.serving.web.desks import STAMP, MemoryServer, box


class PageServer(MemoryServer):
    """Finds so many lines on every page."""

    num_lines = 3

    def read_page(self, image: bytes, **wanted: Any) -> FileRead:
        lines = tuple(
            PageLineRead(
                image=line_png(f"line {n}"),
                text=f"line {n}",
                confidence=0.5,
                position=n,
                region=0,
                polygon=box(0, 10 * n, 50, 10 * n + 9),
                baseline=((0, 10 * n + 8), (50, 10 * n + 8)),
                words=(),
                verdicts=("ok",),
                **STAMP,
            )
            for n in range(self.num_lines)
        )
        page = PageRead(number=1, width=60, height=80, skew_degrees=0.5, lines=lines)
        return FileRead(pages=(page,), verdicts=("ok",), text="", alto=(), page=(), pdf=b"", overlay=())


def picture(folder: Path, width: int, height: int) -> Path:
    path = folder / f"{width}x{height}.png"
    Image.new("L", (width, height), 255).save(path)
    return path


@pytest.mark.parametrize(
    ("size", "kind", "num_lines", "read_as"),
    [
        ((1600, 400), AUTOMATIC, 3, LINE),
        ((400, 200), AUTOMATIC, 3, LINE),
        ((600, 800), AUTOMATIC, 3, PAGE),
        ((600, 800), AUTOMATIC, 1, LINE),
        ((600, 800), AUTOMATIC, 0, LINE),
        ((400, 200), PAGE, 3, PAGE),
        ((600, 800), PAGE, 1, PAGE),
        ((600, 800), LINE, 3, LINE),
    ],
)
def test_what_it_is(tmp_path: Path, size: tuple[int, int], kind: str, num_lines: int, read_as: str) -> None:
    server = PageServer()
    server.num_lines = num_lines
    work = Reader(server).read_file(picture(tmp_path, *size), kind=kind)  # type: ignore[arg-type]
    (sheet,) = work.sheets
    assert sheet.kind == read_as
    assert len(sheet.lines) == (num_lines if read_as == PAGE else 1)
    assert work.source


def test_a_file_of_several_pages_is_no_line(tmp_path: Path) -> None:
    path = tmp_path / "two.tif"
    page = Image.new("L", (60, 80), 255)
    page.save(path, save_all=True, append_images=[page])
    with pytest.raises(ImageError, match="no single line"):
        Reader(PageServer()).read_file(path, kind=LINE)  # type: ignore[arg-type]


def test_pages_of_one_name_are_told_apart_and_a_long_name_fits() -> None:
    assert page_name(b"1", "scan.png") != page_name(b"2", "scan.png")
    assert page_name(b"1", "scan.png", 2).endswith(" page 2")
    assert len(page_name(b"1", "x" * 999, 20)) <= 200
