"""What is said about an image that is read, and the reason for one that is not."""

import io

import numpy as np
import pytest
from PIL import Image

from htr.errors import ImageError
from htr.image import Geometry, decode, decode_first
from htr.levels import measure_levels
from htr.verdicts import Verdict, judge
from tests.conftest import line_png


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def line() -> Image.Image:
    return Image.open(io.BytesIO(line_png("hello"))).convert("L")


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(line(), "JPEG", exif=exif, quality=95)


def said(data: bytes) -> set[Verdict]:
    image = decode_first(data)
    return set(judge(image, Geometry(), levels=measure_levels(image.grey)))


def test_there_is_nothing_to_say_about_a_plain_line() -> None:
    assert said(line_png("hello")) == {Verdict.OK}


@pytest.mark.parametrize("level", [0, 20, 127, 128, 235, 255])
def test_paper_alone_is_blank_whatever_its_colour(level: int) -> None:
    assert said(encoded(Image.new("L", (200, 40), level))) == {Verdict.BLANK}


def test_noisy_paper_is_blank_and_one_full_stop_is_not() -> None:
    rng = np.random.default_rng(0)
    noise = np.clip(rng.normal(230, 5, (40, 1000)), 0, 255).astype(np.uint8)
    assert said(encoded(Image.fromarray(noise))) == {Verdict.BLANK}
    noise[28:31, 500:503] = 40
    assert said(encoded(Image.fromarray(noise))) == {Verdict.OK}


def test_light_writing_on_dark_is_said_to_be_turned_over() -> None:
    assert said(encoded(Image.fromarray(255 - np.asarray(line())))) == {Verdict.INVERTED_AND_FIXED}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_rotation_but_the_upright_one_is_said(orientation: int) -> None:
    assert said(turned(orientation)) == {Verdict.OK if orientation == 1 else Verdict.ROTATED_AND_FIXED}


def test_a_line_wider_than_the_network_reads_is_too_long() -> None:
    geometry = Geometry()
    fits = geometry.max_width * 40 // geometry.height
    wide = np.full((40, fits + 400), 235, np.uint8)
    wide[10:30, ::20] = 20
    assert said(encoded(Image.fromarray(wide))) == {Verdict.TOO_LONG}
    assert said(encoded(Image.fromarray(wide[:, :fits]))) == {Verdict.OK}


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_several_frames_the_first_is_read_and_it_is_said(kind: str) -> None:
    other = Image.new("L", line().size, 128)
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(line(), kind, save_all=True, append_images=[other], **options)
    assert said(data) == {Verdict.ANIMATED}
    np.testing.assert_allclose(decode(data), np.asarray(line()), atol=3)


def test_remarks_add_up() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    dark = Image.fromarray(255 - np.asarray(line()))
    assert said(encoded(dark, "JPEG", exif=exif)) == {Verdict.INVERTED_AND_FIXED, Verdict.ROTATED_AND_FIXED}


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7 ...",
        b"\x00\x00\x00\x18ftypheic",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<?xml version='1.0'?><svg/>",
        b"  <!DOCTYPE html><html></html>",
        b"PK\x03\x04",
    ],
)
def test_files_of_other_kinds_are_called_by_their_names(data: bytes) -> None:
    with pytest.raises(ImageError, match="is not read; send one of PNG") as refused:
        decode(data)
    assert refused.value.reason == "unsupported"


def test_a_jpeg_of_very_many_passes_is_refused_before_it_is_decoded() -> None:
    whole = encoded(line(), "JPEG", progressive=True)
    assert decode(whole).shape == np.asarray(line()).shape
    last = whole.rindex(b"\xff\xda")
    with pytest.raises(ImageError) as refused:
        decode(whole[:-2] + whole[last:-2] * 200 + whole[-2:])
    assert refused.value.reason == "too_large"


def test_what_a_decoder_says_stays_inside() -> None:
    with pytest.raises(ImageError) as refused:
        decode(line_png("hello")[:200])
    assert str(refused.value) == "image is damaged or cut off; scan, export or copy it again"


def test_every_reason_for_a_refusal_is_a_verdict() -> None:
    too_low = encoded(Image.new("L", (50, 2)))
    large = encoded(Image.new("1", (4000, 2001)))
    for data in (b"", b"?", b"%PDF", too_low, large):
        with pytest.raises(ImageError) as refused:
            decode(data)
        assert Verdict(refused.value.reason)
