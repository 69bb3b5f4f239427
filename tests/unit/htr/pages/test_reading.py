"""A page is read line by line by the one recogniser, and every word knows its place."""

from pathlib import Path

import numpy as np
import pytest

from htr.errors import DataError
from htr.layout.crop import crop
from htr.layout.geometry import Layout, PageLine
from htr.pages.reading import LineReading, PageReading, read_layout, read_page
from htr.pages.to_json import Origin, page_json, parse_page_json
from htr.recogniser import Recogniser
from tests.conftest import line_png
from tests.drawn_pages import DrawnPage

ORIGIN = Origin(file="a.png", digest="d", page=2, num_pages=3, bundle="b", segmentation=1)


@pytest.fixture
def page() -> DrawnPage:
    page = DrawnPage(height=600)
    page.column(5, 90)
    return page


def test_lines_are_read_as_their_crops_are(tiny_bundle: Path, page: DrawnPage) -> None:
    recogniser, grey = Recogniser.load(tiny_bundle), page.grey()
    reading = read_page(recogniser, grey)
    assert len(reading.lines) == 5
    for line in reading.lines:
        (alone,) = recogniser.read_grey([crop(grey, line.line).grey])
        assert (line.text, line.confidence) == (alone.text, alone.confidence)
    assert reading.text.replace("\n\n", "\n").splitlines() == [line.text for line in reading.lines]


def test_decoded_lines_are_read_as_encoded_ones_are(tiny_bundle: Path) -> None:
    from htr.image import decode

    recogniser = Recogniser.load(tiny_bundle)
    images = [line_png("one two", seed=1), line_png("three", seed=2)]
    assert recogniser.read_grey(map(decode, images), characters=True) == recogniser.read(images, characters=True)


def test_words_make_up_the_text_and_stand_in_their_line(tiny_bundle: Path, page: DrawnPage) -> None:
    reading = read_page(Recogniser.load(tiny_bundle), page.grey())
    for line in reading.lines:
        assert " ".join(word.text for word in line.words) == line.text
        left, top, right, bottom = line.line.box
        for word in line.words:
            xs, ys = zip(*word.polygon, strict=True)
            assert left - 8 <= min(xs) < max(xs) <= right + 8
            assert top - 8 <= min(ys) < max(ys) <= bottom + 8
    assert any(len(line.words) > 0 for line in reading.lines)


def test_a_dark_page_reads_as_its_negative_does(tiny_bundle: Path, page: DrawnPage) -> None:
    recogniser, grey = Recogniser.load(tiny_bundle), page.grey()
    light, dark = read_page(recogniser, grey), read_page(recogniser, 255 - grey)
    assert [line.text for line in dark.lines] == [line.text for line in light.lines]


def test_lines_that_a_person_marked_are_read_as_well(tiny_bundle: Path, page: DrawnPage) -> None:
    lines = tuple(PageLine(polygon=box, baseline=(box[3], box[2])) for box in page.boxes[:2])
    layout = Layout(width=page.width, height=page.height, lines=lines)
    assert [line.line for line in read_layout(Recogniser.load(tiny_bundle), page.grey(), layout).lines] == [*lines]


def test_blocks_are_parted_by_an_empty_line() -> None:
    box = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0))
    lines = tuple(
        LineReading(
            line=PageLine(polygon=box, baseline=box[:2], region=region), text=text, confidence=0.5, words=()
        )
        for region, text in ((0, "one"), (0, "two"), (1, "three"))
    )
    assert PageReading(width=9, height=9, skew_degrees=0.0, lines=lines).text == "one\ntwo\n\nthree"


def test_json_gives_back_what_was_read(tiny_bundle: Path, page: DrawnPage, tmp_path: Path) -> None:
    reading = read_page(Recogniser.load(tiny_bundle), page.grey())
    (tmp_path / "a.json").write_text(page_json(reading, ORIGIN), encoding="utf-8")
    again, origin = parse_page_json(tmp_path / "a.json")
    assert origin == ORIGIN
    assert [line.line for line in again.lines] == [line.line for line in reading.lines]
    assert again.text == reading.text
    assert [line.confidence for line in again.lines] == pytest.approx(
        [line.confidence for line in reading.lines], abs=1e-4
    )
    for one, other in zip(again.lines, reading.lines, strict=True):
        for word, same in zip(one.words, other.words, strict=True):
            assert word.text == same.text
            np.testing.assert_allclose(word.polygon, same.polygon, atol=0.06)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format_version": 1}', '{"format_version": 1, "lines": 3}'])
def test_what_is_no_reading_of_a_page_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=r"a\.json"):
        parse_page_json(tmp_path / "a.json")


def test_a_reading_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        parse_page_json(tmp_path / "a.json")
