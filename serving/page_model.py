"""The model that reads pages, put together where the extra `pages` is installed and it is wanted."""

import argparse
import importlib.util
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from htr.errors import SettingsError
from serving.limits import Limits
from serving.prediction_log import PredictionLog
from serving.served import Served

if TYPE_CHECKING:
    from serving.admission import Admission
    from serving.line_source import LineSource
    from serving.page_reader import PageReader

logger = logging.getLogger("serving")

DEFAULT_NAME = "pages"
OFF = "off"
_NEEDED = ("cv2", "pypdfium2")
HOW = "pip install 'quillflow[pages]'"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say whether and how pages are read."""
    parser.add_argument(
        "--pages",
        metavar="NAME",
        help=f"name of the model that reads whole pages; {OFF}: none (default: {DEFAULT_NAME}, where the extra "
        "is installed)",
    )


def pages_name(options: argparse.Namespace) -> str:
    """Return the name of the model that reads pages, "" where there is to be none.

    Raises:
        SettingsError: it was asked for and cannot be, or its name is taken.
    """
    name = str(options.pages or DEFAULT_NAME)
    if name == OFF:
        return ""
    if name == options.model_name:
        raise SettingsError(f"--pages {name}: the model that reads lines has that name; choose another")
    if can_read_pages():
        return name
    if options.pages:
        raise SettingsError(f"--pages {name}: reading pages needs the extra: {HOW}")
    logger.warning("lines are read and pages are not: that needs the extra: %s", HOW)
    return ""


def can_read_pages() -> bool:
    """Return whether the extra `pages` is installed."""
    return all(importlib.util.find_spec(name) is not None for name in _NEEDED)


def make_pages(
    name: str, *, source: "LineSource", num_threads: int, limits: Limits, closing: ExitStack
) -> "dict[PageReader, Admission]":
    """Return the model that reads pages with what admits its requests.

    Args:
        name: in the endpoints.
        source: who reads the lines.
        num_threads: requests whose pages are worked on at the same time.
        limits: what is refused.
        closing: shuts its threads down.
    """
    from serving.admission import Admission
    from serving.page_reader import PageReader

    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="pages")
    closing.callback(pool.shutdown)
    admission = Admission(pool, num_threads=num_threads, limits=limits)
    reader = PageReader(name, source=source, admission=admission, clock=lambda: datetime.now(UTC), limits=limits)
    return {reader: admission}


def local_source(
    serve: Callable[[], Served], *, admission: "Admission", log: PredictionLog | None
) -> "LineSource":
    """Return the recogniser of this process as what reads the lines of pages."""
    from serving.line_source import LocalSource

    return LocalSource(serve, admission=admission, log=log)
