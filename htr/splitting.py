"""A lines dataset in, the same lines in new splits out: by writer or page, source by source.

A group (all lines of a writer and of the pages they are on) goes into one split. Within each source the groups are
dealt so that train, val and test get their shares: the largest first, each to the split that lacks the most lines.
Given an earlier dataset, its lines keep their splits and new lines of its groups follow them; only new groups are
dealt. So splits are balanced, and yet a line never changes its split when lines are added.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from htr.errors import SettingsError
from htr.lines import CORRECTIONS, DatasetInfo, LinesDataset, LinesWriter

DEALT = ("train", "val", "test")
BY = ("writer", "page", "line")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """Shares of the lines, 0..1, that add up to 1."""

    train: float = 0.8
    val: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        if min(self.train, self.val, self.test) <= 0 or abs(self.train + self.val + self.test - 1) > 1e-6:
            raise SettingsError(f"shares must be above 0 and add up to 1, got {self}")

    def of(self, split: str) -> float:
        """Return the share of one split."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What a line's split hangs on."""

    id: str
    writer: str
    page: str
    source: str
    split: str
    """As it is now; ``recent`` and corrected lines stay where they are."""

    @property
    def stays(self) -> bool:
        """Whether the line is none of those that are dealt."""
        return self.split not in DEALT or self.source == CORRECTIONS


def split_dataset(
    dataset: LinesDataset,
    out: Path,
    *,
    by: str = "writer",
    shares: Shares | None = None,
    like: LinesDataset | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DatasetInfo:
    """Write a dataset of the same lines in new splits.

    Args:
        dataset: the lines.
        out: the folder to create.
        by: what must not be in two splits: ``writer`` (and the pages of each), ``page`` or ``line``.
        shares: of train, val and test.
        like: an earlier dataset, whose lines and groups keep their splits.
        progress: called with lines done and lines in all.

    Raises:
        SettingsError: ``by`` is not known.
        OutputError: the folder is there already or cannot be written.
    """
    splits = new_splits(
        places_of(dataset), by=by, shares=shares or Shares(), known=places_of(like) if like else ()
    )
    with LinesWriter(out) as writer:
        for done, line in enumerate(dataset.lines(), start=1):
            writer.add(replace(line, split=splits[line.id]))
            if progress:
                progress(done, len(dataset))
        for name, reason, detail in _quarantined(dataset.path / "quarantine.csv"):
            writer.quarantine(name, reason, detail)
        writer.record(
            parent=dataset.digest, split_by=by, **({"like": like.digest} if like else {}), **_earlier(dataset)
        )
    return LinesDataset.open(out).info


def places_of(dataset: LinesDataset) -> list[Place]:
    """Return what the splits of a dataset hang on, in stored order, without reading an image."""
    columns = ["id", "writer", "page", "source", "split"]
    return [Place(**row) for row in dataset.columns(columns).to_pylist()]


def new_splits(places: Sequence[Place], *, by: str, shares: Shares, known: Sequence[Place] = ()) -> dict[str, str]:
    """Return the split of every line by its id; the order of the lines does not matter.

    Args:
        places: all lines.
        by: see `split_dataset`.
        shares: of train, val and test.
        known: lines of an earlier dataset.

    Raises:
        SettingsError: ``by`` is not known.
    """
    if by not in BY:
        raise SettingsError(f"by {by!r} is not known; choose one of {BY}")
    dealt = [place for place in places if not place.stays]
    groups = _groups([*dealt, *known], by)
    settled = {place.id: place.split for place in known if not place.stays}
    of_group = _known_groups(known, groups, by)
    sizes: dict[str, Counter[str]] = {}
    for place in dealt:
        sizes.setdefault(groups[_node(place, by)], Counter())[place.source] += 1
    of_group |= _deal(sizes, shares, of_group)
    splits = {place.id: settled.get(place.id) or of_group[groups[_node(place, by)]] for place in dealt}
    return splits | {place.id: place.split for place in places if place.stays}


def _node(place: Place, by: str) -> str:
    """Return the name of what keeps a line together with others."""
    if by == "writer" and place.writer:
        return f"writer {place.writer}"
    if by != "line" and place.page:
        return f"page {place.source} {place.page}"
    return f"line {place.id}"


def _groups(places: Iterable[Place], by: str) -> dict[str, str]:
    """Return node -> group; by writer, hands that share a page belong together, too."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for place in places:
        ends = [_node(place, by)] + ([_node(place, "page")] if by == "writer" and place.page else [])
        roots = sorted(root(end) for end in ends)
        for other in roots[1:]:
            parent[other] = roots[0]
    return {node: root(node) for node in list(parent)}


def _known_groups(known: Sequence[Place], groups: Mapping[str, str], by: str) -> dict[str, str]:
    """Return the split of every group that an earlier dataset has: that of most of its lines."""
    votes: dict[str, Counter[str]] = {}
    for place in known:
        if not place.stays:
            votes.setdefault(groups[_node(place, by)], Counter())[place.split] += 1
    return {group: min(count, key=lambda split: (-count[split], split)) for group, count in votes.items()}


def _deal(sizes: Mapping[str, Counter[str]], shares: Shares, known: Mapping[str, str]) -> dict[str, str]:
    """Return the split of every new group."""
    totals: Counter[str] = Counter()
    have: dict[str, Counter[str]] = {split: Counter() for split in DEALT}
    for group, count in sizes.items():
        totals.update(count)
        if group in known:
            have[known[group]].update(count)
    dealt: dict[str, str] = {}

    def lacking(split: str, count: Counter[str]) -> float:
        return sum(n * (shares.of(split) * totals[source] - have[split][source]) for source, n in count.items())

    new = [group for group in sizes if group not in known]
    for group in sorted(new, key=lambda group: (-sizes[group].total(), _shuffled(group))):
        dealt[group] = max(DEALT, key=lambda split: (lacking(split, sizes[group]), -DEALT.index(split)))
        have[dealt[group]].update(sizes[group])
    _fill_empty(dealt, sizes, have)
    return dealt


def _fill_empty(
    dealt: dict[str, str], sizes: Mapping[str, Counter[str]], have: Mapping[str, Counter[str]]
) -> None:
    """Give a source's empty val or test its smallest new group of train, where it has groups to spare."""
    for source in sorted({source for count in sizes.values() for source in count}):
        for split in ("test", "val"):
            spare = [group for group, its in dealt.items() if its == "train" and sizes[group][source]]
            if have[split][source] or len(spare) < 2:
                continue
            smallest = min(spare, key=lambda group: (sizes[group].total(), _shuffled(group)))
            dealt[smallest] = split
            have["train"].subtract(sizes[smallest])
            have[split].update(sizes[smallest])


def _shuffled(name: str) -> bytes:
    """Return a key that orders names in a way that has nothing to do with what they say."""
    return hashlib.sha256(name.encode()).digest()


def _quarantined(path: Path) -> list[tuple[str, str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    return [(row[0], row[1], row[2]) for row in rows if len(row) == 3]


def _earlier(dataset: LinesDataset) -> dict[str, Any]:
    return {"before": dataset.info.lineage} if dataset.info.lineage else {}
