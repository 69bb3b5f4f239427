"""The tests that docs/promises.md names."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "promises.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def promised_tests() -> list[tuple[str, str]]:
    """Return (file, test) of every promise, in the page's order."""
    return _TEST.findall(PAGE.read_text(encoding="utf-8"))


def rows() -> list[str]:
    """Return the page's rows of promises."""
    lines = PAGE.read_text(encoding="utf-8").split("\n")
    kept = [line for line in lines if line.startswith("| ") and "| test |" not in line]
    return [
        line for line in kept if "](" not in line and not re.fullmatch(r"\| [\w ,:0-9-]+ \| [0-9,. a-z]+ \|", line)
    ]
