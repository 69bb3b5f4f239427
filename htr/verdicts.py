"""What is to be said about an image that was sent as a line: a word or a few, for programs and people alike."""

from enum import StrEnum

from htr.image import Decoded, Geometry, is_squeezed
from htr.levels import Levels

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


def judge(image: Decoded, geometry: Geometry, *, levels: Levels) -> tuple[Verdict, ...]:
    """Return what is to be said about an image that is read; OK alone where there is nothing to say.

    Args:
        image: as decoded, before it is scaled.
        geometry: how the network wants it.
        levels: its grey levels.
    """
    is_blank = levels.beyond_noise < BLANK_SHARE
    remarks = {
        Verdict.BLANK: is_blank,
        Verdict.INVERTED_AND_FIXED: not is_blank and levels.light_on_dark,
        Verdict.ROTATED_AND_FIXED: image.turned,
        Verdict.TOO_LONG: is_squeezed(image.grey, geometry),
        Verdict.ANIMATED: image.more_frames,
    }
    return tuple(verdict for verdict, applies in remarks.items() if applies) or (Verdict.OK,)
