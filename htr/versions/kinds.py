"""What a version of each kind consists of: its files, its content digest, and where it says it came from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from htr.bundle import MANIFEST, Bundle
from htr.errors import AlteredError, DataError, QuillflowError
from htr.lines import DatasetInfo, LinesDataset, file_sha256
from htr.versions.addresses import plain_digest
from htr.versions.records import MAX_TOLD, Lineage, StoredFile, check_path

SIGNATURE = "model.sig"
"""Signature over a bundle: travels with it, and is not covered by its digest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """A folder that was looked at from end to end and is what it says."""

    digest: str
    """64 hex digits."""
    files: tuple[StoredFile, ...]
    """What belongs to the version, the file that names the others last."""
    lineage: Lineage
    """What the folder itself says."""


def read_content(kind: str, folder: Path) -> Content:
    """Check a folder against its own digests, and return what it consists of.

    Raises:
        DataError: it is no lines dataset, or was altered.
        BundleError: it is no bundle, or was altered.
    """
    return _READERS[kind](folder)


def check_content(kind: str, folder: Path, digest: str) -> None:
    """Check that a fetched folder has the content that its address names.

    Raises:
        AlteredError: it has not.
    """
    try:
        found = read_content(kind, folder).digest
    except QuillflowError as error:
        # Altered, or written by a later release: the reason says which.
        raise AlteredError(f"{kind} {digest}: came as published, but cannot be used ({error})") from error
    if found != digest:
        raise AlteredError(f"{kind} {digest}: the store holds {found} under this digest; publish it again")


def _lines(folder: Path) -> Content:
    dataset = LinesDataset.open(folder)
    shards = {_inside(folder, shard["file"]): shard["sha256"] for shard in dataset.info.shards}
    dataset.verify()
    optional = [name for name in ("quarantine.csv",) if (folder / name).is_file()]
    return Content(
        digest=plain_digest(dataset.digest),
        files=_described(folder, shards | dict.fromkeys([*optional, "dataset.json"], "")),
        lineage=lineage_of(dataset.info),
    )


def lineage_of(info: DatasetInfo) -> Lineage:
    """Return what a lines dataset itself says of where it came from."""
    told = info.lineage
    policy = told.get("policy") or {}
    return Lineage(
        parent=_digits(_line(told.get("parent", ""))),
        policy=_line(f"{policy.get('name', '')} {policy.get('digest', '')}"),
        importer=_line(told.get("importer", "")),
    )


def _line(told: object) -> str:
    """Return what anybody may have written into a dataset as one line that a lineage takes."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(told)).split())[:MAX_TOLD]


def _bundle(folder: Path) -> Content:
    bundle = Bundle.open(folder)
    optional = [name for name in (SIGNATURE,) if (folder / name).is_file()]
    return Content(
        digest=plain_digest(bundle.digest),
        files=_described(
            folder,
            {_inside(folder, name): digest for name, digest in sorted(bundle.files.items())}
            | dict.fromkeys([*optional, MANIFEST], ""),
        ),
        lineage=Lineage(
            parent=_digits(_line(bundle.base_digest)),
            commit=_line(bundle.git_commit),
            dataset=_digits(_line(bundle.dataset_digest)),
        ),
    )


_READERS: dict[str, Callable[[Path], Content]] = {"lines": _lines, "bundle": _bundle}


def _inside(folder: Path, path: str) -> str:
    """Return a path, if it is a file of the folder itself: a dataset may come from anybody."""
    try:
        check_path(path)
        real = (folder / path).resolve(strict=True)
    except (ValueError, OSError) as error:
        raise DataError(f"{folder}: {path!r} is no file of this folder; import the dataset again") from error
    if not real.is_relative_to(folder.resolve()) or not real.is_file():
        raise DataError(f"{folder}: {path!r} lies outside this folder; import the dataset again")
    return path


def _described(folder: Path, digests: Mapping[str, str]) -> tuple[StoredFile, ...]:
    """Return the files with size and SHA-256; a digest that was checked a moment ago is not counted again."""
    try:
        return tuple(
            StoredFile(path=path, size=(folder / path).stat().st_size, sha256=known or file_sha256(folder / path))
            for path, known in digests.items()
        )
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from error


def _digits(digest: str) -> str:
    return digest.removeprefix("sha256:")
