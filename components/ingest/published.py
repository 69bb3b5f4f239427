"""The merged lines as a version in the store, where there is one: so that a model can name what it learnt from."""

import os
from dataclasses import replace
from pathlib import Path

from components.progress import Ticker
from htr.lines import LinesDataset
from htr.versions import open_store
from htr.versions.addresses import STORE_VARIABLE
from htr.versions.kinds import lineage_of

NAME = "merged"
"""What the lines of the newest pipeline run go by. Not the name that people publish lines to learn from under: the
next run would merge its corrections with lines that hold them already."""


def publish_merged(dataset: Path, base: LinesDataset, corrections: LinesDataset | None) -> str:
    """Publish the merged lines to the store of the environment.

    Args:
        dataset: what was merged.
        base: the lines that went in; the parent, where corrections changed them.
        corrections: what they were merged with.

    Returns:
        The version's address, or "" where the environment names no store.

    Raises:
        StoreError: the store is away or refuses.
    """
    if not os.environ.get(STORE_VARIABLE):
        return ""
    lineage = lineage_of(base.info)
    if corrections is not None:
        lineage = replace(lineage, parent=base.digest.removeprefix("sha256:"))
    show: Ticker | None = None

    def on_progress(done: int, total: int) -> None:
        nonlocal show
        show = show or Ticker("publishing, MB", total // 10**6)
        show(done // 10**6)

    return open_store().publish("lines", NAME, dataset, lineage, on_progress).uri
