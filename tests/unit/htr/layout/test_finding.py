"""Lines are found, whole and apart, whatever the page looks like."""

import numpy as np
import pytest
from PIL import Image

from htr.errors import ImageError
from htr.image import Grey
from htr.layout.files import PageFile
from htr.layout.finding import find_lines
from htr.layout.geometry import Layout, Points, iou
from htr.layout.marks import parse_page_xml
from htr.layout.scores import count_lines
from tests.drawn_pages import DrawnPage, sentence
from tests.shared_lot import SHARED_DATA, needs_shared


def found_in_order(layout: Layout, boxes: list[Points]) -> list[int]:
    """Return for every found line the drawn one that it overlaps most, or -1 where that is too little."""
    order: list[int] = []
    for line in layout.lines:
        overlaps = [iou(line.polygon, box) for box in boxes]
        best = int(np.argmax(overlaps))
        order.append(best if overlaps[best] >= 0.5 else -1)
    return order


@pytest.fixture
def letter() -> DrawnPage:
    page = DrawnPage()
    page.column(9, 90)
    page.write("yours", 90, 120 + 9 * 80)
    return page


def test_every_line_of_a_plain_page_is_found_once_from_top_to_bottom(letter: DrawnPage) -> None:
    layout = find_lines(letter.grey())
    assert found_in_order(layout, letter.boxes) == list(range(10))
    assert (layout.width, layout.height, layout.dark, layout.skew_degrees) == (900, 1200, False, 0.0)


@pytest.mark.parametrize("degrees", [-4.0, 2.0, 6.0])
def test_a_page_that_lies_askew_is_made_level_first(letter: DrawnPage, degrees: float) -> None:
    grey, boxes = letter.turned(degrees)
    layout = find_lines(grey)
    assert found_in_order(layout, boxes) == list(range(10))
    assert layout.skew_degrees == pytest.approx(degrees, abs=0.6)
    (x0, y0), (x1, y1) = layout.lines[0].baseline[0], layout.lines[0].baseline[-1]
    assert np.degrees(np.arctan2(y1 - y0, x1 - x0)) == pytest.approx(degrees, abs=1.0)


def test_light_writing_on_a_dark_page_is_found_as_well(letter: DrawnPage) -> None:
    layout = find_lines(255 - letter.grey())
    assert layout.dark
    assert found_in_order(layout, letter.boxes) == list(range(10))


def test_shadow_and_a_black_table_around_the_page_do_no_harm(letter: DrawnPage) -> None:
    grey = letter.grey().astype(np.float32)
    grey *= np.linspace(0.55, 1.0, grey.shape[1])  # light from the right
    framed = np.full((1320, 1000), 12, np.uint8)
    framed[60:1260, 50:950] = grey
    boxes = [tuple((x + 50, y + 60) for x, y in box) for box in letter.boxes]
    assert found_in_order(find_lines(framed), boxes) == list(range(10))


def test_ruled_paper_and_its_margin_line_are_no_writing(letter: DrawnPage) -> None:
    for n in range(13):
        letter.draw.line((40, 158 + n * 80, 870, 158 + n * 80), fill=120, width=3)
    letter.draw.line((70, 20, 70, 1180), fill=120, width=3)
    layout = find_lines(letter.grey())
    assert found_in_order(layout, letter.boxes) == list(range(10))


def test_two_columns_are_read_one_after_the_other_below_their_title() -> None:
    page = DrawnPage(width=1300)
    page.write(sentence(0, 16), 90, 60)
    page.column(9, 90, top=200, words=5, first=1)
    page.column(9, 720, top=215, words=5, first=11)
    layout = find_lines(page.grey())
    assert found_in_order(layout, page.boxes) == list(range(19))
    regions = [line.region for line in layout.lines]
    assert regions[1] != regions[10] == regions[18]


def test_the_cells_of_a_table_with_rules_are_lines_of_their_own() -> None:
    page = DrawnPage(width=1000)
    rules = (80, 280, 640, 920)
    for x in rules:
        page.draw.line((x, 80, x, 1120), fill=70, width=3)
    for y in (80, 1120):
        page.draw.line((80, y, 920, y), fill=70, width=3)
    for x, words, first in ((100, 1, 0), (300, 3, 20), (660, 2, 40)):
        page.column(12, x, top=110 + x // 20, words=words, first=first)
    assert found_in_order(find_lines(page.grey()), page.boxes) == list(range(36)), "column after column"


def test_a_date_at_the_right_comes_before_the_address_below_it() -> None:
    page = DrawnPage()
    page.write("march 20", 640, 80)
    for n in range(3):
        page.write(sentence(n, 2), 90, 180 + n * 80)
    page.column(5, 90, top=480)
    assert found_in_order(find_lines(page.grey()), page.boxes) == list(range(9))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_empty_page_has_no_lines(level: int) -> None:
    assert find_lines(np.full((700, 500), level, np.uint8)).lines == ()


def test_paper_with_a_grain_and_no_writing_has_no_lines() -> None:
    grain = np.random.default_rng(1).normal(220, 5, (800, 600))
    assert find_lines(np.clip(grain, 0, 255).astype(np.uint8)).lines == ()


def test_what_is_too_small_to_be_a_page_is_refused_with_its_size() -> None:
    with pytest.raises(ImageError, match="500 x 40") as refused:
        find_lines(np.zeros((40, 500), np.uint8))
    assert refused.value.reason == "too_small"


def test_the_lines_of_a_page_do_not_depend_on_its_resolution(letter: DrawnPage) -> None:
    large = np.asarray(Image.fromarray(letter.grey()).resize((2700, 3600), Image.Resampling.BICUBIC))
    boxes = [tuple((3 * x, 3 * y) for x, y in box) for box in letter.boxes]
    assert found_in_order(find_lines(large), boxes) == list(range(10))


def test_points_lie_on_the_page_in_whole_pixels() -> None:
    page = DrawnPage(width=500, height=400)
    page.column(4, -8, top=-6, pitch=110, words=12)
    grey: Grey = page.grey()
    lines = find_lines(grey).lines
    assert lines
    points = np.array([point for line in lines for point in (*line.polygon, *line.baseline)])
    assert (points >= 0).all()
    assert (points < (500, 400)).all()
    assert (points == np.rint(points)).all()


LEAST_F1 = {
    "copiste__imp_wikitexte_0159_1": 0.95,
    "copiste__wikitexte_0219_1": 0.95,
    "copiste__wikitexte_0257": 0.95,
    "poilus__TestamentsDePoilus_will_AN_0244-0": 0.9,
    "poilus__TestamentsDePoilus_will_AN_0345-0": 0.68,
    "repert__FRAN_0025_2352_L-1": 0.8,
    "stanford__Lettre249": 0.9,
    "timeus__IMG_20190620_123213": 0.88,
}
"""A little below what docs/pages.md reports."""


@needs_shared
@pytest.mark.parametrize("name", LEAST_F1)
def test_the_lines_of_a_real_page_are_found(name: str) -> None:
    folder = SHARED_DATA / "pages"
    (page,) = PageFile.open(folder / f"{name}.jpg").pages()
    (marks,) = folder.glob(f"{name}.*.xml")
    marked = [line.polygon for line in parse_page_xml(marks).lines]
    found = [line.polygon for line in find_lines(page.grey()).lines]
    assert count_lines(found, marked).f1 >= LEAST_F1[name]
