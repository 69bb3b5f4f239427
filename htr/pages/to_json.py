"""A read page as JSON: the format that everything else is made from, and by which a stopped batch goes on.

Version 1 holds where the page came from (file name, SHA-256, page number), what read it (bundle digest, version of
the segmentation), and its lines in reading order: outline, baseline, block, text, confidence, words. Points are
[x, y] in pixels of the page image.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htr.errors import DataError
from htr.layout.geometry import PageLine, Points
from htr.pages.reading import LineReading, PageReading, Word

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What a reading was made of: equal where reading again would give the same."""

    file: str
    """Name of the file, without folders."""
    digest: str
    """SHA-256 of its bytes."""
    page: int
    """Page of the file, from 1."""
    num_pages: int
    bundle: str
    """Digest of the model."""
    segmentation: int
    """`htr.layout.finding.SEGMENTATION_VERSION`."""


def page_json(reading: PageReading, origin: Origin) -> str:
    """Return a read page in version 1 of the format."""
    content = {
        "format_version": FORMAT_VERSION,
        "file": origin.file,
        "digest": origin.digest,
        "page": origin.page,
        "num_pages": origin.num_pages,
        "bundle": origin.bundle,
        "segmentation": origin.segmentation,
        **page_content(reading),
    }
    return json.dumps(content, ensure_ascii=False) + "\n"


def page_content(reading: PageReading) -> dict[str, Any]:
    """Return what was read on a page as JSON lays it out, without where it came from."""
    return {
        "width": reading.width,
        "height": reading.height,
        "skew_degrees": round(reading.skew_degrees, 2),
        "lines": [
            {
                "region": line.line.region,
                "polygon": _rounded(line.line.polygon),
                "baseline": _rounded(line.line.baseline),
                "text": line.text,
                "confidence": round(line.confidence, 4),
                "words": [{"text": word.text, "polygon": _rounded(word.polygon)} for word in line.words],
            }
            for line in reading.lines
        ],
    }


def parse_page_json(path: Path) -> tuple[PageReading, Origin]:
    """Read a file that `page_json` made.

    Raises:
        DataError: the file is missing, of another version or no such file at all.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["format_version"]
        if version != FORMAT_VERSION:
            raise DataError(f"{path}: is of format version {version!r}, this program reads {FORMAT_VERSION}")
        origin = Origin(**{name: content[name] for name in Origin.__dataclass_fields__})
        reading = PageReading(
            width=content["width"],
            height=content["height"],
            skew_degrees=content["skew_degrees"],
            lines=tuple(_line(line) for line in content["lines"]),
        )
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); read the page again") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: is no reading of a page ({error!r}); delete it and read the page again"
        ) from error
    return reading, origin


def _line(content: dict[str, Any]) -> LineReading:
    return LineReading(
        line=PageLine(
            polygon=_points(content["polygon"]), baseline=_points(content["baseline"]), region=content["region"]
        ),
        text=content["text"],
        confidence=content["confidence"],
        words=tuple(Word(text=w["text"], polygon=_points(w["polygon"])) for w in content["words"]),
    )


def _points(content: list[list[float]]) -> Points:
    return tuple((float(x), float(y)) for x, y in content)


def _rounded(points: Points) -> list[list[float]]:
    return [[round(x, 1), round(y, 1)] for x, y in points]
