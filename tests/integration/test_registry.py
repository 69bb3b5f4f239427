"""What the steps keep in MLflow: versions of the registered model, their aliases, and the way back to a bundle."""

import io
import json
import time
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from mlflow import MlflowClient

from components import tracking
from components.champion.fetch import fetch_champion
from components.promote.aliases import move_champion
from components.register.publish import publish
from htr.bundle import REFERENCE, Bundle, amend_bundle
from htr.errors import DataError, ServiceError, SignatureError
from htr.lines import LinesDataset
from htr.recogniser import Recogniser
from htr.signing import SIGN_VARIABLE, VERIFY_VARIABLE, make_keys, verify_bundle
from htr.versions import find_version, open_store
from tests.conftest import line_png, make_line
from tests.datasets import write_lines
from tests.fakes import profile_rows
from tests.servers import ModelRegistry, untaught_bundle

DECISION = {"format_version": 1, "promote": True, "rule": "first", "reason": "no champion yet", "checks": []}
METRICS = {"cer": 0.125, "wer": 0.5, "exact_match": 0.25}
REPORTS = ("report.json", "report.html", "validation.html", "decision.json")
pytestmark = pytest.mark.usefixtures("mlflow_alone")


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> LinesDataset:
    path = tmp_path_factory.mktemp("data") / "lines"
    return write_lines(path, [make_line("one two", n, split=split) for n, split in enumerate(("train", "test"))])


def evaluated_bundle(bundle: Path, out: Path) -> Bundle:
    """Add to a bundle what the evaluate step adds."""
    rows = io.BytesIO()
    pq.write_table(profile_rows(20, seed=1), rows)
    metrics, commit = dict(METRICS), "abc1234"
    return amend_bundle(Bundle.open(bundle), out, {REFERENCE: rows.getvalue()}, metrics=metrics, git_commit=commit)


