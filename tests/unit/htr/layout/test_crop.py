"""A line is cut out upright, alone, and every part of it is known on the page."""

import numpy as np
import pytest

from htr.image import MAX_PIXELS, MIN_HEIGHT
from htr.layout.crop import PAPER_PERCENTILE, crop
from htr.layout.geometry import PageLine, iou
from tests.drawn_pages import DrawnPage, sentence


def line(*polygon: tuple[float, float], baseline: tuple[tuple[float, float], ...] | None = None) -> PageLine:
    return PageLine(polygon=polygon, baseline=baseline or (polygon[3], polygon[2]))


def test_a_level_line_is_the_page_itself_within_its_outline() -> None:
    page = np.arange(200 * 300, dtype=np.uint32).reshape(200, 300).astype(np.uint8)
    piece = crop(page, line((50, 40), (250, 40), (250, 100), (50, 100)))
    margin = (piece.grey.shape[0] - 61) // 2
    assert piece.grey.shape == (61 + 2 * margin, 201 + 2 * margin)
    inner = piece.grey[margin : margin + 61, margin : margin + 201]
    np.testing.assert_array_equal(inner, page[40:101, 50:251])


def test_what_lies_outside_the_outline_is_painted_with_paper() -> None:
    page = np.full((200, 300), 200, np.uint8)
    page[20:60] = 0  # ink of the line above
    triangle = PageLine(polygon=((50, 150), (150, 30), (250, 150)), baseline=((50, 150), (250, 150)))
    piece = crop(page, triangle)
    assert not piece.mask[0, 0]
    assert (piece.grey[~piece.mask] == np.percentile(piece.grey[piece.mask], PAPER_PERCENTILE)).all()
    assert (piece.grey[piece.mask] == 0).any(), "what lies inside is left as it is"


@pytest.mark.parametrize("degrees", [-5.0, 5.0])
def test_a_line_that_runs_aslant_is_turned_level(degrees: float) -> None:
    page = DrawnPage(height=400)
    page.write(sentence(0), 90, 180)
    level = crop(page.grey(), line(*page.boxes[0]))
    grey, ((a, b, c, d),) = page.turned(degrees)
    turned = crop(grey, line(a, b, c, d))
    assert turned.grey.shape == pytest.approx(level.grey.shape, abs=3)
    height, width = (min(n) for n in zip(turned.grey.shape, level.grey.shape, strict=True))
    one, two = (piece.grey[:height, :width].ravel().astype(float) for piece in (turned, level))
    assert np.corrcoef(one, two)[0, 1] > 0.8


def test_a_part_of_a_line_is_placed_back_on_the_page() -> None:
    page = DrawnPage(height=400)
    page.write(sentence(0), 90, 180)
    grey, ((a, b, c, d),) = page.turned(5.0)
    piece = crop(grey, line(a, b, c, d))
    width = piece.grey.shape[1]
    assert iou(piece.place(0, width), (a, b, c, d)) > 0.85
    left = piece.place(0, width / 2)
    assert iou(left, (a, b, c, d)) == pytest.approx(0.5, abs=0.06)
    assert left[0] == pytest.approx(a, abs=6)


def test_a_line_at_the_edge_or_outside_of_the_page_is_cut_out_all_the_same() -> None:
    page = np.full((100, 100), 180, np.uint8)
    for polygon in (
        ((-20, -10), (60, -10), (60, 30), (-20, 30)),
        ((300, 300), (400, 300), (400, 340), (300, 340)),
    ):
        piece = crop(page, line(*polygon))
        assert (piece.grey == 180).all()


def test_a_line_of_no_height_still_makes_an_image() -> None:
    piece = crop(np.full((100, 100), 180, np.uint8), line((10, 50), (90, 50), (90, 50), (10, 50)))
    assert piece.grey.shape[0] >= MIN_HEIGHT


def test_a_line_of_more_pixels_than_a_line_may_have_is_shrunk_and_its_places_are_still_known() -> None:
    page = np.full((6000, 9000), 200, np.uint8)
    page[1000:1400, 4000:4400] = 0
    huge = line((100, 200), (8900, 200), (8900, 2200), (100, 2200))
    piece = crop(page, huge)
    assert 0.9 * MAX_PIXELS < piece.grey.size <= MAX_PIXELS
    (columns,) = np.nonzero((piece.grey < 100).any(axis=0))
    (x0, _), (x1, _), *_ = piece.place(columns[0], columns[-1] + 1)
    assert (x0, x1) == pytest.approx((4000, 4400), abs=4)
