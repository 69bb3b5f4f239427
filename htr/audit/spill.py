"""Images of some lines, kept on disk while pairs of them are compared: a million would not fit in memory."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO

import numpy as np

from htr.audit.ledger import Numbers
from htr.audit.measures import each_image
from htr.image import Grey, decode
from htr.lines import LinesDataset


class _Spilled(Mapping[int, Grey]):
    def __init__(self, rows: Numbers, ends: Numbers, file: IO[bytes]) -> None:
        self._rows, self._ends, self._file = rows, ends, file

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows.tolist())

    def __getitem__(self, row: int) -> Grey:
        at = int(np.searchsorted(self._rows, row))
        if at == len(self._rows) or self._rows[at] != row:
            raise KeyError(row)
        begin = int(self._ends[at - 1]) if at else 0
        self._file.seek(begin)
        return decode(self._file.read(int(self._ends[at]) - begin))


@contextmanager
def spilled_greys(dataset: LinesDataset, rows: Numbers) -> Iterator[Mapping[int, Grey]]:
    """Open the images of some rows; each is decoded when it is asked for.

    Args:
        dataset: where they are.
        rows: ascending; each image must be decodable.

    Raises:
        DataError: a shard cannot be read to its end.
    """
    with tempfile.TemporaryFile() as file:
        ends = np.zeros(len(rows), np.int64)
        for at, (_, data) in enumerate(each_image(dataset, rows)):
            file.write(data)
            ends[at] = file.tell()
        yield _Spilled(rows, ends, file)
