"""A searchable PDF shows the page, and its text is found where it stands."""

from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image

from htr.errors import OutputError
from htr.layout.geometry import PageLine
from htr.pages.reading import LineReading, PageReading, Word
from htr.pages.to_pdf import PdfWriter


def reading_of(lines: list[str], *, width: int = 600, height: int = 800) -> PageReading:
    """Return lines of words that are 20 pixels a character wide, 60 pixels apart."""
    read = []
    for n, text in enumerate(lines):
        top, x, words = 100.0 + 60 * n, 50.0, []
        for word in text.split():
            end = x + 20 * len(word)
            words.append(Word(text=word, polygon=((x, top), (end, top), (end, top + 40), (x, top + 40))))
            x = end + 20
        line = PageLine(
            polygon=((50, top), (500, top), (500, top + 40), (50, top + 40)),
            baseline=((50, top + 32), (500, top + 32)),
        )
        read.append(LineReading(line=line, text=text, confidence=0.5, words=tuple(words)))
    return PageReading(width=width, height=height, skew_degrees=0.0, lines=tuple(read))


def written(path: Path, *pages: PageReading, mode: str = "L") -> pypdfium2.PdfDocument:
    with PdfWriter(path) as pdf:
        for page in pages:
            pdf.add(
                Image.new(mode, (page.width, page.height), 200 if mode == "L" else (9, 99, 199)), page, dpi=144
            )
    return pypdfium2.PdfDocument(path)


def test_the_text_is_found_word_for_word_in_any_script(tmp_path: Path) -> None:
    lines = ["one two three", "été (œuvre)", "ελληνικά tiếng", "\U00010330 gothic"]
    document = written(tmp_path / "a.pdf", reading_of(lines))
    found = document[0].get_textpage().get_text_bounded()
    assert [" ".join(line.split()) for line in found.splitlines()] == lines


def test_a_word_is_found_where_it_stands_on_the_page(tmp_path: Path) -> None:
    document = written(tmp_path / "a.pdf", reading_of(["one two"]))
    page = document[0]
    assert page.get_size() == pytest.approx((300, 400))
    text = page.get_textpage()
    place = text.search("two").get_next()
    assert place is not None
    left, bottom, right, top = text.get_charbox(place[0])
    last = text.get_charbox(place[0] + place[1] - 1)
    assert (left, last[2]) == pytest.approx((65, 95), abs=2)
    assert (400 - top) == pytest.approx(50, abs=3)
    assert (400 - bottom) == pytest.approx(70, abs=3)
    assert right > left


def test_more_characters_than_one_font_holds_are_all_found(tmp_path: Path) -> None:
    many = "".join(chr(0x4E00 + n) for n in range(600))
    lines = [many[first : first + 20] for first in range(0, 600, 20)]
    document = written(tmp_path / "a.pdf", reading_of(lines, height=2400))
    assert "".join(document[0].get_textpage().get_text_bounded().split()) == many


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "RGBA"])
def test_the_picture_is_the_page_without_any_visible_text(tmp_path: Path, mode: str) -> None:
    image = Image.new("L", (600, 800), 255)
    image.paste(0, (100, 100, 300, 200))
    with PdfWriter(tmp_path / "a.pdf") as pdf:
        pdf.add(image.convert(mode), reading_of(["one two"]), dpi=144)
    drawn = np.asarray(pypdfium2.PdfDocument(tmp_path / "a.pdf")[0].render(scale=2).to_pil().convert("L"))
    assert drawn.shape == (800, 600)
    assert np.abs(drawn.astype(int) - np.asarray(image)).mean() < 2


def test_pages_come_in_order_and_may_be_empty(tmp_path: Path) -> None:
    document = written(tmp_path / "a.pdf", reading_of(["one"]), reading_of([]), reading_of(["three"]), mode="RGB")
    assert [page.get_textpage().get_text_bounded().strip() for page in document] == ["one", "", "three"]


def test_nothing_is_left_of_a_pdf_that_was_not_finished(tmp_path: Path) -> None:
    def stop() -> None:
        with PdfWriter(tmp_path / "a.pdf") as pdf:
            pdf.add(Image.new("L", (600, 800)), reading_of(["one"]), dpi=144)
            assert [path.name for path in tmp_path.iterdir()] == ["a.pdf.partial"]
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        stop()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"), PdfWriter(tmp_path / "none" / "a.pdf"):
        pass
