"""Somebody's lines, erased wherever a format of ours keeps them; what must stay says that something was erased.

What is looked for is found first, everywhere, and then erased: a request leads to images, an image to corrections,
a correction to lines of datasets. The same erasure again finds nothing, or ends what was begun: it may be killed.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from htr.append_log import write_durably
from htr.correction_store import CorrectionStore
from htr.errors import OutputError, SettingsError
from htr.image_log import FOLDER as IMAGES
from htr.labelling import FOLDER as REQUESTS
from htr.labelling import DamagedRequestError, read_request, request_numbers, write_request
from htr.lines import CORRECTIONS, Line, LinesDataset, LinesWriter
from htr.places import Places, find_places
from htr.published import Holding, find_holding
from htr.tombstones import Tombstones, hashed
from htr.versions import VersionStore

ERASING = "erasing"
BEGUN = ".erasure.json"
"""In the first folder while an erasure is under way: what it is about."""
MENTIONING = {".json", ".jsonl", ".html", ".csv", ".txt", ".md", ".damaged"}
MAX_MENTION_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Whose lines are to be erased; one of the two is given.

    Raises:
        SettingsError: none is given, or both.
    """

    request: str = ""
    """Id of a request: all its lines, wherever else their images are."""
    writer: str = ""
    """Name of a writer, as corrections and datasets have it."""

    def __post_init__(self) -> None:
        if bool(self.request) == bool(self.writer):
            raise SettingsError("give --request ID or --writer NAME, one of them")


@dataclass(kw_only=True)
class Found:
    """What is to be erased, or was."""

    corrections: int = 0
    images: int = 0
    """Rows of the image log."""
    rows: int = 0
    """Rows of the prediction log: a profile of each line, no text."""
    lines: int = 0
    """Lines of datasets."""
    requests: int = 0
    """Lines that people were asked to correct."""
    caches: int = 0
    """Files of decoded lines, which training makes again."""
    datasets: list[str] = field(default_factory=list)
    versions: list[Holding] = field(default_factory=list)
    """Published versions that held lines, and were erased as a whole."""
    learnt: list[str] = field(default_factory=list)
    """Digests of published bundles that learnt from those."""
    kept_by_bucket: bool = False
    """Whether the bucket keeps what is removed from it."""
    mentions: list[str] = field(default_factory=list)
    """Files that name a line and are not ours to change: reports, logs."""

    def total(self) -> int:
        """Return how much it is, files that only mention it aside."""
        versions = len(self.versions)
        return self.corrections + self.images + self.rows + self.lines + self.requests + self.caches + versions


@dataclass(kw_only=True)
class _Marks:
    """By what somebody's lines are known."""

    digests: set[str] = field(default_factory=set)
    """Of images."""
    requests: set[str] = field(default_factory=set)
    """Whole requests."""
    places: set[tuple[str, int]] = field(default_factory=set)
    """Lines of requests."""
    writer: str = ""

    def to_json(self) -> bytes:
        values = {
            "digests": sorted(self.digests),
            "requests": sorted(self.requests),
            "places": sorted(self.places),
        }
        return json.dumps({"format_version": 1, **values, "writer": self.writer}).encode()

    def add(self, begun: Path) -> None:
        """Take in what an erasure that was killed was about: its traces may be half gone."""
        if begun.is_file():
            values = json.loads(begun.read_text(encoding="utf-8"))
            self.digests |= set(values["digests"])
            self.requests |= set(values["requests"])
            self.places |= {(name, position) for name, position in values["places"]}
            self.writer = self.writer or values["writer"]

    def is_line(self, line: Line) -> bool:
        return self.is_meant(line.id, line.writer or "", "sha256:" + hashlib.sha256(line.image).hexdigest())

    def is_meant(self, line_id: str, writer: str, image_digest: str) -> bool:
        named = line_id.removeprefix(f"{CORRECTIONS}/")
        return (
            (self.writer != "" and writer == self.writer)
            or f"sha256:{named}" in self.digests
            or image_digest in self.digests
        )

    def is_row(self, request_id: str, position: int) -> bool:
        return request_id in self.requests or (request_id, position) in self.places


