import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import binom

from htr.errors import DataError, OutputError, SettingsError
from htr.profile import AS_SENT, EMBEDDING
from monitoring.columns import read_reference
from monitoring.drift import WATCHED, compare
from monitoring.verdict import EMBEDDING_NAME, PAGE, VERDICT, FeatureDrift, read_verdict, write_verdict
from tests.fakes import NOON, log_rows, profile_rows

REFERENCE = profile_rows(600, seed=1)


def with_column(table: pa.Table, name: str, values: object) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values))


def test_a_shifted_feature_is_found_and_reported_in_both_files(tmp_path: Path) -> None:
    current = log_rows(profile_rows(150, seed=2, slant=1.5, noise=-2), bundle_digest="sha256:ab")
    verdict, page = compare(REFERENCE, current, draw=True)
    assert verdict.state == "drift"
    assert {f.name: f.direction for f in verdict.drifted} == {"slant": "higher", "noise": "lower"}
    assert 0.6 < verdict.drifted[0].shift * -1 < 1
    assert (verdict.rows, verdict.tested_rows, verdict.rows_wanting, verdict.reference_rows) == (150, 150, 0, 600)
    assert (verdict.bundle_digest, verdict.since) == ("sha256:ab", NOON)
    write_verdict(verdict, tmp_path / "report", page)
    assert json.loads((tmp_path / "report" / VERDICT).read_text()) == read_verdict(tmp_path / "report" / VERDICT)
    assert read_verdict(tmp_path / "report" / VERDICT) == verdict.to_dict()
    page = (tmp_path / "report" / PAGE).read_text()
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=", page), "it must open without a network"
    assert sorted(p.name for p in (tmp_path / "report").iterdir()) == [PAGE, VERDICT]


def test_a_wider_spread_around_the_same_middle_is_drift_and_called_so() -> None:
    current = profile_rows(200, seed=3)
    middle = REFERENCE["skew"].to_numpy().mean()
    current = with_column(
        current, "skew", (2.5 * (current["skew"].to_numpy() - middle) + middle).astype(np.float32)
    )
    (found,) = compare(REFERENCE, current)[0].drifted
    assert (found.name, found.direction) == ("skew", "same place, other spread")


def test_lines_that_only_the_encoder_tells_apart_are_drift() -> None:
    current = profile_rows(200, seed=4, **dict.fromkeys(EMBEDDING[:4], 0.8))
    verdict, _ = compare(REFERENCE, log_rows(current, bundle_digest="sha256:ab"))
    assert [f.name for f in verdict.drifted] == [EMBEDDING_NAME]
    assert {example.feature for example in verdict.examples} == {EMBEDDING_NAME}


def test_what_was_sent_otherwise_is_told_and_raises_no_alarm() -> None:
    verdict, page = compare(REFERENCE, profile_rows(200, seed=5, width=200, height=100), draw=True)
    assert verdict.state == "quiet"
    assert page is not None
    assert "Dataset Drift is NOT detected" in page, "the page's headline repeats the verdict"
    assert {f.name for f in verdict.as_sent if f.drifted} == {"width", "height"}
    assert {f.name for f in verdict.as_sent} == set(AS_SENT)


def test_a_constant_is_quiet_until_it_becomes_another_constant() -> None:
    constant = with_column(REFERENCE, "blank_share", np.zeros(600))
    same = compare(constant, constant.slice(0, 100), features=["blank_share", "slant"])[0]
    assert same.state == "quiet"
    other = with_column(constant.slice(0, 100), "blank_share", np.ones(100))
    (drifted,) = compare(constant, other, features=["blank_share", "slant"])[0].drifted
    assert drifted.name == "blank_share"


@pytest.mark.parametrize("num_rows", [100, 250])
def test_windows_that_did_not_drift_alarm_as_often_as_alpha_says(num_rows: int) -> None:
    # Correlated, tied, skewed and constant features; alpha is large so that few windows tell much.
    alpha, num_windows, alarms = 0.1, 60, 0
    for seed in range(num_windows):
        rows = profile_rows(300 + num_rows, seed=1000 * num_rows + seed)
        alarms += compare(rows.slice(num_rows), rows.slice(0, num_rows), alpha=alpha)[0].state == "drift"
    assert binom.ppf(0.005, num_windows, alpha) <= alarms <= binom.ppf(0.995, num_windows, alpha)


def paged(num_pages: int, seed: int) -> tuple[np.ndarray, pa.Table]:
    """Return the page of each row, 10 to a page, and rows that differ more between pages than within."""
    rng = np.random.default_rng(seed)
    page = np.repeat(np.arange(num_pages), 10)
    rows = profile_rows(10 * num_pages, seed=seed)
    for name in WATCHED:
        values = rows[name].to_numpy() + 2 * rng.normal(size=num_pages)[page]
        rows = with_column(rows, name, values.astype(np.float32))
    return page, rows


