"""Files of pages in, opened ones out: what is over a limit is refused before any page is decoded."""

from collections.abc import Sequence

from htr.errors import ImageError
from htr.layout.files import PageFile
from serving.admission import Check
from serving.limits import Limits
from serving.protocol import Sent
from serving.refusals import ImageRefusedError, TooLargeError, image_refused

Named = tuple[Sent, str]
"""A file, and what the request calls it."""
Opened = PageFile | ImageRefusedError
"""An opened file, or what is wrong with it."""


def open_files(sent: Sequence[Named], limits: Limits, check: Check, *, partial: bool) -> list[Opened]:
    """Open every file of a request, and count their pages.

    Args:
        sent: as they were sent; what was refused before stays so.
        limits: what is refused.
        check: called before each.
        partial: return what is wrong with a file in its place instead of raising it.

    Raises:
        ImageRefusedError: one of them cannot be opened, or is too large.
        TooLargeError: all of them together have too many pages.
    """
    opened: list[Opened] = []
    num_pages = 0
    for at, (data, name) in enumerate(sent):
        check()
        file = _open(data, name, limits, at)
        if isinstance(file, ImageRefusedError):
            if not partial:
                raise file
        else:
            num_pages += file.num_pages
        if num_pages > limits.max_pages:
            raise TooLargeError(
                f"the files up to instance {at} have {num_pages} pages, at most {limits.max_pages} are read a "
                "request; send them in several requests"
            )
        opened.append(file)
    return opened


def _open(data: Sent, name: str, limits: Limits, at: int) -> Opened:
    if isinstance(data, ImageRefusedError):
        return data
    try:
        return PageFile.of_bytes(data, name=name, max_pixels=limits.max_page_pixels, max_pages=limits.max_pages)
    except ImageError as error:
        return image_refused(error, at)
