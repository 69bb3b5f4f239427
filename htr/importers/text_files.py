"""Images with a text file each in, a lines dataset out: ``a.png`` and ``a.gt.txt``.

OCRopus, kraken and Calamari have it so. The text of ``a.nrm.png`` is ``a.gt.txt``, too. Every base
name is a row: an image without a text or a text without an image is quarantined.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from htr.errors import DataError, SettingsError
from htr.importers.folders import IMAGE_SUFFIXES, Known, files_under, folder_of, split_at
from htr.importers.images import checked, read_file
from htr.importers.policy import Cleaner, cleaner_for
from htr.importers.rows import Progress, RowRejected, write_rows
from htr.lines import DatasetInfo, Line

TEXT_SUFFIX = ".gt.txt"
MAX_TEXT_BYTES = 2**16
"""A longer text file holds no line."""
_VERSIONS = (".bin", ".nrm", ".raw", ".dew", ".pseg")
"""What stands before the suffix of an image that is one of several forms of a line."""


@dataclass(slots=True)
class _Pair:
    base: str
    images: list[str] = field(default_factory=list)
    text: str | None = None


def import_text_files(
    folder: Path,
    out: Path,
    *,
    known: Known | None = None,
    limit: int | None = None,
    policy: str | Path | None = None,
    progress: Progress | None = None,
) -> DatasetInfo:
    """Import a folder of images with a text file each; each pair is kept or quarantined with a reason.

    A line's page is the folder that it lies in. Lines are split as a folder's name says (train, val, test), else
    by writer, page or file.

    Args:
        folder: is searched with all that is below it.
        out: the folder to create.
        known: what is true of all lines.
        limit: take that many pairs at most.
        policy: cleaning rules, by file or name; see `htr.importers.policy`.
        progress: called with pairs done and pairs in all.

    Raises:
        DataError: there is nothing to import, or nothing of it can be used; nothing is written then.
        SettingsError: the limit is below 1, or the policy cannot be used.
        OutputError: the folder is there already or cannot be written.
    """
    if limit is not None and limit < 1:
        raise SettingsError(f"limit must be 1 or more, got {limit}")
    pairs = _pairs(folder)
    if not any(pair.text for pair in pairs):
        raise DataError(
            f"{folder}: holds no file that ends in {TEXT_SUFFIX}; write the text of a.png to a{TEXT_SUFFIX}"
        )
    pairs = pairs[:limit]
    known = known or Known()
    cleaner = cleaner_for(policy, lambda: _texts(pairs, folder))
    return write_rows(
        pairs,
        out,
        origin=folder,
        total=len(pairs),
        name_of=lambda pair: pair.base,
        to_line=lambda pair: _line(pair, folder, known, cleaner),
        progress=progress,
        lineage=lambda: {"importer": "gt-txt", "origin": folder.resolve().name, **cleaner.lineage()},
    )


def _pairs(folder: Path) -> list[_Pair]:
    pairs: dict[str, _Pair] = {}
    for path in files_under(folder, (TEXT_SUFFIX, *IMAGE_SUFFIXES)):
        base = _base(path)
        pair = pairs.setdefault(base, _Pair(base))
        if path.lower().endswith(TEXT_SUFFIX):
            pair.text = path
        else:
            pair.images.append(path)
    return sorted(pairs.values(), key=lambda pair: pair.base)


def _base(path: str) -> str:
    if path.lower().endswith(TEXT_SUFFIX):
        return path[: -len(TEXT_SUFFIX)]
    pure = PurePosixPath(path).with_suffix("")
    return str(pure.with_suffix("")) if pure.suffix in _VERSIONS else str(pure)


def _texts(pairs: list[_Pair], folder: Path) -> Iterator[str]:
    for pair in pairs:
        try:
            yield _text(pair, folder)
        except RowRejected:
            continue


def _text(pair: _Pair, folder: Path) -> str:
    if pair.text is None:
        raise RowRejected("no_text_file", f"there is no {pair.base}{TEXT_SUFFIX}")
    data = read_file(folder / pair.text, root=folder) or b""
    if len(data) > MAX_TEXT_BYTES:
        raise RowRejected("no_single_line", f"{len(data)} bytes of text")
    try:
        lines = [line for line in data.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise RowRejected("not_utf8", f"{pair.text}: {error.reason} at byte {error.start}") from error
    if len(lines) > 1:
        raise RowRejected("no_single_line", f"{len(lines)} lines of text for one image")
    return lines[0] if lines else ""


def _line(pair: _Pair, folder: Path, known: Known, cleaner: Cleaner) -> Line:
    text = cleaner.text(_text(pair, folder))
    if not pair.images:
        raise RowRejected("no_image", f"there is no image {pair.base}.png")
    if len(pair.images) > 1:
        raise RowRejected("ambiguous_image", f"which of {', '.join(islice(pair.images, 4))} is to be read?")
    (path,) = pair.images
    image = checked(read_file(folder / path, root=folder) or b"")
    page = folder_of(path)
    writer = known.writer(page, page)
    return Line(
        id=pair.base,
        image=image.data,
        text=text,
        writer=writer,
        page=page,
        language=known.language,
        source=known.source or folder.resolve().name,
        split=split_at(path, writer or page or pair.base),
        width=image.width,
        height=image.height,
    )
