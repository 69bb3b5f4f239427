"""Report pages: self-contained, escaped, and the same every time."""

import base64
import io
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from PIL import Image

from components.page import chart, figure_svg, image_data_uri, render, write_page
from htr.errors import ImageError, OutputError
from tests.conftest import line_png
from tests.pages import read_offline


def encoded(kind: str, size: tuple[int, int] = (60, 20), mode: str = "L") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, 200 if mode == "L" else None).save(out, kind)
    return out.getvalue()


def test_values_are_escaped_and_the_title_is_shown() -> None:
    html = render("A & B", "<p>{{ text }}</p>", text="<script>alert(1)</script>")
    assert "<title>A &amp; B</title>" in html
    assert "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>" in html
    assert read_offline(html).text == "A & B <script>alert(1)</script>"


def test_a_name_without_a_value_is_an_error_and_not_a_gap() -> None:
    with pytest.raises(UndefinedError, match="forgotten"):
        render("title", "{{ forgotten }}")


def test_a_template_file_is_taken_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("<p>{{ 0.125 | percent }}, {{ -0.5 | points }}, {{ 12345 | count }}</p>", encoding="utf-8")
    assert read_offline(render("t", file)).text == "t 12.5 %, −50.0, 12 345"


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_what_browsers_show_goes_into_the_page_as_it_is(kind: str) -> None:
    data = encoded(kind)
    head, body = image_data_uri(data).split(",")
    assert head == f"data:image/{kind};base64"
    assert base64.b64decode(body) == data


@pytest.mark.parametrize(
    "data", [encoded("tiff"), encoded("bmp"), encoded("png", (3200, 2400), "RGB") + b"\0" * 60_000]
)
def test_other_and_large_images_become_moderate_pngs(data: bytes) -> None:
    head, body = image_data_uri(data).split(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(body))).height <= 128


@pytest.mark.parametrize("data", [b"", b"no image", line_png("half")[:120]])
def test_an_image_that_no_browser_would_show_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError):
        image_data_uri(data)


def drawn() -> str:
    figure, (axis,) = chart(3, 2)
    axis.plot([0, 1], [1, 0], label="a < b")
    axis.set_title("loss & CER")
    axis.legend()
    return figure_svg(figure, label='"both"')


def test_the_same_drawing_gives_the_same_text_in_the_colours_of_the_page() -> None:
    svg = drawn()
    assert svg == drawn()
    assert "currentColor" in svg
    assert "http" not in svg
    page = read_offline(render("t", "{{ one }}{{ two }}", one=svg, two="<svg>"))
    assert page.tags.count("svg") == 1
    assert "loss & CER" in page.text


def test_a_page_is_written_over_an_older_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "report"
    write_page(path, "old")
    write_page(path, "né")
    assert path.read_text(encoding="utf-8") == "né"
    assert list(path.parent.iterdir()) == [path]


def test_a_page_that_cannot_be_written_names_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file/report"):
        write_page(tmp_path / "file" / "report", "html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="choose another place"):
        write_page(tmp_path / "folder", "html")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
