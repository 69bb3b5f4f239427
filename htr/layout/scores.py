"""Found lines against marked ones: which is which by overlap, and what that makes of recall and of the text.

A found line is right where it and a marked line share at least half of the area that they cover together
(intersection over union of the polygons, as areas of pixels), each counted once. This is the usual measure of
detection (Everingham et al. 2010, section 4.2); unlike the share of ink that ICDAR's contests of line segmentation
take (Stamatopoulos et al. 2013), it also punishes outlines that are too wide.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from htr.layout.geometry import Points, iou, overlap
from htr.metrics import ErrorCounts, count_errors

IOU_THRESHOLD = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class LineCounts:
    """How many lines were marked, found, and found rightly; add two to get those of both."""

    marked: int = 0
    found: int = 0
    right: int = 0

    def __add__(self, other: "LineCounts") -> "LineCounts":
        return LineCounts(
            marked=self.marked + other.marked, found=self.found + other.found, right=self.right + other.right
        )

    @property
    def recall(self) -> float:
        """Share of the marked lines that were found, 0..1."""
        return self.right / max(1, self.marked)

    @property
    def precision(self) -> float:
        """Share of the found lines that are right, 0..1."""
        return self.right / max(1, self.found)

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision, 0..1."""
        return 2 * self.right / max(1, self.marked + self.found)


def match(found: Sequence[Points], marked: Sequence[Points], threshold: float = IOU_THRESHOLD) -> dict[int, int]:
    """Pair found with marked lines, the greatest overlap first.

    Returns:
        Index of the found line -> index of the marked one, only where they overlap by the threshold.
    """
    overlaps = [(iou(f, m), i, j) for i, f in enumerate(found) for j, m in enumerate(marked)]
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for share, i, j in sorted(overlaps, key=lambda entry: (-entry[0], *entry[1:])):
        if share >= threshold and share > 0 and i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    return pairs


def count_lines(found: Sequence[Points], marked: Sequence[Points]) -> LineCounts:
    """Count the lines of one page."""
    return LineCounts(marked=len(marked), found=len(found), right=len(match(found, marked)))


def inside(lines: Sequence[Points], zones: Sequence[Points]) -> list[int]:
    """Return the indices of the lines that lie in the zones, by half of their area and more."""
    kept: list[int] = []
    for index, line in enumerate(lines):
        area = overlap(line, line)[0]
        shared = sum(overlap(line, zone)[0] for zone in zones if iou(line, zone) > 0)
        if 2 * shared >= area:
            kept.append(index)
    return kept


def text_errors(
    found: Sequence[Points], read: Sequence[str], marked: Sequence[Points], written: Sequence[str]
) -> ErrorCounts:
    """Compare the text of a page whatever the order of its lines.

    Every found line goes to the marked line that covers most of it; what goes to the same line is joined from left
    to right. A marked line that got nothing counts as left out, a found line that touches none as made up.
    """
    pieces: list[list[tuple[float, str]]] = [[] for _ in marked]
    made_up: list[str] = []
    for line, text in zip(found, read, strict=True):
        shares = [overlap(line, other)[0] if iou(line, other) > 0 else 0 for other in marked]
        best = max(range(len(marked)), key=shares.__getitem__, default=-1)
        if best < 0 or not shares[best]:
            made_up.append(text)
        else:
            pieces[best].append((min(x for x, _ in line), text))
    total = ErrorCounts()
    for truth, parts in zip(written, pieces, strict=True):
        total += count_errors(truth, " ".join(text for _, text in sorted(parts)))
    for text in made_up:
        total += count_errors("", text)
    return total
