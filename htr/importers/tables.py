"""A CSV table on disk in, rows of text out; what is not a sound table is refused with the remedy.

Cells stay text: "NA", "null" and "007" are what somebody wrote, not missing values or numbers.
"""

import csv
import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from htr.errors import DataError

_DELIMITERS = ",;\t"
_EXTRA = "\0extra"  # no header can hold it


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of a table."""

    number: int
    """Line of the file on which the row ends, from 1."""
    cells: Mapping[str, str]
    """Every column of the header, trimmed; "" where the row was too short."""
    num_extra: int
    """Filled cells beyond the header: most often an unquoted comma in a text."""
    unusable: frozenset[str] = frozenset()
    """Columns whose value is none that a cell could hold, where a format has such values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A CSV table in UTF-8 with a header."""

    path: Path
    columns: tuple[str, ...]
    delimiter: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Its own name of a column -> the name that stands in ``columns``."""

    def rows(self) -> Iterator[Row]:
        """Yield the rows in order, one at a time.

        Raises:
            DataError: the table is not UTF-8, or a quotation is not closed.
        """
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as stream:
                # Strict, because a lenient reader swallows many rows into one cell after a stray quotation mark.
                reader = csv.DictReader(
                    stream,
                    fieldnames=self.columns,
                    restkey=_EXTRA,
                    restval="",
                    delimiter=self.delimiter,
                    strict=True,
                )
                next(reader, None)  # the header
                for cells in reader:
                    extra = cells.pop(_EXTRA, ())
                    trimmed = {column: value.strip() for column, value in cells.items()}
                    yield Row(
                        number=reader.line_num, cells=trimmed, num_extra=sum(1 for cell in extra if cell.strip())
                    )
        except UnicodeDecodeError as error:
            raise _not_utf8(self.path) from error
        except csv.Error as error:
            raise DataError(
                f"{self.path}: not a sound CSV table ({error}, near line {reader.line_num}); "
                'put the text in quotation marks and double those within it: "he said ""no"""'
            ) from error
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error.strerror})") from error


def open_table(path: Path) -> Table:
    """Read a table's header; columns are parted by commas, semicolons or tabs.

    Raises:
        DataError: there is no such file, it is not UTF-8, it is empty, or a column occurs twice.
    """
    if path.is_dir():
        raise DataError(f"{path}: a folder, where a CSV table was expected; name the .csv file itself")
    if not path.is_file():
        raise DataError(f"{path}: no such file; give the path of a CSV table")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check who may read it") from error
    delimiter = max(_DELIMITERS, key=first.count)
    columns = tuple(name.strip() for name in next(csv.reader([first], delimiter=delimiter), []))
    if not any(columns):
        raise DataError(f"{path}: its first line is empty; expected a header, then one row a line of writing")
    double = sorted({name for name in columns if name and columns.count(name) > 1})
    if double:
        raise DataError(f"{path}: column {_listed(double)} occurs twice in the header; rename or remove one")
    return Table(path=path, columns=columns, delimiter=delimiter)


def require_columns(table: Table, names: Collection[str], *, synonyms: Mapping[str, str]) -> None:
    """Make sure that a table has some columns.

    Args:
        table: an opened table.
        names: columns that must be there.
        synonyms: other words for them, lower case, used to tell which column to rename.

    Raises:
        DataError: a column is missing.
    """
    missing = [name for name in names if name not in table.columns]
    if missing:
        remedies = "; ".join(_remedy(name, table.columns, synonyms) for name in missing)
        raise DataError(
            f"{table.path}: column {_listed(missing)} is missing; found {_listed(table.columns)}; {remedies}"
        )


def _remedy(name: str, columns: Collection[str], synonyms: Mapping[str, str]) -> str:
    by_folded = {column.casefold(): column for column in columns}
    known = [column for folded, column in by_folded.items() if synonyms.get(folded) == name]
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    similar = known or [by_folded[folded] for folded in close]
    return f"rename {similar[0]!r} to {name!r}" if similar else f"add a column {name!r} to the header"


def _listed(names: Collection[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _not_utf8(path: Path) -> DataError:
    return DataError(f'{path}: not UTF-8 text; save it again as UTF-8 (in a spreadsheet: "CSV UTF-8")')
