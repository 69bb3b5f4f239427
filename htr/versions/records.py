"""What a store keeps beside the files themselves: the manifest of a version, and the index of names.

    KIND/HEX64/version.json   what a version consists of: path, size and SHA-256 of every file
    index.json                every publication in order: a name stands for what it was last published as

Both are JSON with a ``format_version`` and a ``check``: the SHA-256 of the other values as JSON with sorted keys
and no spaces, so that a flipped bit is not taken for news.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from htr.errors import AlteredError, DataError
from htr.versions.addresses import checked_kind, checked_name, plain_digest

FORMAT_VERSION = 1
"""Of manifests."""
INDEX_VERSION = 2
"""Of the index; version 1 had no tombstones, and is still read."""
INDEX = "index.json"
MAX_TOLD = 1000
"""Longest value of a lineage, in characters."""
MAX_BYTES = 64 << 20
"""Largest manifest or index that is read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """What a version came from; "" where nobody knows."""

    parent: str = ""
    """Digest of the version that it was made from: of a bundle, the one that training started from."""
    policy: str = ""
    """Cleaning policy of the lines: name and digest."""
    importer: str = ""
    """What made the lines, or the program that published."""
    commit: str = ""
    """Git commit of the code."""
    dataset: str = ""
    """Of a bundle: digest of the lines that it learnt from."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not isinstance(value, str) or len(value) > MAX_TOLD or not value.isprintable():
                raise ValueError(
                    f"Lineage.{name} must be one line of at most {MAX_TOLD} characters, got {value!r}"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """One file of a version."""

    path: str
    """In the version's folder, with forward slashes."""
    size: int
    """Bytes."""
    sha256: str
    """Hex digits; the content is kept under it, once in the store."""

    def __post_init__(self) -> None:
        check_path(self.path)
        if plain_digest(self.sha256) != self.sha256 or self.size < 0:
            raise ValueError(f"StoredFile {self.path}: impossible size or digest")


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """One version: what a digest stands for, and what is known about it."""

    kind: str
    """``lines`` or ``bundle``."""
    name: str
    """What it was asked for by; "" where it was asked for by digest."""
    digest: str
    """64 hex digits: the content digest of the lines dataset or bundle."""
    uri: str
    """Its address, which always stands for the same content."""
    created: str
    """When it was published, UTC, ISO 8601."""
    lineage: Lineage
    files: tuple[StoredFile, ...]

    @property
    def num_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """One entry of the index: from now on the name stands for this digest."""

    id: str
    """Of this publication: tells its own entry from an equal one of somebody else."""
    kind: str
    name: str
    digest: str
    """64 hex digits."""
    created: str
    """UTC, ISO 8601."""
    lineage: Lineage = field(default_factory=Lineage)

    def __post_init__(self) -> None:
        checked_kind(self.kind)
        checked_name(self.name)
        plain_digest(self.digest)
        datetime.fromisoformat(self.created)


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Content of ``version.json``."""

    kind: str
    digest: str
    created: str
    lineage: Lineage
    files: tuple[StoredFile, ...]

    def to_bytes(self) -> bytes:
        """Return it as it is stored."""
        return _sealed({"format_version": FORMAT_VERSION, **asdict(self)})

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> "Manifest":
        """Read it.

        Raises:
            AlteredError: it is not what was written.
            DataError: it is of another format version.
        """
        raw = _opened(data, where, (FORMAT_VERSION,))
        try:
            return cls(
                kind=checked_kind(raw["kind"]),
                digest=plain_digest(raw["digest"]),
                created=raw["created"],
                lineage=_lineage(raw["lineage"]),
                files=tuple(StoredFile(**file) for file in raw["files"]),
            )
        except (KeyError, TypeError, ValueError, DataError) as error:
            raise AlteredError(f"{where}: damaged ({error}); publish the version again") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Tombstone:
    """One entry of the index: this version was erased, and is not taken again."""

    kind: str
    digest: str
    """64 hex digits."""
    erased: str
    """UTC, ISO 8601."""
    pending: tuple[str, ...] = ()
    """SHA-256 of the files that are still to be removed where no other version uses them; none when it is done."""

    def __post_init__(self) -> None:
        checked_kind(self.kind)
        for digest in (self.digest, *self.pending):
            plain_digest(digest)
        datetime.fromisoformat(self.erased)


@dataclass(frozen=True, kw_only=True, slots=True)
class Index:
    """Content of ``index.json``."""

    publications: tuple[Publication, ...] = ()
    """In the order of publishing."""
    erased: tuple[Tombstone, ...] = ()
    """In the order of erasing."""

    def to_bytes(self) -> bytes:
        """Return it as it is stored."""
        content = {
            "publications": [asdict(one) for one in self.publications],
            "erased": [asdict(one) for one in self.erased],
        }
        return _sealed({"format_version": INDEX_VERSION, **content})

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> "Index":
        """Read it.

        Raises:
            AlteredError: it is not what was written.
            DataError: it is of another format version.
        """
        raw = _opened(data, where, (1, INDEX_VERSION))
        try:
            entries = [entry | {"lineage": _lineage(entry["lineage"])} for entry in raw["publications"]]
            stones = raw["erased"] if raw["format_version"] > 1 else []
            return cls(
                publications=tuple(Publication(**entry) for entry in entries),
                erased=tuple(Tombstone(**stone | {"pending": tuple(stone["pending"])}) for stone in stones),
            )
        except (KeyError, TypeError, ValueError, DataError) as error:
            raise AlteredError(f"{where}: damaged ({error}); restore it from a backup") from error

    def of(self, kind: str, name: str) -> tuple[Publication, ...]:
        """Return the publications under a name, the first one first."""
        return tuple(p for p in self.publications if (p.kind, p.name) == (kind, name))

    def names(self, kind: str) -> dict[str, Publication]:
        """Return what every name stands for now."""
        return dict(sorted({p.name: p for p in self.publications if p.kind == kind}.items()))

    def with_entry(self, publication: Publication) -> "Index":
        """Return the index with one entry more."""
        return replace(self, publications=(*self.publications, publication))

    def tombstone(self, kind: str, digest: str) -> Tombstone | None:
        """Return the tombstone of a version that was erased."""
        return next((one for one in self.erased if (one.kind, one.digest) == (kind, digest)), None)

    def with_tombstone(self, tombstone: Tombstone) -> "Index":
        """Return the index with one tombstone, in place of an earlier one of the same version."""
        others = [one for one in self.erased if (one.kind, one.digest) != (tombstone.kind, tombstone.digest)]
        return replace(self, erased=(*others, tombstone))


def manifest_key(kind: str, digest: str) -> str:
    """Return the key of a version's manifest."""
    return f"{kind}/{digest}/version.json"


