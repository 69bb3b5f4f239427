"""Lines dataset -> what one pass over its lines leaves of each: fields, sizes, digests, a perceptual hash.

Rows are read as they lie in the Parquet files, not as `htr.lines.Line`: a Line refuses much of what is to be found
here. Images pass by one at a time.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from htr.audit.fingerprints import Fingerprint, fingerprint
from htr.ctc import steps_needed
from htr.errors import ImageError
from htr.image import Geometry, Grey, decode, probe, scaled_width
from htr.levels import measure_levels, percentiles
from htr.lines import SCHEMA, LinesDataset

Row = dict[str, Any]
_ROWS_AT_A_TIME = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """What can be said of an image that was decoded."""

    width: int
    height: int
    size_fault: str
    """How its size differs from the stored one; "" where it does not."""
    sha256: str
    """Of the image as encoded."""
    pixels: bytes
    """SHA-256 of the size and the grey levels: the same for every lossless form of an image."""
    contrast: float
    """Grey levels between the darkest and the lightest thousandth."""
    ink_contrast: float
    """Grey levels between paper and the hundredth of the pixels that differs most from it."""
    is_dark: bool
    """The writing is lighter than the paper."""
    steps: int
    """Time steps that CTC has for the line."""
    fingerprint: Fingerprint | None
    """None where there is no ink."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One line as the audit sees it; missing texts read as ""."""

    row: int
    """Number of the line in the dataset, from 0."""
    id: str
    text: str
    writer: str
    page: str
    language: str
    source: str
    split: str
    no_value: str
    """Columns without a value, parted by commas."""
    undecodable: str
    """Why the image cannot be decoded, in one word; "" where it can."""
    picture: Picture | None
    """None where the image cannot be decoded."""
    steps_needed: int
    """Time steps that CTC needs for the text."""


def measured_lines(
    dataset: LinesDataset, geometry: Geometry, on_line: Callable[[int], None] = lambda _: None
) -> Iterator[Measured]:
    """Yield every line in stored order.

    Args:
        dataset: its shards must have the right columns.
        geometry: scaling at which the time steps are counted.
        on_line: called with the number of lines seen so far.

    Raises:
        DataError: a shard cannot be read to its end.
    """
    for number, row in raw_rows(dataset, SCHEMA.names):
        yield measured_line(number, row, geometry)
        on_line(number + 1)


def measured_line(number: int, row: Row, geometry: Geometry) -> Measured:
    """Return what stays of one row; values may be missing."""
    names = ("id", "text", "writer", "page", "language", "source", "split")
    said = {name: row[name] or "" for name in names}
    data = row["image"] or b""
    undecodable, picture = "", None
    try:
        picture = _picture(data, decode(data), (row["width"], row["height"]), geometry)
    except ImageError as error:
        undecodable = error.reason
    return Measured(
        row=number,
        no_value=", ".join(n for n in SCHEMA.names if row[n] is None or (n == "id" and not row[n])),
        undecodable=undecodable,
        picture=picture,
        steps_needed=steps_needed(said["text"]),
        **said,
    )


def _picture(data: bytes, grey: Grey, stored: tuple[int | None, int | None], geometry: Geometry) -> Picture:
    size = probe(data)
    counts = np.asarray(Image.fromarray(grey).histogram())
    darkest, low, middle, high, lightest = percentiles(counts, (0.1, 1, 50, 99, 99.9))
    levels = measure_levels(grey)
    paper, ink = levels.paper, levels.ink
    columns = max(geometry.min_width, scaled_width(grey, geometry))
    return Picture(
        width=grey.shape[1],
        height=grey.shape[0],
        size_fault=f"{stored[0]} x {stored[1]}, but it is {size[0]} x {size[1]}" if stored != size else "",
        sha256=hashlib.sha256(data).hexdigest(),
        pixels=hashlib.sha256(repr(grey.shape).encode() + grey.tobytes()).digest(),
        contrast=lightest - darkest,
        ink_contrast=high - middle if ink > paper else middle - low,
        is_dark=ink > paper,
        steps=-(-columns // geometry.column_step),  # as line_tensor pads it
        fingerprint=fingerprint(grey),
    )


def images_of(dataset: LinesDataset, numbers: Collection[int]) -> dict[int, bytes]:
    """Return the encoded images of some lines by their row numbers."""
    return dict(each_image(dataset, np.sort(np.fromiter(numbers, np.int64, len(numbers)))))


def each_image(dataset: LinesDataset, rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, bytes]]:
    """Yield the encoded images of some lines with their row numbers, which must ascend."""
    begin = 0
    for batch in dataset.batches(["image"], rows=_ROWS_AT_A_TIME) if len(rows) else ():
        first, end = np.searchsorted(rows, (begin, begin + batch.num_rows))
        for row in rows[first:end].tolist():
            yield row, batch.column(0)[row - begin].as_py() or b""
        begin += batch.num_rows
        if end == len(rows):
            return


def raw_rows(dataset: LinesDataset, columns: list[str]) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a dataset with their numbers, as they lie in the files.

    Raises:
        DataError: a shard cannot be read to its end.
    """
    number = 0
    for batch in dataset.batches(columns, rows=_ROWS_AT_A_TIME):
        for row in batch.to_pylist():
            yield number, row
            number += 1
