"""Every locked dependency and its licence, as its own metadata says: ``make licences``."""

import csv
import re
import sys
from importlib.metadata import PackageNotFoundError, metadata

from tests.servers import ROOT

REFUSED = re.compile(r"\bA?GPL|Affero|SSPL|BUSL|Commons Clause|proprietary|NonCommercial|CC-BY-NC", re.IGNORECASE)
ALLOWED = re.compile(r"\bLGPL|Lesser", re.IGNORECASE)
"""Used as they are, without changes: their terms reach no further."""
BY_FILE = {"atheris": "Apache-2.0", "huey": "MIT", "sigstore-models": "MIT"}
"""Package -> its licence as the file says that comes with it, where its metadata says nothing."""


def locked() -> list[str]:
    """Return the names of all locked packages."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    found = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines)
    return sorted({one[0] for one in found if one})


def licence_of(name: str) -> str | None:
    """Return what a package says of its licence in a few words; None where it is not installed here."""
    try:
        told = metadata(name)
    except PackageNotFoundError:
        return None
    classified = [
        one.rpartition(" :: ")[2] for one in told.get_all("Classifier", []) if one.startswith("License ::")
    ]
    text = told.get("License-Expression") or ", ".join(classified) or (told.get("License") or "").strip()
    return " ".join(text.split())[:80] or BY_FILE.get(name, "not said")


def is_refused(licence: str) -> bool:
    """Return whether a licence would bind what is built on the package, or is not known."""
    return licence == "not said" or bool(REFUSED.search(licence) and not ALLOWED.search(licence))


def main() -> int:
    """Print the table; return 1 where a licence is refused."""
    table = [(name, licence) for name in locked() if (licence := licence_of(name)) is not None]
    csv.writer(sys.stdout).writerows([("package", "licence"), *table])
    return 1 if [name for name, licence in table if is_refused(licence)] else 0


if __name__ == "__main__":
    sys.exit(main())
