"""What tests of the checks and of retraining share."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from htr.bundle import REFERENCE, Bundle, amend_bundle
from tests.fakes import profile_rows


@pytest.fixture
def champion(tiny_bundle: Path, tmp_path: Path) -> Bundle:
    sink = pa.BufferOutputStream()
    pq.write_table(profile_rows(300, seed=1), sink)
    reference = sink.getvalue().to_pybytes()
    return amend_bundle(Bundle.open(tiny_bundle), tmp_path / "champion", {REFERENCE: reference})
