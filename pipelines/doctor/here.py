"""This machine: what is installed, the model that ships, room on the disk."""

import importlib.util
import shutil
from pathlib import Path

from htr.pretrained import PRETRAINED, resolve
from pipelines.doctor.findings import Findings

NEEDED = {
    "kfp": "pipeline",
    "mlflow": "pipeline",
    "great_expectations": "pipeline",
    "torch": "train",
    "kserve": "serving",
}
"""Packages, and the extra that brings each."""
LEAST_FREE, LITTLE_FREE = 2 * 2**30, 10 * 2**30
"""A training on 10,000 lines leaves about 1 GiB; KFP copies the dataset once a step."""


def check_here(found: Findings, root: Path) -> None:
    """Check this machine as a place where pipelines run or are submitted from."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        extras = ",".join(sorted({NEEDED[name] for name in missing}))
        found.warn(
            "packages", f"missing: {', '.join(missing)}", f"pip install 'quillflow[{extras}]' to run steps here"
        )
    else:
        found.ok("packages", "everything that the steps and the server need")
    with found.looking("model that ships", "install the wheel anew"):
        found.ok(
            "model that ships", f"{sum(file.stat().st_size for file in resolve(PRETRAINED).iterdir()) >> 20} MiB"
        )
    place = root.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    said, do = f"{free / 2**30:,.1f} GiB free at {place}", "make room, or give --root another folder"
    if free < LEAST_FREE:
        found.fail("disk", said, do)
    elif free < LITTLE_FREE:
        found.warn("disk", said, do)
    else:
        found.ok("disk", said)
