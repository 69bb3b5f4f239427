"""Decoded lines on disk: every image is decoded and scaled once, then read from a memory-mapped file.

    FOLDER/<key>.ink    uint8, 0 paper .. 255 ink, one line's (H, W) after the other
    FOLDER/<key>.json   ids, sources, widths, class ids, and what was left out

The key covers the lines, the split, the preprocessing, the alphabet and what is left out: another dataset, or
another release that scales differently, never meets the wrong file. Both files appear whole or not at all.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from htr.alphabet import Alphabet
from htr.ctc import steps_needed
from htr.errors import ImageError, OutputError
from htr.image import Geometry, decode, is_squeezed, line_tensor
from htr.lines import LinesDataset

RULES = 2
"""Counts up whenever other lines are left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One line, ready for the network but for its distortion."""

    id: str
    source: str
    ink_HW: npt.NDArray[np.uint8]
    """0 paper .. 255 ink: a quarter of the memory that floats would take."""
    class_ids: list[int]


@dataclass(kw_only=True)
class LineStore(Sequence[Sample]):
    """The usable lines of a split, and what was left out. Pickles as its file's name, not as its pixels."""

    ink: Path
    height: int
    ids: list[str]
    sources: list[str]
    widths: list[int]
    class_ids: list[list[int]]
    excluded: list[tuple[str, str]] = field(default_factory=list)
    """(line id, reason); reasons: ``undecodable``, ``unknown_character``, ``too_few_steps``, ``too_long``, ..."""

    def __post_init__(self) -> None:
        self._starts = [0, *accumulate(self.height * width for width in self.widths)]
        self._pixels: npt.NDArray[np.uint8] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pixels": None}

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        """Return a line, its pixels a view into the mapped file."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if self._pixels is None:
            self._pixels = np.memmap(self.ink, np.uint8, mode="r")
        start, end = self._starts[index], self._starts[index + 1]
        return Sample(
            id=self.ids[index],
            source=self.sources[index],
            ink_HW=self._pixels[start:end].reshape(self.height, self.widths[index]),
            class_ids=self.class_ids[index],
        )

    def reasons(self) -> dict[str, int]:
        """Count what was left out by reason."""
        return dict(sorted(Counter(reason for _, reason in self.excluded).items()))


def open_store(
    dataset: LinesDataset,
    split: str,
    folder: Path,
    *,
    geometry: Geometry,
    alphabet: Alphabet,
    on_line: Callable[[int], None] = lambda _: None,
) -> LineStore:
    """Open the store of a split, decoding its lines first where that was not done yet.

    Args:
        dataset: where the lines come from.
        split: one of htr.lines.SPLITS.
        folder: for the files; made when missing.
        geometry: scaling, as it will be at serving.
        alphabet: lines with characters outside it are left out.
        on_line: called with the number of lines decoded so far.

    Raises:
        OutputError: the folder cannot be written.
    """
    key = hashlib.sha256(
        json.dumps([RULES, dataset.digest, split, geometry.fingerprint(), list(alphabet.characters)]).encode()
    ).hexdigest()[:16]
    ink, index = folder / f"{key}.ink", folder / f"{key}.json"
    if not index.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _decode(dataset, split, ink, index, geometry=geometry, alphabet=alphabet, on_line=on_line)
        except OSError as error:
            raise OutputError(
                f"{folder}: cannot be written ({error.strerror}); free the disk or choose another work folder"
            ) from error
    return _opened(ink, index)


def _opened(ink: Path, index: Path) -> LineStore:
    found = json.loads(index.read_text(encoding="utf-8"))
    found["excluded"] = [(line_id, reason) for line_id, reason in found["excluded"]]
    return LineStore(ink=ink, **found)


def _decode(
    dataset: LinesDataset,
    split: str,
    ink: Path,
    index: Path,
    *,
    geometry: Geometry,
    alphabet: Alphabet,
    on_line: Callable[[int], None],
) -> None:
    """Write both files; the index last, since it is what says that they are whole."""
    found: dict[str, list[Any]] = {"ids": [], "sources": [], "widths": [], "class_ids": [], "excluded": []}
    partial = ink.with_suffix(f".{os.getpid()}.partial")  # several processes may do this at once, each the same
    with partial.open("wb") as out:
        for number, line in enumerate(dataset.lines(split), start=1):
            on_line(number)
            if alphabet.missing(line.text):
                found["excluded"].append((line.id, "unknown_character"))
                continue
            try:
                grey = decode(line.image)
            except ImageError as error:
                found["excluded"].append((line.id, error.reason))
                continue
            if is_squeezed(grey, geometry):  # nobody writes like that: it would teach letters that do not exist
                found["excluded"].append((line.id, "too_long"))
                continue
            tensor_1HW = line_tensor(grey, geometry)
            class_ids = alphabet.encode(line.text)  # in visual order, so that other characters are neighbours
            if tensor_1HW.shape[2] // geometry.column_step < steps_needed(class_ids):
                found["excluded"].append((line.id, "too_few_steps"))
                continue
            out.write(np.rint(tensor_1HW[0] * 255).astype(np.uint8).tobytes())
            found["ids"].append(line.id)
            found["sources"].append(line.source)
            found["widths"].append(tensor_1HW.shape[2])
            found["class_ids"].append(class_ids)
    partial.replace(ink)
    partial.write_text(json.dumps({**found, "height": geometry.height}), encoding="utf-8")
    partial.replace(index)