def erase(
    roots: Iterable[Path],
    wanted: Wanted,
    *,
    time: datetime,
    dry_run: bool = False,
    store: VersionStore | None = None,
) -> Found:
    """Erase somebody's lines from everything below some folders.

    Args:
        roots: folders of logs, corrections, datasets, the governor's state.
        wanted: whose.
        time: of the erasure, in UTC: noted in tombstones and datasets.
        dry_run: only find out what there is.
        store: of published versions; those that hold such lines, or lines that were erased here earlier, go as a
            whole. None looks at none.

    Raises:
        SettingsError: a folder is not there.
        StoreError: the store is away or refuses; run it again.
        DataError: something there is damaged; nothing was erased of what comes after it.
        OutputError: something cannot be written; run it again.
    """
    roots = [root.resolve() for root in roots]
    for root in roots:
        _end_what_was_begun(root)
    places = [find_places(root) for root in roots]
    stores = [CorrectionStore(folder) for one in places for folder in one.corrections]
    logs = [folder for one in places for folder in one.logs]
    marks = _marks(wanted, stores, logs)
    found = Found()
    try:
        begun = roots[0] / BEGUN
        marks.add(begun)
        if not dry_run:
            write_durably(begun, marks.to_json())
        if store is not None:  # first: what leads to the lines is here still, if this is killed
            _erase_versions(store, marks, places, found, dry_run=dry_run)
        for kept in stores:
            ids = [one.correction.id for one in kept.read()[0] if one.correction.image_digest in marks.digests]
            found.corrections += len(ids)
            if ids and not dry_run:
                kept.erase(ids, time)
        for folder in logs:
            found.images += _erase_rows(folder / IMAGES, _image_mask(marks), dry_run=dry_run)
            found.rows += _erase_rows(folder, _row_mask(marks), dry_run=dry_run)
        names: set[str] = {digest.removeprefix("sha256:") for digest in marks.digests}
        for folder in (folder for one in places for folder in one.lines):
            names |= _erase_lines(folder, marks, time, found, dry_run=dry_run)
        for root in roots:
            _erase_requests(root, marks, found, dry_run=dry_run)
            _erase_caches(root, names, found, dry_run=dry_run)
            found.mentions += _mentions(root, names | marks.requests)
        if not dry_run:
            begun.unlink()
    except OSError as error:
        raise OutputError(f"{error.filename}: cannot be written ({error.strerror}); run it again") from error
    return found


def _erase_versions(
    store: VersionStore, marks: _Marks, places: list[Places], found: Found, *, dry_run: bool
) -> None:
    """Erase every published version that holds lines that are to go, or that are gone here already."""
    stones = [Tombstones(folder) for one in places for folder in one.corrections]
    for one in stones:
        one.catch_up()
    gone: set[str] = set()
    for folder in (folder for one in places for folder in one.lines):
        for told in LinesDataset.open(folder).info.lineage.get("erased", []):
            gone.update(told["tombstones"])

    def is_meant(line_id: str, writer: str, image_digest: str) -> bool:
        return (
            marks.is_meant(line_id, writer, image_digest)
            # Ids of corrections are made of their images; other ids may be somebody else's line elsewhere.
            or (line_id.startswith(f"{CORRECTIONS}/") and hashed(line_id) in gone)
            or any(one.covers("", image_digest) for one in stones)
        )

    found.versions = find_holding(store, is_meant)
    if not dry_run:
        for kind, digest in store.half_erased():  # by somebody who was killed
            store.erase(kind, digest)
    for holding in [] if dry_run else found.versions:
        done = store.erase("lines", holding.digest)
        found.learnt = sorted({*found.learnt, *done.learnt})
        found.kept_by_bucket = done.kept_by_bucket


def _marks(wanted: Wanted, stores: list[CorrectionStore], logs: list[Path]) -> _Marks:
    """Follow requests to images and images to requests until nothing new comes."""
    marks = _Marks(writer=wanted.writer, requests={wanted.request} if wanted.request else set())
    corrections = [one.correction for store in stores for one in store.read()[0]]
    seen = [row for folder in logs for row in _image_rows(folder / IMAGES)]
    while True:
        before = len(marks.digests) + len(marks.places)
        for one in corrections:
            mine = marks.is_row(one.request_id, one.position) if one.request_id else False
            if mine or (wanted.writer and one.writer == wanted.writer) or one.image_digest in marks.digests:
                marks.digests.add(one.image_digest)
                if one.request_id:
                    marks.places.add((one.request_id, one.position))
        for request_id, position, digest in seen:
            if marks.is_row(request_id, position) or digest in marks.digests:
                marks.digests.add(digest)
                marks.places.add((request_id, position))
        if len(marks.digests) + len(marks.places) == before:
            return marks


def _image_rows(folder: Path) -> list[tuple[str, int, str]]:
    found = []
    for file in _log_files(folder):
        table = pq.read_table(file, columns=["request_id", "position", "image_digest"])
        found += [(row["request_id"], row["position"], row["image_digest"]) for row in table.to_pylist()]
    return found


def _log_files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.glob("*.parquet")) if not file.name.startswith(".")]


Mask = Callable[[pa.Table], list[bool]]


