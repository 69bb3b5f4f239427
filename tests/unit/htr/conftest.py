"""What tests of the recogniser share."""

import pytest

from htr.lines import LinesDataset, LinesWriter
from tests.conftest import make_line

WORDS = ("one two", "three", "seven", "eleven", "two ten", "nine")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> LinesDataset:
    """Sixty small lines: forty to train on, ten to choose by, ten to test with."""
    path = tmp_path_factory.mktemp("lines") / "d"
    with LinesWriter(path) as writer:
        for n in range(60):
            split = "val" if n % 6 == 4 else "test" if n % 6 == 5 else "train"
            writer.add(make_line(WORDS[n % 5], n, split=split, source="ab"[n % 2], language="eng"))
    return LinesDataset.open(path)
