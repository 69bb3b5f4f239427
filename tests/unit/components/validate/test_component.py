"""The validate step as KFP calls it."""

from pathlib import Path

import pytest
from kfp import dsl

from components.validate.component import validate
from htr.errors import DataError
from tests.datasets import rewrite, sound_lines, write_lines
from tests.pages import read_offline


def run(path: Path, out: Path) -> dsl.Metrics:
    metrics = dsl.Metrics(uri=str(out / "metrics"))
    validate.python_func(
        dataset=dsl.Dataset(uri=str(path)), metrics=metrics, report=dsl.HTML(uri=str(out / "step" / "report"))
    )
    return metrics


def test_a_sound_dataset_passes_and_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_lines(tmp_path / "lines", sound_lines())
    metrics = run(tmp_path / "lines", tmp_path)
    assert metrics.metadata == {"num_lines": 64, "checks": 29, "errors": 0, "warnings": 0}
    assert "» validate: 29 checks, 0 errors, 0 warnings" in capsys.readouterr().out
    assert "Fit for training" in read_offline((tmp_path / "step" / "report").read_text(encoding="utf-8")).text


def test_errors_stop_the_run_after_the_report_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = write_lines(tmp_path / "lines", sound_lines())
    rewrite(dataset, lambda rows: [row | {"writer": "one hand"} for row in rows])
    with pytest.raises(DataError, match="writers_in_one_split: 64 of 64 lines"):
        run(tmp_path / "lines", tmp_path)
    assert "✗   1. writers_in_one_split: 64 of 64 lines" in capsys.readouterr().out
    assert "Not fit for training" in (tmp_path / "step" / "report").read_text(encoding="utf-8")


def test_a_folder_that_is_no_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a lines dataset"):
        run(tmp_path, tmp_path)
