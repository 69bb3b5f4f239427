"""Image bytes to line tensors."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from htr.errors import ImageError
from htr.image import Geometry, decode, line_tensor, probe
from htr.levels import measure_levels, percentiles
from tests.conftest import line_png


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def grey_line() -> Image.Image:
    return Image.open(io.BytesIO(line_png("hello"))).convert("L")


def test_a_line_keeps_its_aspect_and_ends_on_a_whole_step() -> None:
    geometry = Geometry(height=40, column_step=4)
    tensor = line_tensor(decode(line_png("hello", height=32)), geometry)
    assert tensor.shape[:2] == (1, 40)
    assert tensor.shape[2] % 4 == 0
    assert abs(tensor.shape[2] - (12 + 9 * 5) * 40 / 32) < 5


def test_paper_is_zero_and_ink_is_one() -> None:
    tensor = line_tensor(decode(line_png("hello")), Geometry())
    assert np.median(tensor) < 0.05
    assert tensor.max() > 0.95
    assert tensor.min() >= 0


def test_light_writing_on_dark_paper_gives_the_same_tensor() -> None:
    image = grey_line()
    turned = Image.fromarray(255 - np.asarray(image))
    plain = line_tensor(decode(encoded(image)), Geometry())
    np.testing.assert_allclose(line_tensor(decode(encoded(turned)), Geometry()), plain, atol=0.1)


def test_a_blank_line_stays_blank() -> None:
    rng = np.random.default_rng(0)
    noise = np.clip(rng.normal(230, 3, (40, 200)), 0, 255).astype(np.uint8)
    assert line_tensor(noise, Geometry()).mean() < 0.15


@pytest.mark.parametrize("levels", ["8 bits in 32", "12 bits in 16", "-1 to 1", "0 to 1", "0 to 100,000"])
def test_levels_of_other_depths_read_alike(levels: str) -> None:
    grey = decode(line_png("one two"))
    pixels = {
        "8 bits in 32": grey.astype(np.int32),
        "12 bits in 16": (grey.astype(np.uint16) << 4),
        "-1 to 1": grey.astype(np.float32) / 127.5 - 1,
        "0 to 1": grey.astype(np.float32) / 255,
        "0 to 100,000": grey.astype(np.float32) / 255 * 100_000,
    }[levels]
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "TIFF")
    found = decode(out.getvalue())
    stretched = [(one.astype(int) - one.min()) / (int(one.max()) - int(one.min())) for one in (grey, found)]
    assert np.abs(stretched[0] - stretched[1]).max() < 0.02


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "CMYK", "I;16"])
def test_every_pixel_format_reads_alike(mode: str) -> None:
    image = grey_line()
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    elif mode == "P":
        image = image.convert("P")
    other = image if mode in {"I;16", "P"} else image.convert("RGB").convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    np.testing.assert_allclose(
        line_tensor(decode(encoded(other, kind)), Geometry()),
        line_tensor(decode(line_png("hello")), Geometry()),
        atol=0.06,
    )


def test_transparent_paper_is_white() -> None:
    ink = np.asarray(grey_line())
    rgba = np.zeros((*ink.shape, 4), np.uint8)
    rgba[..., 3] = 255 - ink
    grey = decode(encoded(Image.fromarray(rgba)))
    assert measure_levels(grey).paper > measure_levels(grey).ink


def test_exif_rotation_is_undone() -> None:
    image = grey_line()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(image.rotate(90, expand=True), "JPEG", exif=exif, quality=95)
    assert decode(turned).shape == np.asarray(image).shape


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<svg></svg>", "unsupported"),
        (b"no image", "undecodable"),
        (line_png("hello")[:200], "undecodable"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        decode(data)
    assert caught.value.reason == reason


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = encoded(Image.new("1", (60_000, 20_000)))
    with pytest.raises(ImageError) as caught:
        probe(bomb)
    assert caught.value.reason == "too_large"


@pytest.mark.parametrize("size", [(1, 1), (200, 3)])
def test_an_image_too_low_for_any_letter_is_refused(size: tuple[int, int]) -> None:
    for read in (probe, decode):
        with pytest.raises(ImageError) as caught:
            read(encoded(Image.new("L", size)))
        assert caught.value.reason == "too_small"


@pytest.mark.parametrize("size", [(1, 4), (1, 64), (20_000, 8)])
def test_extreme_sizes_give_tensors_within_bounds(size: tuple[int, int]) -> None:
    geometry = Geometry()
    tensor = line_tensor(decode(encoded(Image.new("L", size, 200))), geometry)
    assert geometry.min_width <= tensor.shape[2] <= geometry.max_width


def test_the_fingerprint_tells_geometries_apart() -> None:
    assert Geometry().fingerprint() == Geometry().fingerprint() != Geometry(height=48).fingerprint()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"])
def test_flipped_bytes_never_escape_as_another_error(kind: str) -> None:
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = (
        encoded(grey_line(), kind, exif=exif) if kind in {"JPEG", "PNG", "WEBP"} else encoded(grey_line(), kind)
    )
    reasons = set()
    for _ in range(400):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), 400), 3):
            data[place] = rng.integers(0, 256)
        try:
            assert decode(bytes(data)).ndim == 2
        except ImageError as error:
            reasons.add(error.reason)
    assert reasons <= {"undecodable", "too_large", "too_small"}


def test_a_damaged_exif_block_does_not_cost_the_image() -> None:
    whole = encoded(grey_line(), "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x02")
    assert decode(whole).shape == np.asarray(grey_line()).shape


@given(
    npst.arrays(np.uint8, st.integers(1, 400)),
    st.lists(st.integers(0, 100), min_size=1, max_size=4),
)
def test_percentiles_of_grey_levels_are_numpys_to_the_last_bit(values: np.ndarray, wanted: list[int]) -> None:
    assert percentiles(np.bincount(values, minlength=256), wanted) == np.percentile(values, wanted).tolist()
