"""Folders that are written whole or not at all, and names for image files."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from htr.errors import OutputError

_SUFFIXES = {
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"RIFF": ".webp",
    b"II*\x00": ".tif",
    b"MM\x00*": ".tif",
    b"BM": ".bmp",
    b"GIF8": ".gif",
}


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yield a folder to write to; it becomes ``out`` where the block ends well, and vanishes where it does not.

    Raises:
        OutputError: the folder is there already or cannot be written.
    """
    partial = out.parent / f".{out.name}.partial"
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise OutputError(f"{out}: already there; remove it or choose another --out")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        if out.is_dir():
            out.rmdir()  # empty: checked above
        partial.replace(out)
    except OSError as error:
        raise OutputError(
            f"{out}: cannot be written ({error.strerror}); free the disk or choose another --out"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def image_name(number: int, image: bytes) -> str:
    """Return a file name that says the image's format; ids are no file names and may lead anywhere."""
    suffix = next((suffix for magic, suffix in _SUFFIXES.items() if image.startswith(magic)), ".img")
    return f"{number:07d}{suffix}"
