"""Measured lines -> images that are blank, lying, faint, light on dark, or too narrow for the text."""

from collections.abc import Iterator, Sequence

from htr.audit.measures import Measured

MIN_CONTRAST = 24
"""Grey levels between the darkest and the lightest thousandth of an image; a blank line stays below."""
FAINT_CONTRAST = 48
"""Grey levels between paper and ink, below which people, too, have to look twice."""
MIN_SIDE = 8
"""Pixels."""
_UPRIGHT = 2.0
"""Height by width beyond which a line of three letters and more lies on its side."""

Found = Iterator[tuple[Measured, str]]


def undecodable(lines: Sequence[Measured]) -> Found:
    """Yield the lines whose image cannot be decoded."""
    for line in lines:
        if line.undecodable:
            yield line, f"image is {line.undecodable}"


def blank(lines: Sequence[Measured]) -> Found:
    """Yield the lines whose image shows nothing."""
    for line in lines:
        if line.picture and line.picture.contrast < MIN_CONTRAST:
            yield line, f"{line.picture.contrast:.0f} grey levels between darkest and lightest; text {line.text!r}"


def faint(lines: Sequence[Measured]) -> Found:
    """Yield the lines whose writing hardly differs from the paper."""
    for line in lines:
        if line.picture and line.picture.contrast >= MIN_CONTRAST and line.picture.ink_contrast < FAINT_CONTRAST:
            yield line, f"{line.picture.ink_contrast:.0f} grey levels between paper and ink"


def inverted(lines: Sequence[Measured]) -> Found:
    """Yield the lines whose writing is lighter than the paper."""
    for line in lines:
        if line.picture and line.picture.is_dark and line.picture.contrast >= MIN_CONTRAST:
            yield line, "light writing on dark paper; it is read all the same"


def lying(lines: Sequence[Measured]) -> Found:
    """Yield the lines that lie on their side: far higher than wide, with a text of several letters."""
    for line in lines:
        picture = line.picture
        if picture and len(line.text) > 2 and picture.height > _UPRIGHT * picture.width:
            yield line, f"{picture.width} x {picture.height} pixels for {line.text!r}"


def too_small(lines: Sequence[Measured]) -> Found:
    """Yield the lines whose image is too small to be read."""
    for line in lines:
        if line.picture and min(line.picture.width, line.picture.height) < MIN_SIDE:
            yield line, f"{line.picture.width} x {line.picture.height} pixels"


def infeasible(lines: Sequence[Measured]) -> Found:
    """Yield the lines that are too narrow for their text: CTC has fewer time steps than it needs."""
    for line in lines:
        if line.picture and line.picture.steps < line.steps_needed:
            yield line, f"{line.picture.steps} steps, needs {line.steps_needed}; text {line.text!r}"
