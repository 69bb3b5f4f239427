"""Readings of real lines, plain and changed, for the benches on drift and on estimated error rates; read once.

    python -m benchmarks.drift_cases LINES --cache FILE [--bundle DIR]

LINES is the whole shared lot, names included. 600 lines of the known hands are read spoilt, in every kind and
strength; all held-out ones at double resolution and on tinted paper, too. The other benches take FILE.
"""

import argparse
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from htr.bundle import Bundle
from htr.corruptions import CORRUPTIONS
from htr.error_fit import STRENGTHS
from htr.image import Decoded, Grey, decode
from htr.lines import Line, LinesDataset
from htr.metrics import count_errors
from htr.pretrained import PRETRAINED, resolve
from htr.recogniser import Recogniser

UNSEEN = "names"
"""The subset that the shipped model never learnt from."""
SPOILT_OF_EACH_SPLIT = 300
HELD_OUT = ("val", "test")


def doubled(grey: Grey, rng: np.random.Generator) -> Grey:
    """Scanned at twice the resolution."""
    height, width = grey.shape
    return np.asarray(Image.fromarray(grey).resize((2 * width, 2 * height), Image.Resampling.BICUBIC))


def tinted(grey: Grey, rng: np.random.Generator) -> Grey:
    """On darker paper."""
    return np.clip(np.rint(grey * rng.uniform(0.7, 0.9)), 0, 255).astype(np.uint8)


BENIGN: dict[str, Callable[[Grey, np.random.Generator], Grey]] = {"double": doubled, "tint": tinted}


def main() -> None:
    """Read and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lines", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--bundle", default=PRETRAINED)
    args = parser.parse_args()
    recogniser = Recogniser(Bundle.open(resolve(args.bundle)))
    began, rows = time.monotonic(), []
    for row in readings(recogniser, LinesDataset.open(args.lines)):
        rows.append(row)
        if len(rows) % 1000 == 0:
            sys.stderr.write(f"{len(rows):,} lines, {time.monotonic() - began:.0f} s\n")
    pq.write_table(pa.Table.from_pylist(rows), args.cache)
    print(f"wrote {args.cache}: {len(rows):,} readings by {recogniser.digest}")


def readings(recogniser: Recogniser, dataset: LinesDataset) -> Iterator[dict[str, Any]]:
    """Yield a row for every reading: profile, errors, and what was read."""
    lines = [line for line in dataset.lines() if line.split in HELD_OUT or line.source == UNSEEN]
    known = [line for line in lines if line.source != UNSEEN]
    for line in lines:
        yield _row(recogniser, line, "plain", 0.0, decode(line.image))
    rng = np.random.default_rng(5)
    chosen: list[Line] = []
    for split in HELD_OUT:
        own = [line for line in known if line.split == split]
        chosen += [own[at] for at in rng.permutation(len(own))[:SPOILT_OF_EACH_SPLIT]]
    for kind, spoil in CORRUPTIONS.items():
        for strength in STRENGTHS:
            for line in chosen:
                grey = spoil(decode(line.image), strength, _rng(f"{line.id}{kind}{strength:g}"))
                yield _row(recogniser, line, kind, strength, grey)
    for kind, change in BENIGN.items():
        for line in known:
            yield _row(recogniser, line, kind, 0.0, change(decode(line.image), _rng(f"{line.id}{kind}")))


def load(cache: Path) -> pa.Table:
    """Return the readings, with a column ``case``: kind and strength."""
    table = pq.read_table(cache)
    strengths = pc.cast(pc.cast(table["strength"], pa.int32()), pa.string())
    cases = pc.if_else(
        pc.greater(table["strength"], 0), pc.binary_join_element_wise(table["kind"], strengths, " "), table["kind"]
    )
    return table.append_column("case", cases)


def _row(recogniser: Recogniser, line: Line, kind: str, strength: float, grey: Grey) -> dict[str, Any]:
    (seen,) = recogniser.observe_decoded([Decoded(grey=grey)])
    errors = count_errors(line.text, seen.reading.text)
    return {
        **{name: getattr(line, name) for name in ("id", "source", "split", "writer", "page", "language")},
        "kind": kind,
        "strength": strength,
        "edits": errors.edits,
        "characters": errors.characters,
        **seen.profile.row(),
    }


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


if __name__ == "__main__":
    main()
