"""The tests that docs/promises.md names."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "promises.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def promised_tests() -> list[tuple[str, str]]:
    """Return (file, test) of every promise, in the page's order."""
    return _TEST.findall(PAGE.read_text(encoding="utf-8"))


def rows() -> list[str]:
    """Return the page's rows of promises: those of tables whose last column is the test."""
    kept, inside = [], False
    for line in PAGE.read_text(encoding="utf-8").split("\n"):
        if not line.startswith("|"):
            inside = False
        elif line.endswith("| test |"):
            inside = True
        elif inside and not line.startswith("|---"):
            kept.append(line)
    return kept
