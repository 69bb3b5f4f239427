"""What is to be said about an image that was sent as a line: a word or a few, for programs and people alike."""

from enum import StrEnum

import numpy as np

from htr.image import Decoded, Geometry, paper_and_ink

NOISE_LEVELS = 32
"""Grey levels from paper that still pass for noise, as in `htr.image.paper_and_ink`."""
BLANK_SHARE = 1 / 10_000
"""An image with a smaller share of pixels beyond the noise holds no writing: one full stop on a line has more."""


class Verdict(StrEnum):
    """A word about an image. The first six go with a reading, the others stand in its place."""

    OK = "ok"
    """Nothing to remark."""
    BLANK = "blank"
    """Nothing on it but paper; whatever was read is read into it."""
    INVERTED_AND_FIXED = "inverted_and_fixed"
    """Light writing on dark paper, turned over before reading."""
    ROTATED_AND_FIXED = "rotated_and_fixed"
    """Its EXIF block says that it lies on its side, upside down or mirrored; it was set upright."""
    TOO_LONG = "too_long"
    """Wider than the network reads at its height: squeezed to fit, and read the worse for it."""
    ANIMATED = "animated"
    """Several frames or pages; only the first was read."""
    TOO_SMALL = "too_small"
    """Too low for any letter; not read."""
    TOO_LARGE = "too_large"
    """More bytes or pixels than are decoded; not read."""
    UNSUPPORTED = "unsupported"
    """A file of a kind that is not read: SVG, PDF, HEIC and so on."""
    UNDECODABLE = "undecodable"
    """Damaged, cut off, or no image at all."""
    EMPTY = "empty"
    """No bytes."""


def judge(image: Decoded, geometry: Geometry, *, paper_level: float) -> tuple[Verdict, ...]:
    """Return what is to be said about an image that is read; OK alone where there is nothing to say.

    Args:
        image: as decoded, before it is scaled.
        geometry: how the network wants it.
        paper_level: grey level of its paper, 0..255, as in its profile.
    """
    height, width = image.grey.shape
    is_beyond_noise = np.abs(image.grey.astype(np.int16) - round(paper_level)) >= NOISE_LEVELS
    is_blank = is_beyond_noise.mean() < BLANK_SHARE
    remarks = {
        Verdict.BLANK: is_blank,
        Verdict.INVERTED_AND_FIXED: not is_blank and paper_level < 128 and _is_light_on_dark(image),
        Verdict.ROTATED_AND_FIXED: image.turned,
        Verdict.TOO_LONG: round(width * geometry.height / height) > geometry.max_width,
        Verdict.ANIMATED: image.more_frames,
    }
    return tuple(verdict for verdict, applies in remarks.items() if applies) or (Verdict.OK,)


def _is_light_on_dark(image: Decoded) -> bool:
    paper, ink = paper_and_ink(image.grey)
    return ink > paper