def begin_run(uri: str) -> str:
    """Make an MLflow run as the train step does, and end it."""
    with tracking.service(uri), tracking.tracked_run() as run_id:
        return run_id


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A bundle that the register step published, and where."""

    uri: str
    bundle: Bundle
    run_id: str
    version: str
    files: dict[str, Path]

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def publish(self, lines: LinesDataset, run_id: str) -> str:
        return publish(
            self.bundle.path,
            lines.path,
            run_id=run_id,
            model_name="quillflow",
            tracking_uri=self.uri,
            files=self.files,
            asked_by="training-1",
        )


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path, lines: LinesDataset) -> Registered:
    folder = tmp_path_factory.mktemp("registry")
    store = ModelRegistry(folder, name="another")  # the steps register their model by themselves
    files = {name: folder / f"artifact-{n}" for n, name in enumerate(REPORTS)}
    for name, file in files.items():
        file.write_text(json.dumps(DECISION) if name == "decision.json" else name)
    bundle, run_id = evaluated_bundle(tiny_bundle, folder / "evaluated"), begin_run(store.uri)
    made = Registered(uri=store.uri, bundle=bundle, run_id=run_id, version="", files=files)
    version = made.publish(lines, run_id)
    return Registered(uri=store.uri, bundle=bundle, run_id=run_id, version=version, files=files)


@pytest.fixture
def store(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(tmp_path)


def aliases(client: MlflowClient) -> dict[str, str]:
    return {name: str(version) for name, version in client.get_registered_model("quillflow").aliases.items()}


def test_a_published_version_says_in_its_tags_what_it_is(registered: Registered) -> None:
    assert registered.version == "1"
    found = registered.client.get_model_version("quillflow", "1")
    assert found.run_id == registered.run_id
    assert found.tags == {
        "bundle_digest": registered.bundle.digest,
        "dataset_digest": registered.bundle.dataset_digest,
        "git_commit": "abc1234",
        "asked_by": "training-1",
        "decision": "promote",
        "rule": "first",
        "reason": "no champion yet",
        "cer": "0.1250",
        "wer": "0.5000",
        "exact_match": "0.2500",
    }
    assert aliases(registered.client) == {"challenger": "1"}


def test_the_reports_and_the_final_metrics_are_kept_with_the_run(registered: Registered, tmp_path: Path) -> None:
    client = registered.client
    kept = {Path(found.path).name: found.path for found in client.list_artifacts(registered.run_id, "reports")}
    assert set(kept) == set(REPORTS)
    for name, path in kept.items():
        local = Path(client.download_artifacts(registered.run_id, path, str(tmp_path)))
        assert local.read_text() == registered.files[name].read_text()
    run = client.get_run(registered.run_id)
    assert run.info.status == "FINISHED"
    assert {name: run.data.metrics[f"final_{name}"] for name in METRICS} == METRICS


def test_everything_lies_beside_the_database_and_nothing_of_it_is_a_pickle(registered: Registered) -> None:
    folder = Path(registered.uri.removeprefix("sqlite:///")).parent
    source = registered.client.get_model_version_download_uri("quillflow", "1")
    model = Path(mlflow.artifacts.download_artifacts(source, tracking_uri=registered.uri))
    assert model.is_relative_to(folder)
    files = [path for path in model.rglob("*") if path.is_file()]
    assert {file.name for file in files} >= {"MLmodel", "pyfunc_model.py", "bundle.json", "model.onnx", REFERENCE}
    for file in files:
        assert file.suffix not in {".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib"}, file
        assert file.read_bytes()[:2] not in {b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"}, file
    flavour = yaml.safe_load((model / "MLmodel").read_text())["flavors"]["python_function"]
    assert Path(flavour["model_code_path"]).name == "pyfunc_model.py"
    assert "python_model" not in flavour


def test_mlflow_reads_the_same_text_as_the_recogniser(registered: Registered) -> None:
    mlflow.set_tracking_uri(registered.uri)
    images = [line_png("one two", seed=3), line_png("three four five", seed=4)]
    found = mlflow.pyfunc.load_model("models:/quillflow@challenger").predict(pd.DataFrame({"image": images}))
    wanted = Recogniser(registered.bundle).read(images)
    assert list(found["text"]) == [reading.text for reading in wanted]
    assert list(found["confidence"]) == [reading.confidence for reading in wanted]
    assert all(found["text"])


def test_a_run_registers_one_version_and_mends_what_a_killed_try_left_out(
    registered: Registered, lines: LinesDataset
) -> None:
    registered.client.delete_model_version_tag("quillflow", "1", "reason")
    assert registered.publish(lines, registered.run_id) == "1"
    (only,) = registered.client.search_model_versions("name = 'quillflow'")
    assert only.tags["reason"] == "no champion yet"


def test_a_bundle_without_a_test_line_to_show_is_refused(registered: Registered, tmp_path: Path) -> None:
    lines = write_lines(tmp_path / "lines", [make_line("one")])
    with pytest.raises(DataError, match="no test line"):
        registered.publish(lines, registered.run_id)


def test_the_champion_comes_back_with_the_digest_that_it_was_published_with(
    registered: Registered, tmp_path: Path
) -> None:
    move_champion("1", "", model_name="quillflow", tracking_uri=registered.uri)
    assert fetch_champion("quillflow", registered.uri, tmp_path / "champion") == "1"
    assert Bundle.open(tmp_path / "champion").digest == registered.bundle.digest
    assert Bundle.open(tmp_path / "champion").metrics == METRICS


@pytest.mark.parametrize("name", ["quillflow", "never registered"])
def test_without_a_champion_the_folder_is_empty(store: ModelRegistry, tmp_path: Path, name: str) -> None:
    assert fetch_champion(name, store.uri, tmp_path / "champion") == ""
    assert list((tmp_path / "champion").iterdir()) == []


def test_the_old_champion_becomes_the_previous_one_and_moving_twice_changes_nothing(
    store: ModelRegistry, tmp_path: Path
) -> None:
    bundle = untaught_bundle(tmp_path / "bundle", seed=1)
    first, second = store.add(bundle), store.add(bundle)
    for _ in range(2):
        move_champion(first, "", model_name="quillflow", tracking_uri=store.uri)
        assert aliases(store.client) == {"champion": first}
    for _ in range(2):
        move_champion(second, first, model_name="quillflow", tracking_uri=store.uri)
        assert aliases(store.client) == {"champion": second, "previous": first}


@pytest.mark.parametrize("compared_with", ["", "1"])
def test_a_challenger_does_not_replace_a_champion_that_it_was_not_compared_with(
    store: ModelRegistry, tmp_path: Path, compared_with: str
) -> None:
    bundle = untaught_bundle(tmp_path / "bundle", seed=1)
    for _ in range(3):
        store.add(bundle)
    store.point("champion", "2")
    with pytest.raises(ServiceError, match=f"champion is version 2 now.*{compared_with or 'none'}; run the"):
        move_champion("3", compared_with, model_name="quillflow", tracking_uri=store.uri)
    assert aliases(store.client) == {"champion": "2"}


def test_an_mlflow_that_is_away_is_named_within_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        fetch_champion("quillflow", "http://127.0.0.1:1", tmp_path / "champion")
    assert time.monotonic() - began < 10
    message = str(caught.value)
    assert message.startswith("MLflow at http://127.0.0.1:1: ")
    assert message.count("\n") == 0
    assert "Max retries" not in message
    assert not (tmp_path / "champion").exists()


def test_without_an_address_the_message_says_how_to_give_one(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="MLFLOW_TRACKING_URI"):
        fetch_champion("quillflow", "", tmp_path / "champion")


def test_versions_are_signed_where_training_has_a_key_and_unsigned_champions_are_not_trained_on_from(
    registered: Registered, lines: LinesDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = make_keys(tmp_path / "keys")
    monkeypatch.setenv(SIGN_VARIABLE, str(private))
    signed = registered.publish(lines, begin_run(registered.uri))
    monkeypatch.setenv(VERIFY_VARIABLE, str(public))
    for version, refused in ((registered.version, True), (signed, False)):
        registered.client.set_registered_model_alias("quillflow", "champion", version)
        out = tmp_path / version
        if refused:
            with pytest.raises(SignatureError, match="not signed"):
                fetch_champion("quillflow", registered.uri, out)
        else:
            assert fetch_champion("quillflow", registered.uri, out) == version
            verify_bundle(out, public)
            assert Bundle.open(out).digest == registered.bundle.digest
    registered.client.delete_registered_model_alias("quillflow", "champion")


def test_of_two_versions_that_a_lost_answer_made_of_one_the_first_stays(
    registered: Registered, lines: LinesDataset
) -> None:
    """MLflow's client asks again when an answer is lost; what it asked for had happened, and happens again"""
    run_id = begin_run(registered.uri)
    first = registered.publish(lines, run_id)
    source = registered.client.get_model_version("quillflow", first).source
    doubled = registered.client.create_model_version("quillflow", source, run_id).version
    assert registered.publish(lines, run_id) == first
    found = registered.client.search_model_versions("name = 'quillflow'")
    assert [str(one.version) for one in found if one.run_id == run_id] == [first]
    assert str(doubled) != first


