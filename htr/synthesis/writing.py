"""Invented writers: a seed in, a lines dataset of repeatable styles out.

Every writer, and every line of a writer, has a random generator of its own, made from the seed, the population and
the writer's number. All lines of a writer lie in one split, and no text occurs twice as long as there are others.
Two datasets that are to be used together want different seeds, or one may train on what the other tests.
"""

import io
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from htr.errors import DataError, SettingsError
from htr.image import Grey
from htr.lines import SPLITS, DatasetInfo, Line, LinesDataset, LinesWriter
from htr.synthesis.ink import draw
from htr.synthesis.letters import GREEK_FONTS, has_glyph, outline_face, shaped
from htr.synthesis.scripts import SCRIPTS, characters_of, invent_script_text
from htr.synthesis.style import POPULATIONS, Style
from htr.synthesis.text import invent_text

SHARES: Mapping[str, float] = {"train": 0.7, "val": 0.1, "test": 0.2}
"""Share of the writers in each split."""
_NEW_TEXT_TRIES = 50
LATIN = "latin"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,-'!$%&():;?/"


def write_dataset(
    out: Path,
    *,
    num_lines: int,
    num_writers: int,
    seed: int,
    population: str = "plain",
    script: str = LATIN,
    splits: Mapping[str, float] = SHARES,
    fonts: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DatasetInfo:
    """Write a lines dataset of invented writers; the same arguments give the same bytes.

    Args:
        out: the folder to create.
        num_lines: lines in all, spread evenly over the writers.
        num_writers: writers in all; each writes in one style, and in one split.
        seed: 0 or more.
        population: one of POPULATIONS.
        script: LATIN (English and French without accents) or one of SCRIPTS; Arabic needs ``fonts``.
        splits: share of the writers by split; the shares add up to 1.
        fonts: a folder of .ttf and .otf handwriting fonts to use instead of single-stroke letters.
        progress: called with lines done and lines in all.

    Raises:
        SettingsError: an argument makes no sense, or there are too few writers for the splits.
        DataError: the folder of fonts holds none, or one that cannot be used.
        OutputError: the folder is there already or cannot be written.
    """
    if population not in POPULATIONS:
        raise SettingsError(f"population {population!r} is not known; choose one of {sorted(POPULATIONS)}")
    if script not in {LATIN, *SCRIPTS}:
        raise SettingsError(f"script {script!r} is not known; choose one of {sorted({LATIN, *SCRIPTS})}")
    if script == "arabic" and fonts is None:
        raise SettingsError(
            "single-stroke letters are there for Greek and Vietnamese, not for Arabic; name a folder of .ttf or "
            ".otf fonts that have Arabic letters with --fonts (DejaVu Sans is one)"
        )
    if seed < 0:
        raise SettingsError(f"seed must be 0 or more, got {seed}")
    if not 1 <= num_writers <= num_lines:
        raise SettingsError(
            f"{num_lines} lines cannot be spread over {num_writers} writers: "
            "ask for at least one writer, and one line for each"
        )
    split_of_writer = _split_writers(num_writers, splits, seed)
    ranges = POPULATIONS[population]
    if fonts is not None:
        ranges = replace(ranges, fonts=_font_files(fonts, script))
    elif script == "greek":
        ranges = replace(ranges, fonts=GREEK_FONTS)

    # Latin lines keep the seeds and names that they had before there were other scripts.
    kind = population if script == LATIN else f"{script}-{population}"
    root = [seed, zlib.crc32(kind.encode())]
    written: set[str] = set()
    done = 0
    with LinesWriter(out) as dataset:
        for number, split in enumerate(split_of_writer):
            writer = f"{kind}-{seed}-{number:04d}"
            style = Style.invent(np.random.default_rng([*root, number]), like=ranges)
            for index in range(num_lines // num_writers + (number < num_lines % num_writers)):
                rng = np.random.default_rng([*root, number, index + 1])
                text, language = _new_text(rng, script, written)
                grey = draw(text, style, rng)
                dataset.add(
                    Line(
                        id=f"{writer}-{index:05d}",
                        image=_png(grey),
                        text=text,
                        writer=writer,
                        language=language,
                        source=f"invented-{kind}",
                        split=split,
                        width=grey.shape[1],
                        height=grey.shape[0],
                    )
                )
                done += 1
                if progress:
                    progress(done, num_lines)
    return LinesDataset.open(out).info


def _new_text(rng: np.random.Generator, script: str, written: set[str]) -> tuple[str, str]:
    """Invent a text that was not written before; after many tries, one that was will do."""
    for _ in range(_NEW_TEXT_TRIES + 1):
        text, language = invent_text(rng) if script == LATIN else invent_script_text(rng, script)
        if text not in written:
            break
    written.add(text)
    return text, language


def _png(grey: Grey) -> bytes:
    """Encode with fixed options, so that equal pixels are equal bytes."""
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG", compress_level=1, optimize=False)
    return out.getvalue()


def _split_writers(num_writers: int, shares: Mapping[str, float], seed: int) -> list[str]:
    """Return each writer's split: whole writers, closest to the shares, at least one a split."""
    wanted = {split: share for split, share in shares.items() if share > 0}
    if not set(shares) <= set(SPLITS) or any(share < 0 for share in shares.values()):
        raise SettingsError(f"splits must give shares of 0 or more to some of {SPLITS}, got {dict(shares)}")
    if abs(sum(wanted.values()) - 1) > 1e-6:
        raise SettingsError(f"the shares of the splits must add up to 1, got {dict(shares)}")
    if num_writers < len(wanted):
        raise SettingsError(
            f"{num_writers} writers cannot fill the splits {sorted(wanted)}, as a writer stays in one split; "
            f"ask for at least {len(wanted)} writers"
        )
    counts = {split: max(1, int(share * num_writers)) for split, share in wanted.items()}
    while sum(counts.values()) != num_writers:
        step = 1 if sum(counts.values()) < num_writers else -1
        able = [split for split in counts if counts[split] + step >= 1]
        # The split that lies furthest from its share gives or takes a writer.
        furthest = max(able, key=lambda split: step * (wanted[split] * num_writers - counts[split]))
        counts[furthest] += step
    ordered = [split for split, count in counts.items() for _ in range(count)]
    return [ordered[i] for i in np.random.default_rng([seed, 0]).permutation(num_writers)]


def _font_files(folder: Path, script: str) -> tuple[str, ...]:
    """Return the folder's outline fonts, each proven to draw every letter that is wanted."""
    if not folder.is_dir():
        raise DataError(f"{folder}: not a folder; --fonts wants a folder of .ttf or .otf files")
    paths = sorted(str(p) for p in folder.iterdir() if p.suffix.lower() in {".ttf", ".otf"})
    if not paths:
        raise DataError(f"{folder}: holds no .ttf or .otf file; put handwriting fonts there or leave out --fonts")
    letters = _LETTERS if script == LATIN else characters_of(script)
    # A joining letter has up to four forms: by itself, and before, between and after others.
    wanted = sorted({glyph for c in letters for text in (c, f"{c}ـ", f"ـ{c}ـ", f"ـ{c}") for glyph in shaped(text)})
    for path in paths:
        try:
            outline_face(path, 16)
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: not a font that can be read ({error}); remove it from the folder") from error
        lacking = [c for c in (wanted if script == "arabic" else letters) if not has_glyph(path, c)]
        if lacking:
            raise DataError(f"{path}: the font has no letter for {''.join(lacking)}; remove it from the folder")
    return tuple(paths)
