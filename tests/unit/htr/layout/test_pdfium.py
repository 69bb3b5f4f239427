"""PDFs are drawn in a process apart: what makes it fail, hang or grow is refused, and nothing is left behind."""

import os
import re
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htr.errors import ImageError
from htr.layout.pdfium import count_pages, draw_pages, is_pdf
from tests.nasty_pages import PAGES, drawn, scan


def drawing() -> list[int]:
    """Return the processes of ours that draw a PDF."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            parent = re.search(r"^PPid:\s+(\d+)", (process / "status").read_text(), re.MULTILINE)
            is_ours = parent is not None and int(parent[1]) == os.getpid()
            if is_ours and b"pdfium_child" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


def test_pages_are_drawn_one_by_one_as_they_are_asked_for() -> None:
    data = scan(drawn(1), Image.new("RGB", (90, 120), (200, 30, 40)), drawn(2))
    assert (is_pdf(data), count_pages(data)) == (True, 3)
    found = dict(draw_pages(data, [3, 2], max_pixels=10**6))
    assert list(found) == [3, 2]
    same_size = found[3].convert("L").resize(drawn(2).size)  # sizes in points are rounded up to pixels
    assert np.abs(np.asarray(same_size, np.int16) - np.asarray(drawn(2), np.int16)).mean() < 8
    assert (found[2].mode, found[2].size) == ("RGB", (91, 121))
    red, green, blue = np.asarray(found[2]).mean(axis=(0, 1))
    assert (red, green, blue) == pytest.approx((200, 30, 40), abs=4)


def test_a_page_that_draws_for_ever_is_stopped() -> None:
    began = time.monotonic()
    with pytest.raises(ImageError, match=r"page 1 of the PDF takes more than 1 s") as refused:
        list(draw_pages(PAGES["pdf_form_draws_itself"](), [1], max_pixels=10**6, step_seconds=1.0))
    assert refused.value.reason == "too_large"
    assert time.monotonic() - began < 10
    assert drawing() == []


def test_who_stops_asking_leaves_no_process_behind() -> None:
    pages = draw_pages(scan(drawn(), drawn()), [1, 2], max_pixels=10**6)
    next(pages)
    assert len(drawing()) == 1
    pages.close()
    assert drawing() == []


def test_the_drawing_process_is_told_no_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QUILLFLOW_TOKEN", "swordfish-swordfish")
    pages = draw_pages(scan(drawn()), [1], max_pixels=10**6)
    next(pages)
    (child,) = drawing()
    assert b"swordfish" not in Path(f"/proc/{child}/environ").read_bytes()
    pages.close()


@pytest.mark.parametrize(
    ("death", "reason", "said"),
    [
        ("os.kill(os.getpid(), 11)", "undecodable", "the PDF cannot be drawn"),
        ("os.abort()", "too_large", "takes more than 10 s or 2 GiB"),  # how PDFium ends where memory does
    ],
)
def test_a_drawing_process_that_dies_is_a_page_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, death: str, reason: str, said: str
) -> None:
    dies = tmp_path / "dies.py"
    dies.write_text(f"import os, sys; sys.stdin.buffer.readline(); {death}")
    monkeypatch.setattr("htr.layout.pdfium._PROGRAM", dies)
    with pytest.raises(ImageError, match=said) as refused:
        count_pages(scan(drawn()))
    assert refused.value.reason == reason
