"""A folder that is made aside and gets its name when it is whole; only one process at a time makes it.

    .NAME.partial    beside NAME, while it is made; locked by whoever makes it

A killed process leaves its partial folder unlocked: the next one empties it and begins anew. Where two would make
the same folder at once, the second one is told so, rather than that each sweeps away what the other writes.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from htr.errors import OutputError


@contextmanager
def partial_folder(path: Path) -> Iterator[Path]:
    """Make the partial folder of a path, empty; within the block it is renamed, or else removed.

    Args:
        path: what it shall be called in the end; its parent is made if need be.

    Raises:
        OutputError: another process is making it right now.
        OSError: it cannot be written.
    """
    partial = path.parent / f".{path.name}.partial"
    descriptor = _locked(partial)
    try:
        for left in partial.iterdir():
            _remove(left)
        yield partial
    finally:
        # By then another process may have a partial folder of that name: that one is not ours to remove.
        if _is(partial, descriptor):
            shutil.rmtree(partial, ignore_errors=True)
        os.close(descriptor)


def _locked(partial: Path) -> int:
    """Return a descriptor of the folder, which holds it against others until it is closed."""
    while True:
        partial.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # whoever had it was done in between
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise OutputError(
                f"{partial.parent / partial.name[1:].removesuffix('.partial')}: another process is writing it; "
                "wait for it, or choose another folder"
            ) from error
        except OSError:  # some network drives lock no folders: there, one writer at a time is up to whoever asks
            return descriptor
        if _is(partial, descriptor):
            return descriptor
        os.close(descriptor)


def _is(partial: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(partial.stat(), os.fstat(descriptor))
    return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
