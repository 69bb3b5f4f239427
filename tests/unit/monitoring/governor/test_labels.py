"""Corrected lines on their way to a training whose steps do not see the governor's disk."""

from pathlib import Path

import pytest

from htr.corrected_lines import CorrectedLines
from htr.correction_store import CorrectionStore, image_digest
from htr.corrections import Correction
from htr.errors import QuillflowError
from htr.versions import open_lines, open_store
from monitoring.__main__ import main
from monitoring.governor.labels import PublishedLabels, StoreLabels
from tests.conftest import line_png
from tests.fakes import NOON
from tests.governor import SetLabels


def correct(folder: Path, number: int) -> None:
    image = line_png("some words", seed=number)
    correction = Correction(
        id=f"c{number}", time=NOON, author="Ada", model_version="1", bundle_digest="sha256:" + "b" * 64,
        old_text="misread", new_text=f"line {number}", image_digest=image_digest(image),
    )  # fmt: skip
    assert CorrectionStore(folder).add(correction, image)


def test_steps_elsewhere_get_an_address_that_goes_on_naming_the_lines_of_their_training(tmp_path: Path) -> None:
    made = StoreLabels(lines=CorrectedLines(tmp_path / "kept"), out=tmp_path / "made")
    labels = PublishedLabels(lines=made, store=open_store(tmp_path / "store"))
    assert labels.dataset("key-1") is None, "nobody has corrected anything"
    correct(tmp_path / "kept", 1)
    first = labels.dataset("key-1")
    correct(tmp_path / "kept", 2)
    assert labels.count().count == 2
    second = labels.dataset("key-2")
    assert first is not None
    assert second is not None
    assert labels.dataset("key-1") == first, "asked again after a kill, it is the same training's"
    assert {line.text for line in open_lines(first).lines()} == {"line 1"}
    assert {line.text for line in open_lines(second).lines()} == {"line 1", "line 2"}


def test_a_store_that_cannot_be_written_is_a_trouble_and_not_a_training_without_lines(tmp_path: Path) -> None:
    correct(tmp_path / "kept", 1)
    (tmp_path / "store").write_text("a file where the store should be")
    made = StoreLabels(lines=CorrectedLines(tmp_path / "kept"), out=tmp_path / "made")
    with pytest.raises(QuillflowError, match="store"):
        PublishedLabels(lines=made, store=open_store(tmp_path / "store")).dataset("key-1")
    assert PublishedLabels(lines=SetLabels(0), store=open_store(tmp_path / "store")).dataset("key-1") is None


def test_a_store_that_makes_no_sense_is_refused_before_anything_is_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUILLFLOW_STORE", "ftp://somewhere")
    package = Path(__file__).parents[3] / "golden" / "pipelines-1" / "training.yaml"
    words = ["--kfp-host", "http://127.0.0.1:9", "--package", str(package), "--tracking-uri", "sqlite:///x.db"]
    words += ["-p", "lines=store:training", "--corrections-store", str(tmp_path / "kept"), "--port", "0"]
    assert main(["serve-governor", "--state", str(tmp_path / "state"), *words]) == 2
    assert "begins with s3:// or file://, not ftp://" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()
