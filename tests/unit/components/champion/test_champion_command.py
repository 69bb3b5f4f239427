from pathlib import Path

import pytest

from components.champion.__main__ import main


@pytest.mark.usefixtures("mlflow_alone")
def test_where_there_is_no_champion_the_command_says_so_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert main(["--out", str(tmp_path / "bundle"), "--tracking-uri", uri, "--model-name", "letters"]) == 2
    assert "letters: no champion yet" in capsys.readouterr().err


@pytest.mark.usefixtures("mlflow_alone")
def test_without_an_address_of_mlflow_it_says_what_to_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path / "bundle")]) == 2
    assert "MLFLOW_TRACKING_URI" in capsys.readouterr().err
