"""The container image that every step runs in; the one place that reads the environment at import.

KFP's cache key holds the image string, so a tag must name the code: compile with QUILLFLOW_IMAGE set to a tag
that carries the git commit.
"""

import os

from htr.errors import SettingsError

PIPELINE_IMAGE = os.environ.get("QUILLFLOW_IMAGE", "quillflow/components:dev")


def gpus() -> int:
    """Return the number of GPUs that the compiled train step asks for; 0 for clusters without.

    Raises:
        SettingsError: QUILLFLOW_GPUS is no such number.
    """
    return _count("QUILLFLOW_GPUS", 1)


def trials_at_once() -> int:
    """Return how many trials of a search the compiled pipeline runs side by side; 0 for all.

    Raises:
        SettingsError: QUILLFLOW_TRIALS_AT_ONCE is no such number.
    """
    return _count("QUILLFLOW_TRIALS_AT_ONCE", 4)


def _count(variable: str, default: int) -> int:
    text = os.environ.get(variable, "") or str(default)
    if not (text.isascii() and text.isdigit()):
        raise SettingsError(f"{variable}: expected a whole number, 0 or more, got {text!r}")
    return int(text)
