"""Whose lines are meant, and by what they are known: a request leads to images, an image to corrections."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from htr.corrections import Correction
from htr.errors import SettingsError
from htr.lines import CORRECTIONS, Line


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Whose lines are to be erased; one of the two is given.

    Raises:
        SettingsError: none is given, or both.
    """

    request: str = ""
    """Id of a request: all its lines, wherever else their images are."""
    writer: str = ""
    """Name of a writer, as corrections and datasets have it."""

    def __post_init__(self) -> None:
        if bool(self.request) == bool(self.writer):
            raise SettingsError("give --request ID or --writer NAME, one of them")


@dataclass(kw_only=True)
class Marks:
    """By what somebody's lines are known."""

    digests: set[str] = field(default_factory=set)
    """Of images."""
    requests: set[str] = field(default_factory=set)
    """Whole requests."""
    places: set[tuple[str, int]] = field(default_factory=set)
    """Lines of requests."""
    writer: str = ""

    def to_json(self) -> bytes:
        """Return what `add` takes in."""
        values = {
            "digests": sorted(self.digests),
            "requests": sorted(self.requests),
            "places": sorted(self.places),
        }
        return json.dumps({"format_version": 1, **values, "writer": self.writer}).encode()

    def add(self, begun: Path) -> None:
        """Take in what an erasure that was killed was about: its traces may be half gone."""
        if begun.is_file():
            values = json.loads(begun.read_text(encoding="utf-8"))
            self.digests |= set(values["digests"])
            self.requests |= set(values["requests"])
            self.places |= {(name, position) for name, position in values["places"]}
            self.writer = self.writer or values["writer"]

    def is_line(self, line: Line) -> bool:
        """Return whether a line of a dataset is meant."""
        return self.is_meant(line.id, line.writer or "", "sha256:" + hashlib.sha256(line.image).hexdigest())

    def is_meant(self, line_id: str, writer: str, image_digest: str) -> bool:
        """Return whether a line is meant, by any of the three."""
        named = line_id.removeprefix(f"{CORRECTIONS}/")
        return (
            (self.writer != "" and writer == self.writer)
            or f"sha256:{named}" in self.digests
            or image_digest in self.digests
        )

    def is_row(self, request_id: str, position: int) -> bool:
        """Return whether a line of a request is meant."""
        return request_id in self.requests or (request_id, position) in self.places


def follow(wanted: Wanted, corrections: Sequence[Correction], images: Sequence[tuple[str, int, str]]) -> Marks:
    """Follow requests to images and images to requests until nothing new comes.

    Args:
        wanted: whose lines.
        corrections: all that are kept.
        images: request, position and digest of every logged image.
    """
    marks = Marks(writer=wanted.writer, requests={wanted.request} if wanted.request else set())
    while True:
        before = len(marks.digests) + len(marks.places)
        for one in corrections:
            mine = marks.is_row(one.request_id, one.position) if one.request_id else False
            if mine or (wanted.writer and one.writer == wanted.writer) or one.image_digest in marks.digests:
                marks.digests.add(one.image_digest)
                if one.request_id:
                    marks.places.add((one.request_id, one.position))
        for request_id, position, digest in images:
            if marks.is_row(request_id, position) or digest in marks.digests:
                marks.digests.add(digest)
                marks.places.add((request_id, position))
        if len(marks.digests) + len(marks.places) == before:
            return marks