def _row_mask(marks: _Marks) -> Mask:
    def mask(table: pa.Table) -> list[bool]:
        pairs = zip(table["request_id"].to_pylist(), table["position"].to_pylist(), strict=True)
        return [marks.is_row(*pair) for pair in pairs]

    return mask


def _image_mask(marks: _Marks) -> Mask:
    rows = _row_mask(marks)

    def mask(table: pa.Table) -> list[bool]:
        digests = table["image_digest"].to_pylist()
        return [row or digest in marks.digests for row, digest in zip(rows(table), digests, strict=True)]

    return mask


def _erase_rows(folder: Path, mask: Mask, *, dry_run: bool) -> int:
    erased = 0
    for file in _log_files(folder):
        table = pq.read_table(file)
        gone = mask(table)
        if not any(gone):
            continue
        erased += sum(gone)
        if dry_run:
            continue
        left = table.filter(pc.invert(pa.array(gone)))
        if len(left):
            partial = file.with_name(f".{file.name}")
            pq.write_table(left, partial)
            _durable(partial)
            partial.replace(file)
        else:
            file.unlink()
    return erased


def _erase_lines(folder: Path, marks: _Marks, time: datetime, found: Found, *, dry_run: bool) -> set[str]:
    """Write a dataset anew without somebody's lines; return the ids of those."""
    dataset = LinesDataset.open(folder)
    gone = {line.id for line in dataset.lines() if marks.is_line(line)}
    if not gone:
        return set()
    found.lines += len(gone)
    found.datasets.append(str(folder))
    if not dry_run:
        fresh = folder.with_name(f"{folder.name}.{ERASING}")
        shutil.rmtree(fresh, ignore_errors=True)
        with LinesWriter(fresh) as writer:
            for line in dataset.lines():
                if line.id not in gone:
                    writer.add(line)
            stones = sorted(hashed(name) for name in gone)
            told = {"time": time.isoformat(), "lines": len(gone), "tombstones": stones, "was": dataset.digest}
            facts: dict[str, Any] = dict(dataset.info.lineage)
            writer.record(**facts | {"erased": [*facts.get("erased", []), told]})
        old = folder.with_name(f".{folder.name}.{ERASING}")
        folder.replace(old)
        fresh.replace(folder)
        shutil.rmtree(old)
    return gone


def _end_what_was_begun(root: Path) -> None:
    """Bring back, or clear away, what an erasure that was killed had put aside."""
    if not root.is_dir():
        raise SettingsError(f"--root {root}: no such folder")
    for old in root.rglob(f".*.{ERASING}"):
        name = old.with_name(old.name[1:].removesuffix(f".{ERASING}"))
        if name.exists():
            shutil.rmtree(old)
        else:
            old.replace(name)
    for fresh in root.rglob(f"*.{ERASING}"):
        shutil.rmtree(fresh)


def _erase_requests(root: Path, marks: _Marks, found: Found, *, dry_run: bool) -> None:
    """Take lines out of what people were asked to correct."""
    for state in sorted(folder.parent for folder in root.rglob(REQUESTS) if folder.is_dir()):
        for number in request_numbers(state):
            try:
                request = read_request(state, number)
            except DamagedRequestError:  # where it names a line, it is listed
                continue
            if request is None:
                continue
            left = tuple(one for one in request.lines if not marks.is_row(one.request_id, one.position))
            if len(left) < len(request.lines):
                found.requests += len(request.lines) - len(left)
                if not dry_run:
                    write_request(state, replace(request, lines=left))


def _erase_caches(root: Path, names: set[str], found: Found, *, dry_run: bool) -> None:
    for file in root.rglob("*.ink"):
        beside = file.with_suffix(".json")
        try:
            ids = set(json.loads(beside.read_text(encoding="utf-8")).get("ids", []))
        except (OSError, ValueError):
            ids = set()
        if ids & names or {one.removeprefix(f"{CORRECTIONS}/") for one in ids} & names:
            found.caches += 1
            if not dry_run:
                file.unlink()
                beside.unlink()


def _mentions(root: Path, names: set[str]) -> list[str]:
    """Return files that name somebody's lines, and are reports or logs of what was done with them."""
    needles = [name.encode() for name in names if len(name) >= 8]  # a short id is in every file
    found = []
    for file in sorted(root.rglob("*")):
        if file.suffix not in MENTIONING or file.name == BEGUN or file.is_symlink() or not file.is_file():
            continue
        if file.stat().st_size <= MAX_MENTION_BYTES:
            content = file.read_bytes()
            if any(needle in content for needle in needles):
                found.append(str(file))
    return found


def _durable(file: Path) -> None:
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())