def test_with_a_store_a_version_says_where_its_bundle_and_its_lines_are(
    registered: Registered, lines: LinesDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUILLFLOW_STORE", str(tmp_path / "store"))
    where = open_store().publish("lines", "training", lines.path).uri
    publish(
        registered.bundle.path,
        lines.path,
        run_id=registered.run_id,
        model_name="quillflow",
        tracking_uri=registered.uri,
        dataset_uri=where,
        files=registered.files,
    )
    tags = registered.client.get_model_version("quillflow", "1").tags
    assert tags["dataset_uri"] == where
    store, version = find_version(tags["bundle_uri"], "bundle")
    assert f"sha256:{version.digest}" == tags["bundle_digest"] == registered.bundle.digest
    assert store.resolve("bundle", "quillflow").lineage.importer == f"MLflow run {registered.run_id}"
    copy = store.fetch("bundle", version.digest, tmp_path / "copy")
    assert Bundle.open(copy).metrics == METRICS
    for name in ("dataset_uri", "bundle_uri"):
        registered.client.delete_model_version_tag("quillflow", "1", name)


def test_two_tenants_at_one_registry_have_models_experiments_and_champions_of_their_own(
    registered: Registered, lines: LinesDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUILLFLOW_STORE", str(tmp_path / "store"))
    before = registered.client.get_registered_model("quillflow")
    for tenant in ("claims", "ward-7"):
        monkeypatch.setenv("QUILLFLOW_TENANT", tenant)
        run_id = begin_run(registered.uri)
        experiment = registered.client.get_run(run_id).info.experiment_id
        assert registered.client.get_experiment(experiment).name == f"{tenant}.quillflow"
        assert fetch_champion("quillflow", registered.uri, tmp_path / tenant / "none") == ""
        version = registered.publish(lines, run_id)
        move_champion(version, "", model_name="quillflow", tracking_uri=registered.uri)
        assert fetch_champion("quillflow", registered.uri, tmp_path / tenant / "bundle") == version == "1"
        (found,) = registered.client.search_model_versions(f"name = '{tenant}.quillflow'")
        assert f"/store/{tenant}/bundle/" in found.tags["bundle_uri"]
    monkeypatch.delenv("QUILLFLOW_TENANT")
    after = registered.client.get_registered_model("quillflow")
    assert (after.aliases, after.latest_versions[-1].version) == (
        before.aliases,
        before.latest_versions[-1].version,
    )


def test_a_run_names_its_lines_by_digest_and_by_where_they_stay(
    store: ModelRegistry, lines: LinesDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUILLFLOW_CACHE", str(tmp_path / "cache"))
    where = open_store(tmp_path / "store").publish("lines", "training", lines.path).uri
    with tracking.service(store.uri) as client, tracking.tracked_run() as run_id:
        tracking.log_dataset(lines, "training", where)
    run = client.get_run(run_id)
    (found,) = run.inputs.dataset_inputs
    assert found.dataset.digest == lines.digest.removeprefix("sha256:")[:36]
    kept = tracking.VersionSource.from_dict(json.loads(found.dataset.source))
    assert (kept.uri, kept.load().digest) == (where, lines.digest)
    assert (run.data.tags["dataset_digest"], run.data.tags["dataset_uri"]) == (lines.digest, where)
