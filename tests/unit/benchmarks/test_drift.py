"""The benches on drift: that they ask Evidently for what it would say, and draw windows as they claim."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.detection import FOREIGN_ROWS, ROWS, cases, draw
from benchmarks.drift_cases import load
from benchmarks.false_alarms import evidently_share
from htr.profile import FEATURES
from tests.fakes import profile_rows


@pytest.mark.parametrize("reference_rows", [300, 1100])
def test_evidentlys_tests_alone_say_what_its_report_says(reference_rows: int) -> None:
    from evidently import Report
    from evidently.presets import DataDriftPreset

    reference = profile_rows(reference_rows, seed=1).select(FEATURES)
    window = profile_rows(120, seed=2, slant=0.3, noise=0.4, skew=0.2, entropy=0.1).select(FEATURES)
    snapshot = Report([DataDriftPreset()]).run(window.to_pandas(), reference.to_pandas())
    assert evidently_share(reference, window) == pytest.approx(snapshot.dict()["metrics"][0]["value"]["share"])


def test_windows_hold_what_their_case_says_and_the_reference_none_of_their_lines(tmp_path: Path) -> None:
    count = 900
    kinds = np.repeat(["plain", "plain", "blur"], count // 3)
    table = pa.table(
        {
            "id": [f"line-{n % 600}" for n in range(count)],  # a blurred line has the id of the plain one
            "source": ["names" if 300 <= n < 450 else "copiste" for n in range(count)],
            "language": ["eng" if 450 <= n < 520 else "fra" for n in range(count)],
            "split": ["test"] * count,
            "kind": kinds,
            "strength": np.where(kinds == "blur", 2.0, 0.0),
        }
    )
    pq.write_table(table, tmp_path / "cache.parquet")
    found = {case.name: case for case in cases(load(tmp_path / "cache.parquet"))}
    ids = np.array(table["id"].to_pylist())
    for name, own, kind in (
        ("blur 2", ROWS, "blur"),
        (f"another language (English, {FOREIGN_ROWS} of {ROWS} lines)", FOREIGN_ROWS, "plain"),
    ):
        window, reference = draw(found[name], ids, np.random.default_rng(0))
        assert len(np.unique(window)) == ROWS
        assert found[name].window[window].sum() == own
        assert set(kinds[window[:own]]) == {kind}
        assert set(kinds[reference]) == {"plain"}
        assert not set(ids[window]) & set(ids[reference])
