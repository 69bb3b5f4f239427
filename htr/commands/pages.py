"""The command that reads whole pages: pages."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from htr.bundle import Bundle
from htr.errors import ImageError, SettingsError
from htr.pretrained import PRETRAINED, resolve
from htr.recogniser import Recogniser

if TYPE_CHECKING:
    from htr.pages.batch import Task

Say = Callable[[str], None]


def add_parsers(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the parser; it sets ``handler(args, say) -> exit status``."""
    verb = verbs.add_parser(
        "pages",
        help="find the lines of whole pages and read them",
        description="Find the lines of pages (PNG, JPEG, WEBP, BMP, GIF; TIFF and PDF of any number of pages) and "
        "read them. Without --out the text is printed; with it every page gets files of its own, and the same "
        "command goes on where an earlier one was stopped.",
    )
    verb.add_argument("inputs", type=Path, nargs="+", help="files, or folders to search for them")
    verb.add_argument("--bundle", default=PRETRAINED, help="folder of a model; default: the one that ships")
    verb.add_argument("--json", action="store_true", help="print one JSON array instead of text")
    verb.add_argument("--out", type=Path, metavar="DIR", help="folder for files, the folders of the input kept")
    verb.add_argument(
        "--formats",
        metavar="A,B",
        help="with --out, beside json: text, alto, page, pdf (searchable), overlay (lines drawn on the page); "
        "default: text",
    )
    verb.set_defaults(handler=_pages)


def _pages(args: argparse.Namespace, say: Say) -> int:
    from htr.pages.batch import ENDINGS, collect

    if args.out is None and args.formats is not None:
        raise SettingsError("--formats says what files to write; add --out DIR")
    if args.out is not None and args.json:
        raise SettingsError("--json prints, --out writes a JSON file a page anyway; give one of the two")
    formats = [name.strip() for name in (args.formats or "text").split(",")]
    for name in formats:
        if name not in ENDINGS:
            raise SettingsError(f"--formats {name}: unknown; choose from {', '.join(ENDINGS)}")
    tasks = collect(args.inputs)
    recogniser = Recogniser(Bundle.open(resolve(args.bundle)))
    if args.out is None:
        return _print(recogniser, tasks, say, as_json=args.json)
    return _write(recogniser, tasks, args.out, formats, say)


def _print(recogniser: Recogniser, tasks: "list[Task]", say: Say, *, as_json: bool) -> int:
    from htr.layout.files import PageFile
    from htr.layout.finding import SEGMENTATION_VERSION
    from htr.pages.reading import read_page
    from htr.pages.to_json import Origin, page_json

    answers: list[dict[str, Any]] = []
    status = 0
    for task in tasks:
        try:
            file = PageFile.open(task.source)
            for page in file.pages():
                reading = read_page(recogniser, page.grey())
                origin = Origin(
                    file=task.source.name,
                    digest=file.digest,
                    page=page.number,
                    num_pages=file.num_pages,
                    bundle=recogniser.digest,
                    segmentation=SEGMENTATION_VERSION,
                )
                if as_json:
                    answers.append(json.loads(page_json(reading, origin)))
                else:
                    say(reading.text)
        except ImageError as error:
            sys.stderr.write(f"error: {task.source}: {error}\n")
            status = 2
    if as_json:
        say(json.dumps(answers, ensure_ascii=False, indent=1))
    return status


def _write(recogniser: Recogniser, tasks: "list[Task]", out: Path, formats: list[str], say: Say) -> int:
    from htr.pages.batch import read_pages

    bar = _Bar(len(tasks), sys.stderr)
    failures: list[str] = []
    pages = read = lines = 0
    started = time.monotonic()
    for number, task in enumerate(tasks):
        bar.show(number, str(task.stem))
        for done in read_pages(recogniser, task, out, formats):
            if done.error:
                where = (
                    f"{done.source}, page {done.page}" if done.page and done.num_pages > 1 else str(done.source)
                )
                failures.append(f"error: {where}: {done.error}")
                continue
            pages, read, lines = pages + 1, read + done.read, lines + done.lines
            bar.show(number + done.page / done.num_pages, str(task.stem))
    bar.end(len(tasks))
    for failure in failures:
        sys.stderr.write(failure + "\n")
    before = f", {pages - read} of them read before" if pages > read else ""
    say(f"wrote {out}: {pages} pages with {lines} lines in {time.monotonic() - started:.1f} s{before}")
    return 2 if failures else 0


class _Bar:
    """A bar on a terminal, redrawn in place; elsewhere, as in a log, a line now and then."""

    WIDTH = 30
    SECONDS = 10.0

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total = total
        self._stream = stream
        self._live = stream.isatty()
        self._started = self._last = time.monotonic()

    def show(self, done: float, name: str) -> None:
        now = time.monotonic()
        left = f", {(now - self._started) * (self._total - done) / done:.0f} s left" if done else ""
        if self._live:
            full = round(self.WIDTH * done / self._total)
            bar = "#" * full + "-" * (self.WIDTH - full)
            self._stream.write(f"\r\033[K[{bar}] {int(done)} of {self._total} files{left}: {name[-40:]}")
            self._stream.flush()
        elif now - self._last >= self.SECONDS:
            self._last = now
            self._stream.write(f"{int(done)} of {self._total} files{left}: {name}\n")

    def end(self, done: int) -> None:
        if self._live:
            self._stream.write(f"\r\033[K{done} of {self._total} files\n")
