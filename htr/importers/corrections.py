"""A store of corrections in, a lines dataset out: of each line the last word that was not withdrawn.

Every correction is kept or quarantined with a reason: ``withdrawn``, ``superseded`` by a later one, or what is
wrong with its image. Two corrections are about one line when the image is the same, or page and name of the line.

A line goes by the image that was corrected first, and was chosen as that correction says, even if it was
withdrawn: whether the line may judge a model follows from these two, and so never changes as more arrive.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from htr.correction_store import CorrectionStore, Stored, image_digest
from htr.corrections import SAMPLE, Correction
from htr.errors import DataError
from htr.importers.images import checked, read_file
from htr.importers.rows import Progress, RowRejected, write_rows
from htr.last_words import LastWords
from htr.lines import ASKED_FOR, CORRECTIONS, DatasetInfo, Line


def import_corrections(folder: Path, out: Path, *, progress: Progress | None = None) -> DatasetInfo:
    """Import a store; all lines are of split ``train``, and ingest holds back those of source CORRECTIONS.

    Corrections and images are in memory one by one, and as many lines as make a shard. What is stored meanwhile is
    not in it.

    Args:
        folder: of the store.
        out: the folder to create.
        progress: called with corrections done and corrections in all.

    Raises:
        DataError: there is no store, it is damaged or of another version, or nothing in it can be used; nothing is
            written then.
        OutputError: the folder is there already or cannot be written.
    """
    store = CorrectionStore(folder)
    with store.snapshot() as stored:
        if not len(stored):
            raise DataError(
                f"{folder}: no corrections there; give the folder that the server got as --corrections"
            )
        return write_rows(
            _rows(stored),
            out,
            origin=folder,
            total=len(stored),
            name_of=lambda row: row.correction.id,
            to_line=lambda row: _line(row, store),
            progress=progress,
        )


class AllStored(Protocol):
    """All corrections of a store in the order of arrival: a list of them, or a snapshot."""

    def __iter__(self) -> Iterator[Stored]: ...

    def __getitem__(self, number: int, /) -> Stored: ...


def last_words(stored: AllStored) -> Iterator[tuple[Correction, Correction]]:
    """Yield of each line the last correction that was not withdrawn, with the first one about that line.

    The first one's ``chosen_by`` says whether the line may judge a model.
    """
    return ((row.correction, row.first) for row in _rows(stored) if not row.left_out)


@dataclass(frozen=True, slots=True)
class _Row:
    correction: Correction
    first: Correction
    """The first one about the same line."""
    left_out: str
    """Why it is left out; "" where it is not."""


def _rows(stored: AllStored) -> Iterator[_Row]:
    words = LastWords()
    for one in stored:
        words.add(one.correction)
        if one.withdrawal is not None:
            words.withdraw(one.correction.id)
    for number, one in enumerate(stored):
        first = words.first(number)
        left_out = "withdrawn" if one.withdrawal else "" if words.is_last(number) else "superseded"
        yield _Row(one.correction, one.correction if first == number else stored[first].correction, left_out)


def _line(row: _Row, store: CorrectionStore) -> Line:
    if row.left_out:
        raise RowRejected(row.left_out, f"by {row.correction.author}: {row.correction.new_text!r}")
    file = store.image_file(row.correction)
    data = read_file(file)
    if data is None:
        raise RowRejected("no_image", f"{file} is not there")
    if image_digest(data) != row.correction.image_digest:
        raise RowRejected("altered_image", f"{file} is not what was stored")
    image = checked(data)
    return Line(
        id=row.first.image_digest.removeprefix("sha256:"),
        image=image.data,
        text=row.correction.new_text,
        writer=row.correction.writer,
        page=row.correction.page,
        language=row.correction.language,
        source=CORRECTIONS if row.first.chosen_by == SAMPLE else ASKED_FOR,
        split="train",
        width=image.width,
        height=image.height,
    )
