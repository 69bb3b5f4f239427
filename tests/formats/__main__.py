"""Write the golden files that are missing; see `tests.formats`."""

import tempfile
from pathlib import Path

from tests.formats.known import FORMATS, GOLDEN


def write_missing() -> None:
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=GOLDEN) as folder:
        for one in FORMATS.values():
            if not one.golden.exists():
                fresh = Path(folder) / one.golden.name
                one.write(fresh)
                fresh.replace(one.golden)


if __name__ == "__main__":
    write_missing()
