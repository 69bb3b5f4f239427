"""Copies are found in whatever form they come, and lines that merely look alike are not taken for copies."""

import io
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htr.audit.copies import Copies, exact_copies, near_copies
from htr.audit.fingerprints import fingerprint, ink_box
from htr.audit.ledger import Ledger, Numbers
from htr.audit.likeness import MIN_CORRELATION
from htr.audit.measures import Measured, measured_line
from htr.image import Geometry, Grey, decode
from htr.importers.manifest import import_manifest
from htr.lines import LinesDataset
from htr.synthesis.ink import draw
from htr.synthesis.style import POPULATIONS, Style
from tests.conftest import line_png
from tests.shared_lot import SHARED_DATA, needs_shared


def encoded(grey: Grey, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(grey).save(out, kind, **options)
    return out.getvalue()


def scaled(grey: Grey, factor: float) -> Grey:
    height, width = grey.shape
    return np.asarray(Image.fromarray(grey).resize((round(width * factor), round(height * factor))))


def turned(grey: Grey, degrees: float) -> Grey:
    paper = int(np.median(grey))
    image = Image.fromarray(grey).rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=paper)
    return np.asarray(image, np.uint8)


FORMS: dict[str, Callable[[Grey], bytes]] = {
    "jpeg": lambda grey: encoded(grey, "JPEG", quality=50),
    "smaller": lambda grey: encoded(scaled(grey, 0.7)),
    "larger": lambda grey: encoded(scaled(grey, 1.5)),
    "dimmed": lambda grey: encoded((grey * 0.8).astype(np.uint8)),
    "on more paper": lambda grey: encoded(np.pad(grey, ((9, 3), (2, 14)), constant_values=int(np.median(grey)))),
    "turned by 1 degree": lambda grey: encoded(turned(grey, 1)),
    "turned by 3 degrees": lambda grey: encoded(turned(grey, -3)),
    "inverted": lambda grey: encoded(255 - grey),
    "noisy": lambda grey: encoded(
        np.clip(grey + np.random.default_rng(3).normal(0, 6, grey.shape), 0, 255).astype(np.uint8)
    ),
}


def measured(images: list[bytes], texts: list[str] | None = None) -> list[Measured]:
    texts = texts or ["text"] * len(images)
    row = dict.fromkeys(("writer", "page", "language", "source"), "")
    return [
        measured_line(
            n, {**row, "id": f"l{n}", "image": i, "text": t, "split": "train", "width": 1, "height": 1}, Geometry()
        )
        for n, (i, t) in enumerate(zip(images, texts, strict=True))
    ]


def found(images: list[bytes], texts: list[str] | None = None) -> list[Copies]:
    def greys(rows: Numbers) -> AbstractContextManager[Mapping[int, Grey]]:
        return nullcontext({row: decode(images[row]) for row in rows.tolist()})

    return near_copies(Ledger.of(measured(images, texts)), greys)


def written(text: str, hand: int) -> bytes:
    rng = np.random.default_rng(hand)
    return encoded(draw(text, Style.invent(rng, like=POPULATIONS["plain"]), rng))


HANDS = [
    written(text, hand)
    for hand, text in enumerate(
        ("the quick brown fox", "jumped over a dog", "pack my box with jugs", "five dozen")
    )
]


@pytest.mark.parametrize("form", FORMS)
def test_a_copy_is_found_in_every_form_of_it(form: str) -> None:
    copy = FORMS[form](decode(HANDS[1]))
    (group,) = found([*HANDS, copy])
    assert group.rows == (1, 4)
    assert MIN_CORRELATION <= group.correlation <= 1


def test_different_lines_are_no_copies() -> None:
    assert found(HANDS) == []
    assert exact_copies(Ledger.of(measured(HANDS))) == []


def test_printed_lines_that_differ_in_one_digit_are_no_copies() -> None:
    texts = [f"le {n:02d} mai 1903, Paris" for n in range(20)]
    images = [line_png(text, height=40, seed=n) for n, text in enumerate(texts)]
    assert found(images, texts) == []


@needs_shared
def test_the_same_words_written_again_by_one_hand_are_no_copies(tmp_path: Path) -> None:
    import_manifest(SHARED_DATA / "manifest.csv", tmp_path / "d", only={"subset": {"repert"}, "split": {"val"}})
    lines = list(LinesDataset.open(tmp_path / "d").lines())
    assert len(lines) - len({(line.writer, line.text) for line in lines}) > 10, "clerks repeat themselves"
    assert found([line.image for line in lines], [line.text for line in lines]) == []


def test_the_same_pixels_are_exact_copies_however_they_are_encoded() -> None:
    grey = decode(HANDS[0])
    images = [encoded(grey), HANDS[1], encoded(grey, "BMP"), encoded(grey, "WEBP", lossless=True)]
    (group,) = exact_copies(Ledger.of(measured(images)))
    assert group == Copies(rows=(0, 2, 3), correlation=1.0)


def test_copies_of_copies_make_one_group() -> None:
    grey = decode(HANDS[0])
    images = [HANDS[0], encoded(grey), FORMS["jpeg"](grey), HANDS[2], FORMS["larger"](grey)]
    (group,) = found(images)
    assert group.rows == (0, 1, 2, 4)


def test_an_image_without_ink_has_no_fingerprint_and_stands_in_no_way() -> None:
    blank = encoded(np.full((40, 200), 230, np.uint8))
    assert fingerprint(decode(blank)) is None
    assert ink_box(decode(blank)) is None
    assert found([blank, blank, HANDS[0], FORMS["jpeg"](decode(HANDS[0]))])[0].rows == (2, 3)
    assert found([]) == []


def test_a_speck_far_off_does_not_move_the_fingerprint() -> None:
    grey = np.pad(decode(HANDS[2]), ((0, 0), (0, 200)), constant_values=235)
    specked = grey.copy()
    specked[3, -5] = 0
    one, two = fingerprint(grey), fingerprint(specked)
    assert one is not None
    assert two is not None
    assert int(np.bitwise_count(one.bits ^ two.bits).sum()) < 20