def check_path(path: str) -> str:
    """Return a path that stays inside the folder it is joined to.

    Raises:
        ValueError: it does not, or is not plain.
    """
    parts = PurePosixPath(path).parts
    if not parts or path != "/".join(parts) or "/" in parts or ".." in parts or "\\" in path or "\0" in path:
        raise ValueError(f"{path!r} is no plain relative path")
    return path


def _lineage(raw: Mapping[str, Any]) -> Lineage:
    return Lineage(**{f.name: raw[f.name] for f in fields(Lineage)})


def _check(content: Mapping[str, Any]) -> str:
    plain = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


def _sealed(content: dict[str, Any]) -> bytes:
    return json.dumps(content | {"check": _check(content)}, ensure_ascii=False, indent=1).encode() + b"\n"


def _opened(data: bytes, where: str, versions: tuple[int, ...]) -> dict[str, Any]:
    try:
        raw = json.loads(data)
        check = raw.pop("check")
        version = raw["format_version"]
        intact = check == _check(raw)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise AlteredError(f"{where}: altered since it was written ({type(error).__name__})") from error
    if version not in versions:
        known = " and ".join(map(str, versions))
        raise DataError(f"{where}: format version {version}, this program reads {known}; use its release")
    if not intact:
        raise AlteredError(f"{where}: altered since it was written (its check differs)")
    return dict(raw)
