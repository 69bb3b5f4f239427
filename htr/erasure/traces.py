"""What names somebody's lines beside datasets and logs: lists of lines to correct, reports, published versions."""

from dataclasses import replace
from pathlib import Path

from htr.erasure.found import Found
from htr.erasure.marks import Marks
from htr.labelling import FOLDER as REQUESTS
from htr.labelling import DamagedRequestError, read_request, request_numbers, write_request
from htr.lines import CORRECTIONS, LinesDataset
from htr.places import Places
from htr.published import find_holding
from htr.tombstones import Tombstones, hashed
from htr.versions import VersionStore

BEGUN = ".erasure.json"
"""In the first folder while an erasure is under way: what it is about."""
MENTIONING = {".json", ".jsonl", ".html", ".csv", ".txt", ".md", ".damaged"}
MAX_MENTION_BYTES = 64 * 2**20


def erase_versions(
    store: VersionStore, marks: Marks, places: list[Places], found: Found, *, dry_run: bool
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


def erase_requests(root: Path, marks: Marks, found: Found, *, dry_run: bool) -> None:
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


def mentions(root: Path, names: set[str]) -> list[str]:
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
