"""A file name in, the encoded image out: from folders or from tars, which are read where they lie.

Nothing is unpacked to disk, and no name leads out of the folder that it belongs to.
"""

from contextlib import ExitStack
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import TracebackType
from typing import NamedTuple, Self

from htr.errors import ImageError
from htr.image import decode, probe
from htr.importers.rows import RowRejected
from htr.importers.tars import TarImages, check_size


class CheckedImage(NamedTuple):
    """An encoded image that is known to decode."""

    data: bytes
    width: int
    height: int


def checked(data: bytes) -> CheckedImage:
    """Decode an image once, to be sure that it can be; the bytes stay as they are.

    Raises:
        RowRejected: empty, undecodable or too large.
    """
    try:
        width, height = probe(data)
        decode(data)
    except ImageError as error:
        raise RowRejected(f"{error.reason}_image", str(error)) from error
    return CheckedImage(data, width, height)


def check_inside(name: str) -> None:
    """Refuse a file name that could lead out of its folder, on any system.

    Raises:
        RowRejected: it is absolute, has a drive, or goes up.
    """
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        if path.is_absolute() or path.drive or path.root or ".." in path.parts:
            raise RowRejected("outside_folder", f"{name!r} leads out of the table's folder")


def read_file(path: Path, *, root: Path | None = None) -> bytes | None:
    """Read an image file; None when there is no such file.

    Args:
        path: of the file.
        root: the folder that it must lie in, whatever links say; None where the path is our own.

    Raises:
        RowRejected: it is too large, cannot be read, or a link leads out of the folder.
    """
    try:
        if not path.is_file():
            return None
        if root is not None and not path.resolve().is_relative_to(root.resolve()):
            raise RowRejected("outside_folder", f"{path} is a link that leads out of {root}")
        check_size(path.stat().st_size)
        return path.read_bytes()
    except OSError as error:  # a name too long for the system, no permission, a failing disk
        raise RowRejected("no_image", f"{path}: {error.strerror}") from error


class ImagesBesideTable:
    """The images of a table: in tars beside it, in its own folder, or in a folder ``images`` there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._archives: dict[Path, TarImages] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def read(self, name: str, tar: str = "") -> bytes:
        """Return the bytes of an image.

        Args:
            name: file name, relative to the table's folder or within a tar.
            tar: the tar beside the table that holds it, or "" when the table does not say.

        Raises:
            RowRejected: there is no such image, there are several, it is too large, or a name leads outside.
            DataError: a tar beside the table is damaged.
        """
        check_inside(name)
        check_inside(tar)
        data = None
        if tar and (self.folder / tar).is_file():
            data = self._archive(self.folder / tar).read(name)
        for place in (self.folder, self.folder / "images"):
            if data is None:
                data = read_file(place / name, root=self.folder)
        if data is None and not tar:
            data = self._from_any_tar(name)
        if data is None:
            raise RowRejected("no_image", f"not in {tar} nor beside the table" if tar else "not beside the table")
        return data

    def _from_any_tar(self, name: str) -> bytes | None:
        found = {}
        for path in sorted(self.folder.glob("*.tar")):
            data = self._archive(path).read(name)
            if data is not None:
                found[path.name] = data
        if len(set(found.values())) > 1:
            raise RowRejected("ambiguous_image", f"different images of that name in {', '.join(found)}")
        return next(iter(found.values()), None)

    def _archive(self, path: Path) -> TarImages:
        if path not in self._archives:
            if not path.resolve().is_relative_to(self.folder.resolve()):
                raise RowRejected("outside_folder", f"{path} is a link that leads out of {self.folder}")
            self._archives[path] = self._stack.enter_context(TarImages(path))
        return self._archives[path]
