import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import binom, ks_2samp

from htr.errors import DataError, OutputError, SettingsError
from htr.profile import FEATURES
from monitoring.drift import compare, read_reference
from monitoring.verdict import PAGE, VERDICT, FeatureDrift, read_verdict
from tests.fakes import NOON, log_rows, profile_rows

REFERENCE = profile_rows(600, seed=1)


def with_column(table: pa.Table, name: str, values: object) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values))


def test_a_shifted_feature_is_found_and_reported_in_both_files(tmp_path: Path) -> None:
    current = log_rows(profile_rows(150, seed=2, slant=1.5, noise=-2), bundle_digest="sha256:ab")
    verdict = compare(REFERENCE, current, out=tmp_path / "report")
    assert verdict.state == "drift"
    assert {f.name: f.direction for f in verdict.drifted} == {"slant": "higher", "noise": "lower"}
    assert (verdict.rows, verdict.rows_wanting, verdict.reference_rows) == (150, 0, 600)
    assert verdict.bundle_digest == "sha256:ab"
    assert verdict.since == NOON
    assert json.loads((tmp_path / "report" / VERDICT).read_text()) == read_verdict(tmp_path / "report" / VERDICT)
    assert read_verdict(tmp_path / "report" / VERDICT) == verdict.to_dict()
    page = (tmp_path / "report" / PAGE).read_text()
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=", page), (
        "the page must open without a network"
    )
    assert sorted(p.name for p in (tmp_path / "report").iterdir()) == [PAGE, VERDICT]


def test_evidently_computes_the_very_p_values_that_scipy_does() -> None:
    current = profile_rows(120, seed=3)
    verdict = compare(REFERENCE, current, out=None)
    expected = {name: ks_2samp(REFERENCE[name], current[name]).pvalue for name in FEATURES}
    assert {f.name: f.p_value for f in verdict.features} == pytest.approx(expected, rel=1e-12)
    assert {f.threshold for f in verdict.features} == {0.01 / len(FEATURES)}
    assert verdict.state == "quiet"


def test_a_constant_is_quiet_until_it_becomes_another_constant() -> None:
    constant = with_column(REFERENCE, "blank_share", np.zeros(600))
    same = compare(constant, constant.slice(0, 100), out=None, features=["blank_share", "paper_level"])
    assert [f.p_value for f in same.features] == [1, 1]
    other = with_column(constant.slice(0, 100), "blank_share", np.ones(100))
    (drifted,) = compare(constant, other, out=None, features=["blank_share", "paper_level"]).drifted
    assert drifted.name == "blank_share"


@pytest.mark.parametrize("num_rows", [100, 500])
def test_windows_that_did_not_drift_alarm_no_more_often_than_alpha_allows(num_rows: int) -> None:
    # Independent continuous features leave Bonferroni the least slack: anything else alarms more rarely.
    rng, alpha, num_windows = np.random.default_rng(num_rows), 0.01, 400
    alarms = 0
    for _ in range(num_windows):
        reference, current = rng.random((500, len(FEATURES))), rng.random((num_rows, len(FEATURES)))
        alarms += ks_2samp(reference, current).pvalue.min() <= alpha / len(FEATURES)
    assert alarms <= binom.ppf(0.975, num_windows, alpha)


def test_too_few_rows_say_how_many_are_wanting_and_leave_no_older_page(tmp_path: Path) -> None:
    (tmp_path / PAGE).write_text("of an earlier check")
    verdict = compare(REFERENCE, profile_rows(60, seed=4), out=tmp_path)
    assert (verdict.state, verdict.rows_wanting, verdict.features) == ("not_enough", 40, ())
    assert [p.name for p in tmp_path.iterdir()] == [VERDICT]


def test_a_log_without_rows_is_not_enough_rather_than_an_error() -> None:
    verdict = compare(REFERENCE, log_rows(profile_rows(0, seed=0), bundle_digest=""), out=None)
    assert (verdict.state, verdict.rows_wanting, verdict.since) == ("not_enough", 100, None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "no column 'slant'"),
        ([float("nan")] * 100, "'slant' is empty"),
        (pa.nulls(100), "'slant' is empty"),
        ([0.0] * 98 + [float("inf"), float("nan")], r"'slant' has 2 of 100 .* first in row 98 \(inf\)"),
        (["upright"] * 100, "'slant' must hold numbers, it holds string"),
    ],
)
def test_a_column_that_cannot_be_compared_is_named(values: object, message: str) -> None:
    current = profile_rows(100, seed=5)
    broken = current.drop_columns("slant") if values is None else with_column(current, "slant", values)
    with pytest.raises(DataError, match=f"prediction log: .*{message}"):
        compare(REFERENCE, broken, out=None)
    with pytest.raises(DataError, match=f"reference profile: .*{message}"):
        compare(broken, current, out=None)


def test_a_reference_without_rows_is_refused() -> None:
    with pytest.raises(DataError, match="reference profile: no rows"):
        compare(profile_rows(0, seed=0), profile_rows(100, seed=5), out=None)


@pytest.mark.parametrize("settings", [{"alpha": 0.0}, {"alpha": 1.5}, {"min_rows": 0}, {"features": []}])
def test_settings_without_a_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        compare(REFERENCE, REFERENCE, out=None, **settings)  # type: ignore[arg-type]


def test_an_output_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="taken: cannot be written"):
        compare(REFERENCE, profile_rows(5, seed=4), out=tmp_path / "taken")


def test_a_drifted_feature_with_an_equal_median_says_that_its_spread_changed() -> None:
    values = {"name": "slant", "p_value": 0.0, "threshold": 0.1, "reference_median": 1.0, "current_median": 1.0}
    assert FeatureDrift(**values, drifted=True).direction == "same median, other spread"
    assert FeatureDrift(**values, drifted=False).direction == "same median"


@pytest.mark.parametrize("content", ["", "[]", '{"format_version": 1}', '{"format_version": 9, "state": "quiet"}'])
def test_a_file_that_is_no_verdict_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / VERDICT).write_text(content)
    with pytest.raises(DataError, match=VERDICT):
        read_verdict(tmp_path / VERDICT)


def test_a_verdict_that_contradicts_itself_or_is_of_another_version_is_refused(tmp_path: Path) -> None:
    good = compare(REFERENCE, profile_rows(5, seed=4), out=None).to_dict()
    for change, message in ({"state": "drift"}, "contradicts"), ({"format_version": 2}, "format version 2"):
        (tmp_path / VERDICT).write_text(json.dumps({**good, **change}))
        with pytest.raises(DataError, match=message):
            read_verdict(tmp_path / VERDICT)


def test_a_reference_of_another_profile_version_or_of_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "reference.parquet"
    pq.write_table(REFERENCE, file)
    assert read_reference(file).equals(REFERENCE)
    for metadata, said in ({"profile_version": "99"}, "99"), ({"other": "1"}, "unknown"), (None, "unknown"):
        pq.write_table(REFERENCE.replace_schema_metadata(metadata), file)
        with pytest.raises(DataError, match=rf"profile version {said}, expected 1; evaluate the model again"):
            read_reference(file)
    file.write_bytes(b"not Parquet")
    with pytest.raises(DataError, match=r"reference\.parquet"):
        read_reference(file)
