"""A file name in, the encoded image out: from folders or from tars, which are read where they lie.

Nothing is unpacked to disk, and no name leads out of the folder that it belongs to.
"""

import tarfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from htr.errors import DataError, ImageError
from htr.image import decode, probe
from htr.importers.rows import RowRejected

MAX_IMAGE_BYTES = 64 * 2**20
"""A larger file is no line, and is refused before it is read."""


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
        _check_size(path.stat().st_size)
        return path.read_bytes()
    except OSError as error:  # a name too long for the system, no permission, a failing disk
        raise RowRejected("no_image", f"{path}: {error.strerror}") from error


def _check_size(num_bytes: int) -> None:
    if num_bytes > MAX_IMAGE_BYTES:
        raise RowRejected("too_large_image", f"{num_bytes} bytes, at most {MAX_IMAGE_BYTES} are read")


class TarImages:
    """The images in one uncompressed tar; the members are listed once, then read at their place.

    Raises:
        DataError: it is not an uncompressed tar, or it is cut off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}
        self._by_basename: dict[str, list[str]] = defaultdict(list)
        self._stream: BinaryIO | None = None
        try:
            with tarfile.open(path, "r:") as archive:
                for member in archive:
                    if member.isreg() and not member.issparse():
                        self._places[member.name.removeprefix("./")] = (member.offset_data, member.size)
        except (tarfile.TarError, EOFError) as error:
            raise DataError(
                f"{path}: not a whole, uncompressed tar ({error}); unpack .tar.gz with gunzip, or copy it again"
            ) from error
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        for name in self._places:
            self._by_basename[PurePosixPath(name).name].append(name)

    def __enter__(self) -> Self:
        self._stream = self.path.open("rb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream:
            self._stream.close()

    def read(self, name: str) -> bytes | None:
        """Return the member ``images/NAME`` or ``NAME``, else the one whose path ends so; None without one.

        Raises:
            RowRejected: several members end so, or the member is too large.
        """
        for exact in (f"images/{name}", name):
            if exact in self._places:
                return self._read(exact)
        alike = self._by_basename.get(PurePosixPath(name).name, [])
        found = sorted(member for member in alike if member.endswith(f"/{name}"))
        if len(found) > 1:
            raise RowRejected("ambiguous_image", f"{self.path.name} holds {', '.join(found[:3])}")
        return self._read(found[0]) if found else None

    def _read(self, member: str) -> bytes:
        if self._stream is None:
            raise ValueError("TarImages is read within its with block")
        offset, size = self._places[member]
        _check_size(size)
        self._stream.seek(offset)
        return self._stream.read(size)


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
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise RowRejected("outside_folder", f"{path} is a link that leads out of {self.folder}")
        if path not in self._archives:
            self._archives[path] = self._stack.enter_context(TarImages(path))
        return self._archives[path]
