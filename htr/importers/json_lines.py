"""A JSON Lines file in, rows of text out: one object a line, as label tools and Hugging Face folders write them.

Texts stay as they are and whole numbers become their digits; null is a missing value. Anything else in a field
that is used makes the row useless, not the file.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from htr.errors import DataError
from htr.importers.tables import Row, Table

SUFFIXES = (".jsonl", ".ndjson")
MAX_LINE = 2**20
"""Characters; a longer line is no row of a table."""


class JsonTable(Table):
    """A file of one JSON object a line; its columns are all keys that occur."""

    def rows(self) -> Iterator[Row]:
        """Yield the rows in order, one at a time.

        Raises:
            DataError: a line is not a JSON object, or not UTF-8.
        """
        for number, values in _objects(self.path):
            cells = {self.renamed.get(name, name): value for name, value in values.items()}
            unusable = (n for n, v in cells.items() if isinstance(v, bool) or not isinstance(v, str | int | None))
            yield Row(
                number=number,
                cells={name: _text(cells.get(name)) for name in self.columns},
                num_extra=0,
                unusable=frozenset(unusable),
            )


def open_json_table(path: Path) -> JsonTable:
    """Read a JSON Lines file once, for its keys.

    Raises:
        DataError: there is no such file, it is empty, or a line is not a JSON object.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; give the path of a .jsonl file")
    columns: dict[str, None] = {}
    for _, cells in _objects(path):
        columns.update(dict.fromkeys(cells))
    if not columns:
        raise DataError(f"{path}: is empty; expected one JSON object a line of writing")
    return JsonTable(path=path, columns=tuple(columns), delimiter="")


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig") as stream:
            number = 0
            while text := stream.readline(MAX_LINE + 1):
                number += 1
                if len(text) > MAX_LINE:
                    raise DataError(
                        f"{path}, line {number}: is longer than {MAX_LINE} characters; write one row a line"
                    )
                if not text.strip():
                    continue
                value = json.loads(text)
                if not isinstance(value, dict):
                    raise DataError(
                        f'{path}, line {number}: expected {{"file_name": ..., "text": ...}}, got {text[:60]!r}'
                    )
                yield number, value
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text; save it again as UTF-8") from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits and deep nests, too
        raise DataError(f"{path}, line {number}: not JSON ({error}); write one object a line") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else "" if value is None else str(value)
