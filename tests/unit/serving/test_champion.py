import logging
import shutil
import time
from pathlib import Path

import pytest

from htr.bundle import Bundle
from htr.errors import BundleError, QuillflowError, ServiceError, SettingsError
from serving.champion import KEPT_IN_CACHE, ModelUri, Registry
from serving.follow import Champion
from serving.served import serve_bundle
from tests.conftest import line_png
from tests.servers import ModelRegistry, untaught_bundle, wait_until

CHAMPION = ModelUri(name="quillflow", alias="champion")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("bundles")
    return [untaught_bundle(folder / str(seed), seed=seed) for seed in range(2)]


@pytest.fixture
def store(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(tmp_path)


@pytest.fixture
def registry(store: ModelRegistry, tmp_path: Path) -> Registry:
    return Registry(store.uri, tmp_path / "cache")


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("models:/quillflow@champion", ModelUri(name="quillflow", alias="champion")),
        ("models:/my model/12", ModelUri(name="my model", version="12")),
    ],
)
def test_a_model_uri_reads_back_as_it_was(text: str, uri: ModelUri) -> None:
    assert ModelUri.parse(text) == uri
    assert str(uri) == text


@pytest.mark.parametrize(
    "text", ["", "quillflow", "models:/q", "models:/q/Production", "models:/a/b@c", "runs:/1/m"]
)
def test_anything_else_is_no_model_uri(text: str) -> None:
    with pytest.raises(SettingsError, match="models:/NAME@ALIAS"):
        ModelUri.parse(text)


def test_a_pyfunc_model_is_served_from_the_bundle_among_its_artifacts(
    store: ModelRegistry, registry: Registry, bundles: list[Path]
) -> None:
    store.point("champion", store.add_pyfunc(bundles[0]))
    served = Champion(registry, CHAMPION).served
    assert served.version == "1"
    assert served.recogniser.digest == Bundle.open(bundles[0]).digest


def test_a_moved_alias_is_followed_and_readers_keep_what_they_have(
    store: ModelRegistry, registry: Registry, bundles: list[Path]
) -> None:
    versions = [store.add(bundle) for bundle in bundles]
    store.point("champion", versions[0])
    champion = Champion(registry, CHAMPION)
    before = champion.served
    assert not champion.check()

    store.point("champion", versions[1])
    assert champion.check()
    image = line_png("some words to read")
    assert champion.served.version == versions[1]
    for served, bundle in zip((before, champion.served), bundles, strict=True):
        assert served.recogniser.read([image]) == serve_bundle(bundle).recogniser.read([image])

    store.point("champion", versions[0])
    assert champion.check()
    assert champion.served.version == versions[0]


def test_the_watcher_takes_a_new_champion_up_by_itself(
    store: ModelRegistry, registry: Registry, bundles: list[Path]
) -> None:
    store.point("champion", store.add(bundles[0]))
    champion = Champion(registry, CHAMPION, poll_s=0.05)
    champion.start()
    store.point("champion", store.add(bundles[1]))
    wait_until(lambda: champion.served.version == "2")
    champion.stop()


def test_a_version_in_the_uri_is_served_for_good(
    store: ModelRegistry, registry: Registry, bundles: list[Path]
) -> None:
    first, second = (store.add(bundle) for bundle in bundles)
    champion = Champion(registry, ModelUri(name="quillflow", version=first), poll_s=0.01)
    champion.start()
    store.point("champion", second)
    assert not champion.check()
    assert champion.served.version == first
    champion.stop()


def test_an_unusable_new_champion_leaves_the_old_one_serving_and_warns_once(
    store: ModelRegistry, registry: Registry, bundles: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    altered = tmp_path / "altered"
    shutil.copytree(bundles[1], altered)
    (altered / "model.onnx").write_bytes(b"not a network")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "readme.txt").write_text("no bundle here")
    store.point("champion", store.add(bundles[0]))
    champion = Champion(registry, CHAMPION)
    for files, reason in (
        (altered, "2/model.onnx: altered"),
        (empty, "3: expected one bundle in it, found 0"),
    ):
        store.point("champion", store.add(files))
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="serving"):
            assert not champion.check()
            assert not champion.check()
        (record,) = (record for record in caplog.records if record.name.startswith("serving"))
        assert "still serving version 1" in record.getMessage()
        assert reason in record.getMessage()
        assert champion.served.version == "1"
    store.client.delete_registered_model_alias("quillflow", "champion")
    assert not champion.check()

    store.point("champion", store.add(bundles[1]))
    assert champion.check()
    assert champion.served.version == "4"


def test_a_damaged_cache_is_fetched_again(store: ModelRegistry, registry: Registry, bundles: list[Path]) -> None:
    store.point("champion", store.add(bundles[0]))
    Champion(registry, CHAMPION)
    (cached,) = registry.cache.iterdir()
    (cached / "model.onnx").write_bytes(b"")
    assert Champion(registry, CHAMPION).served.recogniser.read([line_png("a")])
    assert list(registry.cache.iterdir()) == [cached]


def test_a_model_registered_anew_is_not_taken_for_the_old_one_of_the_same_number(
    store: ModelRegistry, registry: Registry, bundles: list[Path]
) -> None:
    store.point("champion", store.add(bundles[0]))
    champion = Champion(registry, CHAMPION)
    store.client.delete_registered_model("quillflow")
    store.client.create_registered_model("quillflow")
    store.point("champion", store.add(bundles[1]))
    assert champion.check()
    assert champion.served.version == "1"
    assert champion.served.recogniser.digest == Bundle.open(bundles[1]).digest


def test_the_cache_keeps_the_newest_few(store: ModelRegistry, registry: Registry, bundles: list[Path]) -> None:
    for _ in range(KEPT_IN_CACHE + 2):
        registry.load(registry.resolve(ModelUri(name="quillflow", version=store.add(bundles[0]))))
        time.sleep(0.01)
    kept = sorted(path.name.split("-")[1] for path in registry.cache.iterdir())
    assert kept == ["3", "4", "5"]


@pytest.mark.parametrize("uri", ["models:/quillflow@nobody", "models:/quillflow/99", "models:/other@champion"])
def test_what_the_registry_does_not_have_is_said_at_start(registry: Registry, uri: str) -> None:
    with pytest.raises(ServiceError, match=f"looking up {uri} failed .*not found"):
        Champion(registry, ModelUri.parse(uri))


def test_a_version_without_a_bundle_is_refused_at_start(
    store: ModelRegistry, registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("a")
    store.point("champion", store.add(tmp_path / "files"))
    with pytest.raises(BundleError, match="expected one bundle in it, found 0; register it again"):
        Champion(registry, CHAMPION)
    assert list(registry.cache.iterdir()) == []


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "sqlite:///nowhere/mlflow.db", "nonsense://x"])
def test_mlflow_away_is_one_clear_message(uri: str, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(QuillflowError, match=f"MLflow at {uri}: ") as away:
        Champion(Registry(uri, tmp_path), CHAMPION)
    assert "\n" not in str(away.value)
    assert time.monotonic() - began < 15
