"""Whole pages against their marked lines: lines found, text, and time, page by page.

    python benchmarks/pages.py PAGES [--bundle DIR] [--apart repert] [--repeat 3] [--overlays DIR]

PAGES is a folder of images with an ALTO or PAGE file each, under the image's name with .alto.xml or .page.xml in
place of its ending. Columns:

- marked, found, right: lines; a found line is right where it overlaps a marked one by IoU 0.5 and more, as areas
  of polygons, each counted once. P, R, F1 from these.
- F1 zones: the same among found lines that lie, by half of their area, in the text blocks that were marked: what
  nobody transcribed (stamps, foreign margins) is not counted as wrong. The same as F1 where no block is marked.
- CER marked: the marked lines read by the model, so that no error is due to finding them. CER zones: the found
  lines in the zones; each is held against the marked line that covers most of it, whatever its place in the order,
  what lies on none counts as made up. CER found: the same with all found lines. CER order: the whole page as one
  text, in reading order against the file's order.
- find, read, all: seconds by the clock for finding the lines, for cropping and reading them, and from the file's
  bytes to text; work: processor seconds of all of it, which another program's load changes less.

Text is compared as the model learnt it: straight quotes, plain dashes, single spaces.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rapidfuzz.distance import Levenshtein

from htr.alphabet import normalise
from htr.bundle import Bundle
from htr.layout.files import SUFFIXES, PageFile
from htr.layout.finding import find_lines
from htr.layout.geometry import Layout, Points
from htr.layout.marks import MarkedPage, parse_page_xml
from htr.layout.overlay import overlay
from htr.layout.scores import LineCounts, count_lines, inside, text_errors
from htr.metrics import ErrorCounts
from htr.pages.reading import read_layout
from htr.pretrained import PRETRAINED, resolve
from htr.recogniser import Recogniser

SAME = str.maketrans({"’": "'", "‘": "'", "«": '"', "»": '"', "“": '"', "”": '"', "–": "-", "—": "-", "…": "..."})


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What was measured on one page, or the sums of several."""

    lines: LineCounts = field(default_factory=LineCounts)
    in_zones: LineCounts = field(default_factory=LineCounts)
    marked_text: ErrorCounts = field(default_factory=ErrorCounts)
    found_text: ErrorCounts = field(default_factory=ErrorCounts)
    zones_text: ErrorCounts = field(default_factory=ErrorCounts)
    ordered_edits: int = 0
    find_s: float = 0.0
    read_s: float = 0.0
    all_s: float = 0.0
    work_s: float = 0.0

    def __add__(self, other: "Row") -> "Row":
        return Row(**{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__})

    def cells(self, name: str) -> list[str]:
        """Return the row of the table."""
        lines, zones = self.lines, self.in_zones
        order = self.ordered_edits / max(1, self.marked_text.characters)
        rates = (*(text.cer for text in (self.marked_text, self.zones_text, self.found_text)), order)
        return [
            name,
            *(str(count) for count in (lines.marked, lines.found, lines.right)),
            *(f"{rate:.3f}" for rate in (lines.precision, lines.recall, lines.f1, zones.f1)),
            *(f"{rate:.1%}" for rate in rates),
            *(f"{seconds:.2f}" for seconds in (self.find_s, self.read_s, self.all_s, self.work_s)),
        ]


COUNTS = ("marked", "found", "right", "P", "R", "F1", "F1 zones")
RATES = ("CER marked", "CER zones", "CER found", "CER order")
HEADER = ("page", *COUNTS, *RATES, "find", "read", "all", "work")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", type=Path)
    parser.add_argument("--bundle", default=PRETRAINED)
    parser.add_argument("--apart", default="repert", help="pages whose name begins so are no ordinary pages")
    parser.add_argument("--repeat", type=int, default=3, help="time is that of the fastest of so many runs")
    parser.add_argument("--overlays", type=Path, help="folder for pictures of the found lines")
    args = parser.parse_args()
    recogniser = Recogniser(Bundle.open(resolve(args.bundle)))
    print(f"{os.cpu_count()} cores, bundle {recogniser.digest[:19]}\n")
    print("| " + " | ".join(HEADER) + " |\n|" + "---|" * len(HEADER))
    ordinary, every, fewest = Row(), Row(), 1.0
    for image in sorted(path for path in args.pages.iterdir() if path.suffix.lower() in SUFFIXES):
        row = measure(recogniser, image, args.repeat, args.overlays)
        print("| " + " | ".join(row.cells(image.stem)) + " |", flush=True)
        every += row
        if not image.name.startswith(args.apart):
            ordinary, fewest = ordinary + row, min(fewest, row.lines.f1)
    print("| " + " | ".join(ordinary.cells(f"all but {args.apart}")) + " |")
    print("| " + " | ".join(every.cells("all")) + " |")
    print(f"\nleast F1 of a page that is not {args.apart}: {fewest:.3f}")


def measure(recogniser: Recogniser, image: Path, repeat: int, overlays: Path | None) -> Row:
    """Find, read and score one page."""
    marked = _marks(image)
    times: list[tuple[float, float, float, float]] = []
    for _ in range(repeat):
        started, worked = time.perf_counter(), time.process_time()
        (page,) = PageFile.open(image).pages()
        grey = page.grey()
        decoded = time.perf_counter()
        layout = find_lines(grey)
        found = time.perf_counter()
        reading = read_layout(recogniser, grey, layout)
        ended = time.perf_counter()
        times.append((found - decoded, ended - found, ended - started, time.process_time() - worked))
    if overlays:
        overlays.mkdir(parents=True, exist_ok=True)
        overlay(page.image, layout.lines).save(overlays / f"{image.stem}.png")
    truth = Layout(width=marked.width, height=marked.height, lines=marked.lines, dark=layout.dark)
    known = read_layout(recogniser, grey, truth)
    true_lines, found_lines = _polygons(truth), _polygons(layout)
    written = [plain(text) for text in marked.texts]
    read = [plain(line.text) for line in reading.lines]
    inner = inside(found_lines, [*marked.zones, *true_lines]) if marked.zones else list(range(len(found_lines)))
    in_zones, read_in_zones = [found_lines[n] for n in inner], [read[n] for n in inner]
    find_s, read_s, all_s, work_s = min(times, key=lambda entry: entry[2])
    return Row(
        lines=count_lines(found_lines, true_lines),
        in_zones=count_lines(in_zones, true_lines),
        zones_text=text_errors(in_zones, read_in_zones, true_lines, written),
        marked_text=text_errors(true_lines, [plain(line.text) for line in known.lines], true_lines, written),
        found_text=text_errors(found_lines, read, true_lines, written),
        ordered_edits=Levenshtein.distance("\n".join(written), "\n".join(read)),
        find_s=find_s,
        read_s=read_s,
        all_s=all_s,
        work_s=work_s,
    )


def plain(text: str) -> str:
    """Return a text as the shared lot's transcriptions were normalised."""
    return normalise(re.sub(r"\s+", " ", text.translate(SAME).replace("^", "")).strip())


def _polygons(layout: Layout) -> Sequence[Points]:
    return [line.polygon for line in layout.lines]


def _marks(image: Path) -> MarkedPage:
    for ending in (".alto.xml", ".page.xml"):
        if (path := image.with_suffix(ending)).is_file():
            return parse_page_xml(path)
    raise SystemExit(f"error: {image}: neither .alto.xml nor .page.xml lies beside it")


if __name__ == "__main__":
    main()
