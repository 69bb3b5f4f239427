"""Somebody's lines, erased wherever a format of ours keeps them; what must stay says that something was erased.

What is looked for is found first, everywhere, and then erased: a request leads to images, an image to corrections,
a correction to lines of datasets. The same erasure again finds nothing, or ends what was begun: it may be killed.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from htr.append_log import write_durably
from htr.correction_store import CorrectionStore
from htr.erasure.datasets import end_what_was_begun, erase_caches, erase_lines
from htr.erasure.found import Found
from htr.erasure.log_rows import erase_rows, image_rows, of_images, of_rows
from htr.erasure.marks import Wanted, follow
from htr.erasure.traces import BEGUN, erase_requests, erase_versions, mentions
from htr.errors import OutputError
from htr.image_log import FOLDER as IMAGES
from htr.places import find_places
from htr.versions import VersionStore

__all__ = ["BEGUN", "Found", "Wanted", "erase"]


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
        end_what_was_begun(root)
    places = [find_places(root) for root in roots]
    stores = [CorrectionStore(folder) for one in places for folder in one.corrections]
    logs = [folder for one in places for folder in one.logs]
    marks = follow(
        wanted,
        [one.correction for store in stores for one in store.read()[0]],
        [row for folder in logs for row in image_rows(folder / IMAGES)],
    )
    found = Found()
    try:
        begun = roots[0] / BEGUN
        marks.add(begun)
        if not dry_run:
            write_durably(begun, marks.to_json())
        if store is not None:  # first: what leads to the lines is here still, if this is killed
            erase_versions(store, marks, places, found, dry_run=dry_run)
        for kept in stores:
            ids = [one.correction.id for one in kept.read()[0] if one.correction.image_digest in marks.digests]
            found.corrections += len(ids)
            if ids and not dry_run:
                kept.erase(ids, time)
        for folder in logs:
            found.images += erase_rows(folder / IMAGES, of_images(marks), dry_run=dry_run)
            found.rows += erase_rows(folder, of_rows(marks), dry_run=dry_run)
        names: set[str] = {digest.removeprefix("sha256:") for digest in marks.digests}
        for folder in (folder for one in places for folder in one.lines):
            names |= erase_lines(folder, marks, time, found, dry_run=dry_run)
        for root in roots:
            erase_requests(root, marks, found, dry_run=dry_run)
            erase_caches(root, names, found, dry_run=dry_run)
            found.mentions += mentions(root, names | marks.requests)
        if not dry_run:
            begun.unlink()
    except OSError as error:
        raise OutputError(f"{error.filename}: cannot be written ({error.strerror}); run it again") from error
    return found
