"""A folder of ours in, what is wrong with it out. Reads everything, changes nothing.

It asks what a kill, a full disk or a stranger could have broken: is every digest right, is anything there twice,
does anything point to what is not there, and did anybody stop in the middle of writing.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from htr.bundle import Bundle
from htr.correction_store import LOG, CorrectionStore
from htr.corrections import Correction
from htr.erasure import BEGUN
from htr.errors import DataError, QuillflowError
from htr.image_log import FOLDER as IMAGE_LOG
from htr.image_log import digest_of, read_images
from htr.importers.corrections import last_words
from htr.lines import ASKED_FOR, CORRECTIONS, LinesDataset
from htr.prediction_log import read_log
from htr.signing import verify_bundle

UNFINISHED = ("*.partial", ".fetch-*", ".probe-*", ".*.parquet", ".*.model.sig")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something that should not be."""

    place: Path | str
    """A file or folder, or an address in a store."""
    kind: str
    """``damaged``, ``doubled``, ``lost``, ``dangling``, ``uncaused``, ``abandoned``; or ``unfinished``, a note and
    no fault: no reader sees it, and the next writer clears it away."""
    said: str

    @property
    def is_fault(self) -> bool:
        """Whether somebody must look at it."""
        return self.kind != "unfinished"


def check_bundle(folder: Path, public_key: Path | None = None) -> Iterator[Finding]:
    """Find out whether a bundle is whole and, where a key is given, signed with it."""
    try:
        Bundle.open(folder)
        if public_key is not None:
            verify_bundle(folder, public_key)
    except QuillflowError as error:
        yield Finding(place=folder, kind="damaged", said=str(error))


def check_lines(folder: Path) -> Iterator[Finding]:
    """Find out whether a lines dataset holds what it says, and no line twice."""
    try:
        dataset = LinesDataset.open(folder)
        dataset.verify()
        ids = Counter(dataset.columns(["id"])["id"].to_pylist())
    except QuillflowError as error:
        yield Finding(place=folder, kind="damaged", said=str(error))
        return
    if len(dataset) != ids.total():
        yield Finding(place=folder, kind="lost", said=f"says it has {len(dataset)} lines, holds {ids.total()}")
    doubled = [name for name, count in ids.items() if count > 1]
    if doubled:
        yield Finding(place=folder, kind="doubled", said=f"line {doubled[0]!r} and {len(doubled) - 1} more")


def check_corrections(folder: Path) -> Iterator[Finding]:
    """Find out whether every correction can be read and has its image."""
    store = CorrectionStore(folder)
    try:
        stored, _ = store.read()
    except DataError as error:
        yield Finding(place=folder / LOG, kind="damaged", said=str(error))
        return
    named = set()
    for one in stored:
        file = store.image_file(one.correction)
        named.add(file.name)
        if not file.is_file():
            yield Finding(place=file, kind="lost", said=f"correction {one.correction.id!r} has no image")
        elif f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" != one.correction.image_digest:
            yield Finding(place=file, kind="damaged", said=f"not the image of correction {one.correction.id!r}")
    for file in (folder / "images").glob("[0-9a-f]*"):
        if file.name not in named:
            yield Finding(place=file, kind="unfinished", said="an image whose correction was never acknowledged")
    for name in store.holds_erased():
        said = f"correction {name!r} has a tombstone and is there all the same: run the erasure again"
        yield Finding(place=folder / LOG, kind="damaged", said=said)
    if (torn := folder / "corrections.torn").is_file():
        yield Finding(place=torn, kind="unfinished", said="the end of a log that a crash left half-written")


def check_learnt(store_folder: Path, datasets: list[Path]) -> Iterator[Finding]:
    """Find out whether every correction is in the newest dataset made from a store exactly once, or still waits.

    Args:
        store_folder: of the corrections.
        datasets: made from it, oldest first.
    """
    if not datasets:
        return
    try:
        stored, _ = CorrectionStore(store_folder).read()
        newest = LinesDataset.open(datasets[-1])
        rows = newest.columns(["id", "source", "text"]).to_pylist()
    except QuillflowError:
        return  # found by the checks of each
    learnt = Counter(row["id"].removeprefix(f"{CORRECTIONS}/") for row in rows if row["source"] in _LEARNT)
    ever = {_name(one.correction) for one in stored}
    for name in sorted(learnt.keys() - ever):
        yield Finding(place=datasets[-1], kind="dangling", said=f"line {name!r} was learnt from no correction")
    for name, count in learnt.items():
        if count > 1:
            yield Finding(place=datasets[-1], kind="doubled", said=f"line {name!r} is in it {count} times")
    # Corrections come in order: one that is missing, while a later one was learnt, was passed over.
    words = list(last_words(stored))
    left_out = _quarantined(datasets[-1])
    newest_learnt = max((at for at, (_, first) in enumerate(words) if _name(first) in learnt), default=-1)
    for one, first in words[: newest_learnt + 1]:
        if _name(first) not in learnt and one.id not in left_out:
            yield Finding(place=datasets[-1], kind="lost", said=f"correction {one.id!r} is not in it")


def check_log(folder: Path) -> Iterator[Finding]:
    """Find out whether a prediction log, and the image log beside it, can be read, and no row is there twice."""
    try:
        rows = read_log(folder)
    except DataError as error:
        yield Finding(place=folder, kind="damaged", said=str(error))
        return
    keys = Counter(zip(*(rows[name].to_pylist() for name in ("request_id", "position", "time")), strict=True))
    doubled = [key for key, count in keys.items() if count > 1]
    if doubled:
        said = f"request {doubled[0][0]!r}, line {doubled[0][1]}, and {len(doubled) - 1} more"
        yield Finding(place=folder, kind="doubled", said=said)
    if not (folder / IMAGE_LOG).is_dir():
        return
    try:
        for image in read_images(folder):
            if digest_of(image.image) != image.image_digest:
                said = f"request {image.request_id!r}, line {image.position}: not the image that was logged"
                yield Finding(place=folder / IMAGE_LOG, kind="damaged", said=said)
    except DataError as error:
        yield Finding(place=folder / IMAGE_LOG, kind="damaged", said=str(error))


def check_unfinished(root: Path) -> Iterator[Finding]:
    """Find what somebody who was killed left half-written."""
    for place in sorted(root.rglob(BEGUN)):
        yield Finding(place=place, kind="damaged", said="an erasure was begun and not ended; run it again")
    for pattern in UNFINISHED:
        for place in sorted(root.rglob(pattern)):
            yield Finding(place=place, kind="unfinished", said="left half-written; no reader sees it")


_LEARNT = {CORRECTIONS, ASKED_FOR}


def _name(correction: Correction) -> str:
    """Return the id of the line that a correction makes."""
    return correction.image_digest.removeprefix("sha256:")


def _quarantined(dataset: Path) -> set[str]:
    file = dataset / "quarantine.csv"
    if not file.is_file():
        return set()
    with file.open(encoding="utf-8", newline="") as rows:
        return {row["name"] for row in csv.DictReader(rows)}