def test_lines_of_one_page_count_as_one_where_requests_and_reference_say_what_belongs_together() -> None:
    alpha, num_windows = 0.1, 30
    alarms = {True: 0, False: 0}
    for seed in range(num_windows):
        page, rows = paged(45, seed)
        reference = rows.slice(150).append_column("group", pa.array(page[150:]))
        current = log_rows(rows.slice(0, 150), bundle_digest="sha256:ab")
        current = with_column(current, "request_id", [f"request {n}" for n in page[:150]])
        for by_request in alarms:
            verdict, _ = compare(reference, current, alpha=alpha, by_request=by_request)
            alarms[by_request] += verdict.state == "drift"
            assert (verdict.shuffled, verdict.groups) == ("groups" if by_request else "rows", 15)
    assert alarms[True] <= binom.ppf(0.995, num_windows, alpha)
    assert alarms[False] > num_windows / 2, "this is what shuffling pages is there for"


def test_few_requests_of_many_lines_are_not_enough() -> None:
    page, rows = paged(40, seed=1)
    reference = rows.slice(200).append_column("group", pa.array(page[200:]))
    current = with_column(log_rows(rows.slice(0, 200), bundle_digest=""), "request_id", ["a"] * 100 + ["b"] * 100)
    verdict, page_html = compare(reference, current, draw=True)
    assert (verdict.state, verdict.rows_wanting, verdict.groups, page_html) == ("not_enough", 300, 2, None)
    assert compare(reference, current, by_request=False)[0].state != "not_enough"


def test_a_large_window_is_sampled_and_still_named_whole() -> None:
    verdict, _ = compare(REFERENCE, profile_rows(12_000, seed=6, slant=0.5))
    assert (verdict.state, verdict.rows, verdict.tested_rows) == ("drift", 12_000, 5_000)


def test_too_few_rows_say_how_many_are_wanting_and_leave_no_older_page(tmp_path: Path) -> None:
    (tmp_path / PAGE).write_text("of an earlier check")
    verdict, page = compare(REFERENCE, profile_rows(60, seed=4), draw=True)
    write_verdict(verdict, tmp_path, page)
    assert (verdict.state, verdict.rows_wanting, verdict.features) == ("not_enough", 40, ())
    assert [p.name for p in tmp_path.iterdir()] == [VERDICT]


def test_a_log_without_rows_is_not_enough_rather_than_an_error() -> None:
    verdict, _ = compare(REFERENCE, log_rows(profile_rows(0, seed=0), bundle_digest=""))
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
        compare(REFERENCE, broken)
    with pytest.raises(DataError, match=f"reference profile: .*{message}"):
        compare(broken, current)


def test_a_reference_without_rows_is_refused() -> None:
    with pytest.raises(DataError, match="reference profile: no rows"):
        compare(profile_rows(0, seed=0), profile_rows(100, seed=5))


@pytest.mark.parametrize(
    "settings", [{"alpha": 0.0}, {"alpha": 1.5}, {"alpha": 1e-5}, {"min_rows": 0}, {"features": []}]
)
def test_settings_without_a_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        compare(REFERENCE, REFERENCE, **settings)  # type: ignore[arg-type]


def test_an_output_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="taken: cannot be written"):
        write_verdict(compare(REFERENCE, profile_rows(5, seed=4))[0], tmp_path / "taken", None)


def test_a_feature_says_where_it_went() -> None:
    values = {"name": "slant", "p_value": 0.0, "threshold": 0.1, "reference_median": 1.0, "current_median": 1.0}
    assert FeatureDrift(**values, shift=0.01, drifted=True).direction == "same place, other spread"
    assert FeatureDrift(**values, shift=0.01, drifted=False).direction == "same place"
    assert FeatureDrift(**values, shift=-0.2, drifted=True).direction == "lower"


@pytest.mark.parametrize("content", ["", "[]", '{"format_version": 1}', '{"format_version": 9, "state": "quiet"}'])
def test_a_file_that_is_no_verdict_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / VERDICT).write_text(content)
    with pytest.raises(DataError, match=VERDICT):
        read_verdict(tmp_path / VERDICT)


def test_a_verdict_that_contradicts_itself_or_is_of_another_version_is_refused(tmp_path: Path) -> None:
    good = compare(REFERENCE, profile_rows(5, seed=4))[0].to_dict()
    for change, message in ({"state": "drift"}, "contradicts"), ({"format_version": 4}, "format version 4"):
        (tmp_path / VERDICT).write_text(json.dumps({**good, **change}))
        with pytest.raises(DataError, match=message):
            read_verdict(tmp_path / VERDICT)


def test_a_reference_of_another_profile_version_or_of_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "reference.parquet"
    pq.write_table(REFERENCE, file)
    assert read_reference(file).equals(REFERENCE)
    for metadata, said in ({"profile_version": "99"}, "99"), ({"other": "1"}, "unknown"), (None, "unknown"):
        pq.write_table(REFERENCE.replace_schema_metadata(metadata), file)
        with pytest.raises(DataError, match=rf"profile version {said}, expected 2; evaluate the model again"):
            read_reference(file)
    file.write_bytes(b"not Parquet")
    with pytest.raises(DataError, match=r"reference\.parquet"):
        read_reference(file)
