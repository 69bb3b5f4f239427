"""A version out of its store into a folder: verified file by file, whole or not at all, resumed after a kill.

.NAME.HEX12.partial/         beside the folder; locked by whoever fetches
    .parts/HEX64             a file on its way
    lines/00000.parquet ...  files that are complete and were compared with their digests
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from htr.append_log import sync_folder
from htr.errors import AlteredError, OutputError, QuillflowError
from htr.lines import file_sha256
from htr.versions.kinds import check_content, read_content
from htr.versions.objects import Objects
from htr.versions.records import StoredFile, Version

_PARTS = ".parts"


def blob_key(sha256: str) -> str:
    """Return the key under which the store keeps a file's content."""
    return f"blobs/{sha256[:2]}/{sha256}"


def fetch_version(
    objects: Objects, version: Version, into: Path, on_progress: Callable[[int, int], None] | None
) -> Path:
    """Copy a version into a folder; see `htr.versions.store.VersionStore.fetch`."""
    try:
        into.absolute().parent.mkdir(parents=True, exist_ok=True)
        if _holds(into, version):
            return into
        with _staged(into, version) as staging:
            if _holds(into, version):  # somebody else was quicker
                shutil.rmtree(staging)
                return into
            _fill(objects, version, staging, on_progress)
            _move(staging, into)
    except OSError as error:
        raise OutputError(f"{into}: cannot be written ({error.strerror}); choose another folder") from error
    return into


def receive(
    objects: Objects, file: StoredFile, part: Path, *, shown: str, on_bytes: Callable[[int], None]
) -> None:
    """Fill a local file with an object's bytes; what it has already is kept, if it turns out to be right.

    Raises:
        AlteredError: the store's bytes differ from their digest, or are gone.
    """
    had = part.stat().st_size if part.exists() else 0
    digest = hashlib.sha256()
    with part.open("ab+") as out:
        out.seek(0)
        while piece := out.read(1 << 20):
            digest.update(piece)
        on_bytes(had)
        try:
            for piece in objects.pieces(blob_key(file.sha256), had) if had < file.size else ():
                out.write(piece)
                digest.update(piece)
                on_bytes(len(piece))
        except FileNotFoundError as error:
            raise AlteredError(
                f"{shown}: the store lacks this file ({objects.uri}/{blob_key(file.sha256)}); "
                "publish the version again with --repair"
            ) from error
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() == file.sha256:
        return
    came = part.stat().st_size
    part.unlink()
    if had:  # a crash of the machine may have left anything here: begin again
        on_bytes(-came)
        receive(objects, file, part, shown=shown, on_bytes=on_bytes)
        return
    raise AlteredError(
        f"{shown}: the store's bytes differ from their digest ({objects.uri}/{blob_key(file.sha256)}); "
        "publish the version again with --repair"
    )


def _fill(
    objects: Objects, version: Version, staging: Path, on_progress: Callable[[int, int], None] | None
) -> None:
    """Bring the staging folder to completeness."""
    (staging / _PARTS).mkdir(exist_ok=True)
    missing = [file for file in version.files if not _complete(staging / file.path, file)]
    total, done = sum(file.size for file in missing), 0

    def on_bytes(number: int) -> None:
        nonlocal done
        done += number
        if on_progress:
            on_progress(done, total)

    for file in missing:
        part = staging / _PARTS / file.sha256
        shown = f"{version.kind} {version.digest[:12]}: {file.path}"
        receive(objects, file, part, shown=shown, on_bytes=on_bytes)
        (staging / file.path).parent.mkdir(parents=True, exist_ok=True)
        part.replace(staging / file.path)
    shutil.rmtree(staging / _PARTS)
    try:
        check_content(version.kind, staging, version.digest)
    except AlteredError:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _complete(file: Path, wanted: StoredFile) -> bool:
    return file.is_file() and file.stat().st_size == wanted.size and file_sha256(file) == wanted.sha256


def _move(staging: Path, into: Path) -> None:
    for folder in {staging, *(path for path in staging.rglob("*") if path.is_dir())}:
        sync_folder(folder)
    if into.is_dir():
        into.rmdir()  # empty: checked before
    staging.replace(into)
    sync_folder(into.absolute().parent)


def _holds(into: Path, version: Version) -> bool:
    """Return whether the folder holds the version already.

    Raises:
        OutputError: it holds something else.
    """
    if not into.exists() or (into.is_dir() and not any(into.iterdir())):
        return False
    with suppress(QuillflowError):
        if read_content(version.kind, into).digest == version.digest:
            return True
    raise OutputError(f"{into}: something else is there; remove it or choose another folder")


@contextmanager
def _staged(into: Path, version: Version) -> Iterator[Path]:
    """Hold a folder beside ``into`` alone."""
    staging = into.absolute().parent / f".{into.absolute().name}.{version.digest[:12]}.partial"
    while True:
        staging.mkdir(exist_ok=True)
        descriptor = os.open(staging, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if staging.exists() and staging.stat().st_ino == os.fstat(descriptor).st_ino:
                yield staging
                return
        finally:
            os.close(descriptor)
