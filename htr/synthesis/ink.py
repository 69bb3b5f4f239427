"""Text and a style in, a grey line image out: the pen of the invented writers.

Points are (x, y) in heights of a capital letter, y downwards, 0 on the baseline, until they are scaled to pixels.
"""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from htr.image import Grey
from htr.synthesis.letters import has_glyph, hershey_letters, is_font_file, outline_face, shaped
from htr.synthesis.strokes import Floats
from htr.synthesis.style import Style

OVERSAMPLING = 4
"""Lines are drawn this many times larger and averaged down, which smooths the edges."""
_DESCENDER = 0.25  # room kept below the baseline even for text without a descender
_FIXED_POINT_BITS = 4
_BLOT = 80  # room around the drawing for strokes that leave the letter's box, in oversampled pixels


def draw(text: str, style: Style, rng: np.random.Generator) -> Grey:
    """Write a text as one line.

    Args:
        text: what to write; every character needs a glyph in the style's font.
        style: whose hand it is.
        rng: what differs from one writing to the next.

    Raises:
        ValueError: the text is empty, or the font has no glyph for a character.
    """
    if not text.strip():
        raise ValueError("there is nothing to draw: the text is empty")
    glyphs = shaped(text)
    lacking = sorted({c for c in glyphs if not has_glyph(style.font, c)})
    if lacking:
        raise ValueError(f"font {style.font!r} has no glyph for {lacking}, wanted for {text!r}")
    if is_font_file(style.font):
        ink = _outlined(glyphs, style, rng, turned=glyphs != text)
    else:
        ink = _stroked(glyphs, style, rng)
    return _on_paper(ink, style, rng)


@lru_cache(maxsize=256)
def _habits(seed: int) -> Floats:
    """Return how a writer deforms each ASCII character: 10 standard normal numbers a character."""
    return np.random.default_rng([seed, 1]).normal(size=(128, 10)).clip(-2, 2)


@lru_cache(maxsize=4096)
def _habit(seed: int, character: str) -> Floats:
    code = ord(character)
    if code < 128:
        return np.asarray(_habits(seed)[code])
    return np.random.default_rng([seed, 1, code]).normal(size=10).clip(-2, 2)


def _stroked(text: str, style: Style, rng: np.random.Generator) -> Grey:
    """Draw single-stroke letters; returns coverage, 0 to 255, oversampled."""
    font = hershey_letters(style.font)
    letters = [(index, c, font[c]) for index, c in enumerate(text) if c != " "]
    chance = rng.normal(size=(len(letters), 10)).clip(-2, 2)
    habits = np.stack([_habit(style.habit_seed, c) for _, c, _ in letters])
    traits = habits * style.habit + chance * style.jitter * 0.6
    stretch_x, stretch_y, turn, lean, rise, shift, bow, bow_phase, sag, sag_phase = traits.T

    widths = np.array([g.advance for _, _, g in letters]) * style.width * (1 + 0.07 * stretch_x)
    starts, x, previous = np.empty(len(letters)), 0.0, -1
    for i, (index, _, _) in enumerate(letters):
        if i and index > previous + 1:
            x += style.word_spacing * (1 + 0.12 * style.jitter * float(chance[i, 5]))
        starts[i] = x + 0.015 * shift[i]
        x += widths[i] + style.letter_spacing
        previous = index

    sizes = [len(g.points) for _, _, g in letters]
    points = np.concatenate([g.points for _, _, g in letters])
    begins = np.concatenate([g.begins for _, _, g in letters])

    def each(values: Floats) -> Floats:
        return np.repeat(values, sizes)

    u = points[:, 0] * style.width * each(1 + 0.07 * stretch_x)
    v = points[:, 1] * each(1 + 0.06 * stretch_y)
    half = each(widths) / 2
    # Turn and lean about the foot of the letter's middle, then bend the strokes a little.
    u, v = u - v * each(0.07 * lean), v + (u - half) * each(0.05 * turn)
    u = u + 0.025 * each(bow) * np.sin(np.pi * v * 1.5 + each(bow_phase) * 2)
    v = v + 0.025 * each(sag) * np.sin(np.pi * u * 1.5 + each(sag_phase) * 2)
    u, v = u + each(starts), v + each(0.03 * rise)
    v = v + _baseline(u, style, rng)
    u = u - v * style.slant
    return _pen(np.stack([u, v], axis=1), begins, style)


def _baseline(u: Floats, style: Style, rng: np.random.Generator) -> Floats:
    slope, long, short, phase, phase2 = rng.normal(size=5)
    waves = long * np.sin(u / 2.5 + phase * 3) + 0.5 * short * np.sin(u / 0.9 + phase2 * 3)
    return style.wander * np.asarray(waves + 0.15 * slope * (u - u.mean()))


