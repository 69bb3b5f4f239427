"""The image of a marked page: where it lies, which way up it is, and where the file's points are on it."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from htr.errors import ImageError
from htr.image import MAX_PAGE_PIXELS, Grey, load_upright, open_image, to_grey
from htr.importers.folders import IMAGE_SUFFIXES
from htr.importers.images import read_file
from htr.importers.rows import RowRejected
from htr.layout.geometry import Points
from htr.layout.marks import MarkedPage

_SAME_SHAPE = 0.01
"""How far the ratios of the sides may be apart for a page that was marked at another resolution."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scan:
    """The image that the points of a file belong to."""

    grey: Grey
    scale: tuple[float, float]
    """What x and y of the file are multiplied by."""
    notes: tuple[str, ...]
    """What had to be done: ``pages_scaled``, ``pages_marked_before_rotation``."""

    def placed(self, points: Points) -> Points:
        """Return points of the file in pixels of the image, what lies outside moved to its edge."""
        height, width = self.grey.shape
        right, low = self.scale
        return tuple(
            (min(max(x * right, 0.0), width - 1.0), min(max(y * low, 0.0), height - 1.0)) for x, y in points
        )


def page_name(xml: str) -> str:
    """Return what a page is called after its file: without ``.xml``, ``.alto.xml`` or ``.page.xml``."""
    path = PurePosixPath(xml).with_suffix("")
    return str(path.with_suffix("") if path.suffix.lower() in {".alto", ".page"} else path)


def scan_of(root: Path, xml: str, page: MarkedPage) -> Scan:
    """Open the image of a marked page.

    Args:
        root: nothing outside of it is opened, whatever the file or links say.
        xml: the file, within the root.
        page: what it holds.

    Raises:
        RowRejected: there is no such image, it cannot be decoded, or it has another shape than the page.
    """
    path, data = _found(root, xml, page.file_name)
    try:
        with open_image(data, max_pixels=MAX_PAGE_PIXELS) as image:
            # Viewers turn a photograph as its EXIF block says, some marking programs do not: the size tells which.
            upright = load_upright(image)
            for picture, notes in ((upright, ()), (image, ("pages_marked_before_rotation",))):
                if picture.size == (page.width, page.height):
                    return Scan(grey=to_grey(picture), scale=(1.0, 1.0), notes=notes)
            right, low = upright.width / page.width, upright.height / page.height
            if abs(right / low - 1) <= _SAME_SHAPE:
                return Scan(grey=to_grey(upright), scale=(right, low), notes=("pages_scaled",))
            size = f"{upright.width} x {upright.height}"
    except ImageError as error:
        raise RowRejected(f"{error.reason}_image", f"{path}: {error}") from error
    raise RowRejected(
        "page_size", f"{path} is {size} pixels, its lines were marked on {page.width} x {page.height}"
    )


def _found(root: Path, xml: str, file_name: str) -> tuple[Path, bytes]:
    folder = (root / xml).parent
    above = [folder.parent] if folder != root else []
    places = [place for base in (folder, *above) for place in (base, base / "images")]
    # Paths in such files are those of the machine that wrote them: the name alone is looked for as well.
    names = [name for name in (file_name, PureWindowsPath(file_name).name) if name and _is_inside(name)]
    stem = PurePosixPath(page_name(xml)).name
    names += [f"{stem}{suffix}" for suffix in (*IMAGE_SUFFIXES, *(s.upper() for s in IMAGE_SUFFIXES))]
    for name in dict.fromkeys(names):
        for place in places:
            data = read_file(place / name, root=root)
            if data is not None:
                return place / name, data
    raise RowRejected("no_image", f"{xml} names {file_name!r}, which lies neither beside it nor one folder up")


def _is_inside(name: str) -> bool:
    paths = (PurePosixPath(name), PureWindowsPath(name))
    return not any(path.is_absolute() or path.drive or path.root or ".." in path.parts for path in paths)
