"""A measured line -> what is wrong with its image: blank, lying, faint, light on dark, or too narrow for the text.

Each function returns what to say of a line, and "" where there is nothing to be said.
"""

from htr.audit.measures import Measured

MIN_CONTRAST = 24
"""Grey levels between the darkest and the lightest thousandth of an image; a blank line stays below."""
FAINT_CONTRAST = 48
"""Grey levels between paper and ink, below which people, too, have to look twice."""
MIN_SIDE = 8
"""Pixels."""
_UPRIGHT = 2.0
"""Height by width beyond which a line of three letters and more lies on its side."""


def undecodable(line: Measured) -> str:
    """Say of a line whose image cannot be decoded why."""
    return f"image is {line.undecodable}" if line.undecodable else ""


def blank(line: Measured) -> str:
    """Say of a line whose image shows nothing how little it shows."""
    if line.picture is None or line.picture.contrast >= MIN_CONTRAST:
        return ""
    return f"{line.picture.contrast:.0f} grey levels between darkest and lightest; text {line.text!r}"


def faint(line: Measured) -> str:
    """Say of a line whose writing hardly differs from the paper by how much it does."""
    picture = line.picture
    if picture is None or picture.contrast < MIN_CONTRAST or picture.ink_contrast >= FAINT_CONTRAST:
        return ""
    return f"{picture.ink_contrast:.0f} grey levels between paper and ink"


def inverted(line: Measured) -> str:
    """Say of a line whose writing is lighter than the paper that it is."""
    if line.picture is None or not line.picture.is_dark or line.picture.contrast < MIN_CONTRAST:
        return ""
    return "light writing on dark paper; it is read all the same"


def lying(line: Measured) -> str:
    """Say of a line that lies on its side (far higher than wide, with a text of several letters) its size."""
    picture = line.picture
    if picture is None or len(line.text) <= 2 or picture.height <= _UPRIGHT * picture.width:
        return ""
    return f"{picture.width} x {picture.height} pixels for {line.text!r}"


def too_small(line: Measured) -> str:
    """Say of a line whose image is too small to be read its size."""
    picture = line.picture
    if picture is None or min(picture.width, picture.height) >= MIN_SIDE:
        return ""
    return f"{picture.width} x {picture.height} pixels"


def infeasible(line: Measured) -> str:
    """Say of a line that is too narrow for its text how many time steps CTC lacks."""
    if line.picture is None or line.picture.steps >= line.steps_needed:
        return ""
    return f"{line.picture.steps} steps, needs {line.steps_needed}; text {line.text!r}"
