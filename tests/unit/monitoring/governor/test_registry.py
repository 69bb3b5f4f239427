from dataclasses import replace
from pathlib import Path

import pytest

from htr.errors import ServiceError
from monitoring.governor.events import Champion
from monitoring.governor.registry import MlflowRegistry
from tests.servers import ModelRegistry

pytestmark = pytest.mark.usefixtures("mlflow_alone")


@pytest.fixture
def mlflow(tmp_path: Path, tiny_bundle: Path) -> ModelRegistry:
    made = ModelRegistry(tmp_path / "mlflow")
    for version in ("1", "2", "3"):
        assert made.add(tiny_bundle) == version
        made.client.set_model_version_tag("quillflow", version, "bundle_digest", f"sha256:{version}")
    made.client.set_model_version_tag("quillflow", "2", "cer", "0.2070")
    return made


def test_there_is_no_champion_before_there_is_a_database_a_model_or_an_alias(
    mlflow: ModelRegistry, tmp_path: Path
) -> None:
    assert MlflowRegistry(tracking_uri=f"sqlite:///{tmp_path}/none.db").champion() is None
    assert not (tmp_path / "none.db").exists()
    assert MlflowRegistry(tracking_uri=mlflow.uri, name="other").champion() is None
    assert MlflowRegistry(tracking_uri=mlflow.uri).champion() is None


def test_the_champion_is_told_with_the_one_before_it_and_its_error_rate(mlflow: ModelRegistry) -> None:
    registry = MlflowRegistry(tracking_uri=mlflow.uri)
    mlflow.point("champion", "1")
    assert registry.champion() == Champion(version="1", digest="sha256:1")
    mlflow.point("previous", "1")
    mlflow.point("champion", "2")
    assert registry.champion() == Champion(
        version="2", digest="sha256:2", previous="1", previous_digest="sha256:1", cer=0.207
    )


def test_a_version_tells_for_which_training_it_was_made(mlflow: ModelRegistry, tiny_bundle: Path) -> None:
    version = mlflow.add(tiny_bundle)
    registry = MlflowRegistry(tracking_uri=mlflow.uri)
    assert registry.asked_by(version) == "", "somebody trained it by hand"
    mlflow.client.set_model_version_tag("quillflow", version, "asked_by", "key-1")
    assert registry.asked_by(version) == "key-1"
    with pytest.raises(ServiceError, match="MLflow at"):
        registry.asked_by("99")


def test_the_alias_goes_back_once_and_a_second_try_changes_nothing(mlflow: ModelRegistry) -> None:
    registry = MlflowRegistry(tracking_uri=mlflow.uri)
    mlflow.point("previous", "1")
    mlflow.point("champion", "2")
    champion = registry.champion()
    assert champion is not None
    for _ in range(2):  # as after a kill between the act and its record
        assert registry.move_back(champion) == (True, "version 1 is champion again")
    assert registry.was_taken_back("sha256:2")
    assert not registry.was_taken_back("sha256:1")
    assert (now := registry.champion()) is not None
    assert (now.version, now.previous) == ("1", "")
    assert mlflow.client.get_model_version("quillflow", "2").tags["rolled_back"] == "true"


def test_a_version_whose_alias_was_moved_before_a_kill_gets_its_tag_all_the_same(mlflow: ModelRegistry) -> None:
    registry = MlflowRegistry(tracking_uri=mlflow.uri)
    mlflow.point("previous", "1")
    mlflow.point("champion", "2")
    champion = registry.champion()
    assert champion is not None
    mlflow.point("champion", "1")  # and killed
    assert registry.move_back(champion)[0]
    assert registry.was_taken_back("sha256:2")


def test_an_alias_that_somebody_else_moved_is_let_be(mlflow: ModelRegistry) -> None:
    registry = MlflowRegistry(tracking_uri=mlflow.uri)
    mlflow.point("previous", "1")
    mlflow.point("champion", "2")
    champion = registry.champion()
    assert champion is not None
    mlflow.point("champion", "3")
    moved, said = registry.move_back(champion)
    assert not moved
    assert said.startswith("version 3 is champion now")
    assert registry.move_back(replace(champion, previous=""))[0] is False


def test_a_registry_that_is_away_is_named() -> None:
    with pytest.raises(ServiceError, match=r"MLflow at http://127\.0\.0\.1:9"):
        MlflowRegistry(tracking_uri="http://127.0.0.1:9").champion()