def _pen(points: Floats, begins: npt.NDArray[np.bool_], style: Style) -> Grey:
    scale = style.cap_height_px * OVERSAMPLING
    low = np.minimum(points.min(axis=0), (np.inf, -1.0))
    high = np.maximum(points.max(axis=0), (-np.inf, _DESCENDER))
    width, height = np.ceil((high - low) * scale).astype(int) + 2 * _BLOT
    coverage = np.zeros((height, width), dtype=np.uint8)
    pixels = (points - low) * scale + _BLOT
    segments = np.stack([pixels[:-1], pixels[1:]], axis=1)[~begins[1:]]
    step = segments[:, 1] - segments[:, 0]
    down = step[:, 1] / np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)
    pen = style.pen_px * OVERSAMPLING * (1 + style.pressure * 0.6 * down)
    thickness = np.maximum(np.rint(pen), 1).astype(int)
    fixed = np.rint(segments * (1 << _FIXED_POINT_BITS)).astype(np.int32)
    for width_px in np.unique(thickness):
        lines = list(fixed[thickness == width_px])
        cv2.polylines(coverage, lines, False, 255, int(width_px), cv2.LINE_8, _FIXED_POINT_BITS)
    return _cropped(coverage)


def _cropped(coverage: Grey) -> Grey:
    """Cut the free room off, but keep the height of a line; sides become multiples of the oversampling."""
    columns = np.flatnonzero(coverage.any(axis=0))
    rows = np.flatnonzero(coverage.any(axis=1))
    top, bottom = min(rows[0], _BLOT), max(rows[-1] + 1, coverage.shape[0] - _BLOT)
    inked = coverage[top:bottom, columns[0] : columns[-1] + 1]
    spare = [(0, -side % OVERSAMPLING) for side in inked.shape]
    return np.pad(inked, spare)


def _outlined(text: str, style: Style, rng: np.random.Generator, *, turned: bool) -> Grey:
    """Draw with an outline font, word by word from left to right; returns coverage, 0 to 255, oversampled.

    The pen is the font's own; letters keep the font's spacing, because many are made to join.
    """
    scale = style.cap_height_px * OVERSAMPLING
    _, top, _, bottom = outline_face(style.font, 200).getbbox("H")
    face = outline_face(style.font, max(8, round(200 * scale / max(1, bottom - top))), plain=turned)
    words = text.split()
    gap = style.word_spacing * scale / style.width
    length = sum(face.getlength(w) for w in words) + gap * (len(words) - 1)
    room = round(_BLOT + 1.2 * scale + max(0.0, style.width - 1) / 2 * length)
    base = round(_BLOT + scale)
    width, height = round(length) + 2 * room, base + round(_DESCENDER * scale) + _BLOT
    canvas = Image.new("L", (width, height))
    pen, x = ImageDraw.Draw(canvas), float(room)
    for word in words:
        lift = style.wander * scale * float(rng.normal())
        pen.text((x, base + lift), word, fill=255, font=face, anchor="ls")
        x += face.getlength(word) + gap * (1 + 0.12 * style.jitter * float(rng.uniform(-1, 1)))

    # Look every pixel up where it came from: slanted, stretched and a little displaced.
    columns = np.arange(width, dtype=np.float32)[None, :]
    rows = np.arange(height, dtype=np.float32)[:, None]
    bend = np.float32(0.04 * style.jitter * scale)
    from_x = (columns - width / 2 + (rows - base) * style.slant) / style.width + width / 2
    from_x = from_x + bend * _smooth(rng, (height, width), round(scale))
    from_y = rows + bend * _smooth(rng, (height, width), round(scale))
    drawn = np.asarray(canvas, dtype=np.uint8)
    bent = cv2.remap(drawn, from_x.astype(np.float32), from_y.astype(np.float32), cv2.INTER_LINEAR)
    return _cropped(np.asarray(bent, dtype=np.uint8))


def _smooth(rng: np.random.Generator, shape: tuple[int, int], grain: int) -> npt.NDArray[np.float32]:
    """Return smooth random hills, about -1 to 1, a few ``grain`` pixels across."""
    coarse = rng.normal(size=(shape[0] // grain + 3, shape[1] // grain + 3)).astype(np.float32)
    hills = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(hills, dtype=np.float32)


def _on_paper(coverage: Grey, style: Style, rng: np.random.Generator) -> Grey:
    """Scale coverage down, give it margins, and lay the ink on grained paper."""
    height, width = (side // OVERSAMPLING for side in coverage.shape)
    small = cv2.resize(coverage, (width, height), interpolation=cv2.INTER_AREA)
    top, bottom = rng.integers(3, 8, size=2)
    left, right = rng.integers(4, 13, size=2)
    small = np.pad(small, ((top, bottom), (left, right)))
    soft = cv2.GaussianBlur(small, (0, 0), style.softness_px).astype(np.float32) / 255
    shade = _smooth(rng, soft.shape, 48) * np.float32(style.paper_noise)
    grain = rng.standard_normal(soft.shape, dtype=np.float32) * np.float32(style.paper_noise)
    flow = 1 - 0.12 * np.abs(_smooth(rng, soft.shape, 16))
    paper = style.paper_level + shade
    grey = paper + soft * flow * (style.ink_level - paper) + grain
    return np.asarray(np.clip(np.rint(grey), 0, 255), dtype=np.uint8)
