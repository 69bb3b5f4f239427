"""Lines as a server would have read them, and a server that answers from memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from htr.layout.geometry import PageLine
from htr.pages.reading import Word
from serving.client import LineRead
from serving.web.reading import PAGE, Letter, SeenLine, Sheet, Work
from tests.conftest import line_png

STAMP = {"model_version": "7", "bundle_digest": "sha256:" + "b" * 64, "request_id": "r"}


def box(left: float, top: float, right: float, foot: float) -> tuple[tuple[float, float], ...]:
    return (left, top), (right, top), (right, foot), (left, foot)


def seen_line(text: str, confidence: float = 0.5, *, seed: int = 0, **changes: Any) -> SeenLine:
    image = line_png(text, seed=seed)
    read = LineRead(image=image, text=text, confidence=confidence, position=0, **STAMP)
    values = {
        "seen": read,
        "picture": image,
        "page": "a page",
        "letters": tuple(Letter(text=one, confidence=0.9) for one in text),
        "others": (),
        "line": PageLine(polygon=(*box(10, 10, 90, 40), (10, 25)), baseline=((10, 35), (90, 35))),
        "words": tuple(
            Word(text=word, polygon=box(20 * n, 10, 20 * n + 15, 40)) for n, word in enumerate(text.split())
        ),
        **changes,
    }
    return SeenLine(**values)


def work_with(*lines: SeenLine, **changes: Any) -> Work:
    sheet = Sheet(kind=PAGE, number=1, width=100, height=200, preview=b"\xff\xd8", lines=lines)
    return Work(**{"name": "scan.png", "sheets": (sheet,), **changes})


@dataclass
class MemoryServer:
    """Stands in for `serving.client.Client`: reads every line as its number, and keeps corrections."""

    confidences: list[float] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
    corrected: list[str] = field(default_factory=list)
    """Image digests that it says have a correction."""
    chosen_by: str = "sample"
    """What these say."""
    fails: list[Exception] = field(default_factory=list)
    """Raised by the next calls, one each."""
    num_read: int = 0

    def read(self, images: Sequence[bytes], **wanted: Any) -> list[LineRead]:
        self._fail()
        (image,) = images
        self.num_read += 1
        confidence = self.confidences.pop(0) if self.confidences else 0.5
        return [LineRead(image=image, text=f"line {self.num_read}", confidence=confidence, position=0, **STAMP)]

    def correct(self, seen: LineRead, text: str, **said: Any) -> str:
        self._fail()
        self.kept.append({"old": seen.text, "new": text, **said})
        return str(said["correction_id"])

    def corrections(self, *, start: int = 0, limit: int = 100) -> tuple[list[dict[str, Any]], int]:
        self._fail()
        found = [
            {"image_digest": one, "chosen_by": self.chosen_by, "withdrawn": False}
            for one in self.corrected[start : start + limit]
        ]
        return found, len(self.corrected)

    def _fail(self) -> None:
        if self.fails:
            raise self.fails.pop(0)
