"""The shared lot of real handwriting, which lies beside the project where there is one."""

from pathlib import Path

import pytest

SHARED_DATA: Path = (Path(__file__).parents[1] / "../shared/data").resolve()
"""Described in its DATASET.md; read-only."""

needs_shared = pytest.mark.skipif(
    not (SHARED_DATA / "manifest.csv").is_file(),
    reason=f"the shared lot of real lines is not there ({SHARED_DATA / 'manifest.csv'})",
)
