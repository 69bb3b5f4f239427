"""The IAM database in (``words.txt`` or ``lines.txt``, and the folder of images beside it), a lines dataset out.

The files are no CSV: fields stand apart by single spaces, the transcription goes to the end of the line and may
hold spaces, quotation marks and ``#``; only a ``#`` at the start makes a comment (Marti and Bunke 2002). A box of
-1 means that the word was never found on the page. Writers come from ``forms.txt``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from htr.errors import DataError, SettingsError
from htr.importers.images import checked, read_file
from htr.importers.policy import Cleaner, cleaner_for
from htr.importers.rows import Progress, RowRejected, write_rows
from htr.importers.splits import split_of_group
from htr.lines import DatasetInfo, Line

KNOWN_BROKEN = frozenset(("a01-117-05-02", "r06-022-03-05"))
"""Words whose images are damaged in the database as it is handed out."""
SEGMENTATIONS = ("ok", "err", "er")
ERRONEOUS = ("err", "er")
"""Two spellings of one thing: the form's words were not all cut apart rightly."""
_NUM_FIELDS = 9
_ID = re.compile(r"([a-z]\d\d-\d{3}[a-z]?)-(\d\d)(-\d\d)?")


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    fields: list[str]

    @property
    def id(self) -> str:
        return self.fields[0]


def import_iam(
    table: Path,
    out: Path,
    *,
    images: Path | None = None,
    forms: Path | None = None,
    take_err: bool | None = None,
    limit: int | None = None,
    policy: str | Path | None = None,
    progress: Progress | None = None,
) -> DatasetInfo:
    """Import words.txt or lines.txt; each of its rows is kept or quarantined with a reason.

    Args:
        table: the file; which of the two it is, its ids tell.
        out: the folder to create.
        images: the folder ``words`` or ``lines``; by default the one beside the table or its folder.
        forms: forms.txt; by default the one beside the table. Without one, lines are split by form.
        take_err: whether to keep rows whose segmentation is ``err``; by default those of words are not, since
            the image may hold another word; those of lines are, since the line itself is whole.
        limit: take that many rows at most.
        policy: cleaning rules, by file or name; see `htr.importers.policy`.
        progress: called with rows done and rows in all.

    Raises:
        DataError: a file cannot be used, or none of the rows can; then nothing is written.
        SettingsError: the limit is below 1, or the policy cannot be used.
        OutputError: the folder is there already or cannot be written.
    """
    if limit is not None and limit < 1:
        raise SettingsError(f"limit must be 1 or more, got {limit}")
    total = sum(1 for _ in _rows(table))
    if not total:
        raise DataError(f"{table}: has no rows; expected IAM's words.txt or lines.txt")
    total = min(total, limit or total)
    writers = _writers(forms or table.parent / "forms.txt", wanted=forms is not None)
    root = _image_folder(table, images, is_words=_is_words(table))
    cleaner = cleaner_for(policy, lambda: (_transcription(row) for row in islice(_rows(table), total)))
    return write_rows(
        islice(_rows(table), total),
        out,
        origin=table,
        total=total,
        name_of=lambda row: row.id or f"line {row.number}",
        to_line=lambda row: _line(row, root, writers, take_err, cleaner),
        progress=progress,
        lineage=lambda: {
            "importer": "iam",
            "origin": table.name,
            "writers_from": "forms.txt" if writers else "",
            **cleaner.lineage(),
        },
    )


def _rows(table: Path) -> Iterator[_Row]:
    try:
        # Only line feeds end a row: a transcription may hold what Python takes for the end of a line.
        with table.open(encoding="utf-8-sig", newline="\n") as stream:
            for number, text in enumerate(stream, start=1):
                row = text.strip("\r\n")
                if row.strip() and not row.startswith("#"):
                    yield _Row(number, row.split(" ", _NUM_FIELDS - 1))
    except UnicodeDecodeError as error:
        raise DataError(f"{table}: not UTF-8 text; IAM's own files are ASCII") from error
    except OSError as error:
        raise DataError(f"{table}: cannot be read ({error.strerror}); give words.txt or lines.txt") from error


def _writers(path: Path, *, wanted: bool) -> dict[str, str]:
    """Return form -> writer; nothing where there is no forms.txt and none was asked for."""
    if not path.is_file() and not wanted:
        return {}
    return {row.fields[0]: row.fields[1] for row in _rows(path) if len(row.fields) > 1}


def _is_words(table: Path) -> bool:
    first = next(_rows(table))
    form = _ID.fullmatch(first.id)
    if form is None:
        raise DataError(
            f"{table}, line {first.number}: {first.id!r} is no id of IAM such as a01-000u-00 or a01-000u-00-00; "
            "give words.txt or lines.txt"
        )
    return form[3] is not None


def _image_folder(table: Path, images: Path | None, *, is_words: bool) -> Path:
    name = "words" if is_words else "lines"
    places = [images] if images else [table.parent / name, table.parent.parent / name]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise DataError(
            f"{' and '.join(map(str, places))}: no such folder; say where the images are with --images"
        )
    return found


def _transcription(row: _Row) -> str:
    """Return the text of a row; of a line's the marks between words become spaces."""
    text = row.fields[-1] if len(row.fields) == _NUM_FIELDS else ""
    match = _ID.fullmatch(row.id)
    return text if match and match[3] else text.replace("|", " ")


def _line(row: _Row, root: Path, writers: dict[str, str], take_err: bool | None, cleaner: Cleaner) -> Line:
    where = f"line {row.number}"
    match = _ID.fullmatch(row.id)
    if len(row.fields) != _NUM_FIELDS or match is None:
        raise RowRejected(
            "bad_row", f"{where}: expected an id and {_NUM_FIELDS} fields, got {' '.join(row.fields)!r}"
        )
    is_word = match[3] is not None
    if row.fields[1] not in SEGMENTATIONS:
        raise RowRejected("bad_row", f"{where}: segmentation {row.fields[1]!r} is none of {SEGMENTATIONS}")
    if row.fields[1] in ERRONEOUS and not (not is_word if take_err is None else take_err):
        raise RowRejected("segmentation_err", where)
    box = row.fields[3:7] if is_word else row.fields[4:8]
    if _is_nowhere(box, where):
        raise RowRejected("no_box", f"{where}: box {' '.join(box)}")
    text = cleaner.text(_transcription(row))
    form, page = match[1], match[1].partition("-")[0]
    path = root / page / form / f"{row.id}.png"
    data = read_file(path, root=root)
    if data is None:
        raise RowRejected("no_image", f"{path} is not there")
    try:
        image = checked(data)
    except RowRejected as refusal:
        known = "; it is damaged in the database as it is handed out" if row.id in KNOWN_BROKEN else ""
        raise RowRejected(refusal.reason, refusal.detail + known) from refusal
    writer = writers.get(form, "")
    return Line(
        id=row.id,
        image=image.data,
        text=text,
        writer=writer,
        page=form,
        language="eng",
        source="iam",
        split=split_of_group(writer or form),
        width=image.width,
        height=image.height,
    )


def _is_nowhere(box: list[str], where: str) -> bool:
    try:
        numbers = [int(number) for number in box]
    except ValueError as error:
        raise RowRejected("bad_row", f"{where}: {' '.join(box)!r} is no box of four whole numbers") from error
    return numbers[2] <= 0 or numbers[3] <= 0 or min(numbers) < 0
