"""What lies between two versions: lines by their ids, or the files and fields of two bundles."""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from htr.bundle import MANIFEST
from htr.errors import DataError
from htr.versions.fetching import receive
from htr.versions.objects import Objects
from htr.versions.records import StoredFile, Version

_WIDTH = 8
"""Bytes kept of a field's digest: enough to tell two values of one line apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What came, went and changed from one version to another."""

    came: tuple[str, ...] = ()
    """Ids of lines, or files of bundles, that only the second has; sorted."""
    went: tuple[str, ...] = ()
    """Those that only the first has."""
    changed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Those that both have with other values -> the fields that differ."""
    same: int = 0
    """How many are the same in both."""


def compare(objects: Objects, a: Version, b: Version) -> Difference:
    """Compare two versions of one kind in one store.

    Raises:
        AlteredError: the store does not hold what was published.
    """
    return _compare_lines(objects, a, b) if a.kind == "lines" else _compare_bundles(objects, a, b)


def _compare_lines(objects: Objects, a: Version, b: Version) -> Difference:
    shared = {file.sha256 for file in _shards(a)} & {file.sha256 for file in _shards(b)}
    same = 0
    before: dict[str, tuple[tuple[str, ...], bytes]] = {}
    for file in _shards(a):
        if file.sha256 in shared:
            same += _num_lines(objects, a, file)
        else:
            before.update(_rows(objects, a, file))
    came, changed = [], {}
    for file in _shards(b):
        if file.sha256 in shared:
            continue
        for line_id, (names, digests) in _rows(objects, b, file):
            known = before.pop(line_id, None)
            if known is None:
                came.append(line_id)
            elif known == (names, digests):
                same += 1
            else:
                changed[line_id] = _differing(known, (names, digests))
    return Difference(
        came=tuple(sorted(came)), went=tuple(sorted(before)), changed=dict(sorted(changed.items())), same=same
    )


def _compare_bundles(objects: Objects, a: Version, b: Version) -> Difference:
    before, after = ({file.path: file.sha256 for file in version.files} for version in (a, b))
    changed: dict[str, tuple[str, ...]] = {
        path: () for path in sorted(before.keys() & after) if before[path] != after[path]
    }
    if MANIFEST in changed:
        old, new = (_manifest(objects, version) for version in (a, b))
        changed[MANIFEST] = tuple(sorted(key for key in old.keys() | new if old.get(key) != new.get(key)))
    return Difference(
        came=tuple(sorted(after.keys() - before)),
        went=tuple(sorted(before.keys() - after)),
        changed=changed,
        same=len(before.keys() & after) - len(changed),
    )


def _manifest(objects: Objects, version: Version) -> dict[str, object]:
    (file,) = (file for file in version.files if file.path == MANIFEST)
    with _local(objects, version, file) as path:
        return dict(json.loads(path.read_text(encoding="utf-8")))


def _shards(version: Version) -> list[StoredFile]:
    return [file for file in version.files if file.path.endswith(".parquet")]


def _num_lines(objects: Objects, version: Version, file: StoredFile) -> int:
    with _local(objects, version, file) as path, _readable(version, file):
        return int(pq.ParquetFile(path).metadata.num_rows)


def _rows(
    objects: Objects, version: Version, file: StoredFile
) -> Iterator[tuple[str, tuple[tuple[str, ...], bytes]]]:
    """Yield the id of every line of a shard, the names of its fields and a short digest of each."""
    with _local(objects, version, file) as path, _readable(version, file):
        for batch in pq.ParquetFile(path).iter_batches(batch_size=512):
            names = tuple(sorted(batch.schema.names))
            for row in batch.to_pylist():
                yield row["id"], (names, b"".join(_short(row[name]) for name in names))


def _short(value: str | bytes | int) -> bytes:
    data = value if isinstance(value, bytes) else str(value).encode()
    return hashlib.blake2b(data, digest_size=_WIDTH).digest()


def _differing(old: tuple[tuple[str, ...], bytes], new: tuple[tuple[str, ...], bytes]) -> tuple[str, ...]:
    def cut(names: tuple[str, ...], digests: bytes) -> dict[str, bytes]:
        return {name: digests[i * _WIDTH : (i + 1) * _WIDTH] for i, name in enumerate(names)}

    before, after = cut(*old), cut(*new)
    return tuple(sorted(name for name in before.keys() | after if before.get(name) != after.get(name)))


@contextmanager
def _local(objects: Objects, version: Version, file: StoredFile) -> Iterator[Path]:
    """A verified copy of one file, for as long as it is looked at."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        shown = f"{version.kind} {version.digest[:12]}: {file.path}"
        receive(objects, file, path, shown=shown, on_bytes=lambda _: None)
        yield path


@contextmanager
def _readable(version: Version, file: StoredFile) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, KeyError) as error:
        raise DataError(f"{version.uri}: {file.path}: no shard of lines ({error})") from error
