"""The bundle format."""

import json
import shutil
from pathlib import Path

import pytest

from htr.bundle import MANIFEST, ONNX, REFERENCE, WEIGHTS, Bundle, amend_bundle
from htr.calibration import Calibration
from htr.decoding import NGRAM, Decoding
from htr.errors import BundleError, OutputError

CURVE = Calibration(slope=-2.0, length_slope=0.5)


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy"))


def change(bundle: Path, **values: object) -> None:
    manifest = bundle / MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **values}))


def test_the_manifest_holds_these_fields(tiny_bundle: Path) -> None:
    assert sorted(json.loads((tiny_bundle / MANIFEST).read_text())) == [
        "alphabet", "architecture", "base_digest", "calibration", "dataset_digest", "files", "format_version",
        "geometry", "git_commit", "metrics", "parity", "preprocessing", "trained_lines",
    ]  # fmt: skip


@pytest.mark.parametrize("name", [WEIGHTS, ONNX])
def test_a_flipped_byte_is_noticed(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name}: altered"):
        Bundle.open(copy)


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / ONNX).unlink()
    with pytest.raises(BundleError, match=r"model\.onnx is missing"):
        Bundle.open(copy)


def test_a_folder_that_is_no_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a model bundle"):
        Bundle.open(tmp_path)


def test_another_preprocessing_is_refused_rather_than_misread(copy: Path) -> None:
    change(copy, preprocessing="0123456789abcdef")
    with pytest.raises(BundleError, match="misread"):
        Bundle.open(copy)


def test_another_format_version_is_refused(copy: Path) -> None:
    change(copy, format_version=99)
    with pytest.raises(BundleError, match="99"):
        Bundle.open(copy)


def test_a_file_outside_the_bundle_is_refused(copy: Path) -> None:
    manifest = json.loads((copy / MANIFEST).read_text())
    change(copy, files={**manifest["files"], "../outside": "0" * 64})
    with pytest.raises(BundleError, match="outside"):
        Bundle.open(copy)


@pytest.mark.parametrize("cut", ["{", '{"format_version": 1}', "[]", ""])
def test_a_damaged_manifest_is_one_error(copy: Path, cut: str) -> None:
    (copy / MANIFEST).write_text(cut)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        Bundle.open(copy)


def test_an_amended_copy_has_another_digest_and_leaves_the_first_alone(tiny_bundle: Path, tmp_path: Path) -> None:
    before = Bundle.open(tiny_bundle)
    digest = before.digest
    after = amend_bundle(before, tmp_path / "new", {REFERENCE: b"rows"}, calibration=CURVE)
    opened = Bundle.open(after.path)
    assert opened.calibration == CURVE
    assert (opened.path / REFERENCE).read_bytes() == b"rows"
    assert opened.digest != digest == Bundle.open(tiny_bundle).digest


def test_an_existing_bundle_is_not_overwritten(tiny_bundle: Path, copy: Path) -> None:
    with pytest.raises(OutputError, match="already there"):
        amend_bundle(Bundle.open(tiny_bundle), copy, {})


def test_the_decoding_is_kept_and_its_files_must_be_there(tiny_bundle: Path, tmp_path: Path) -> None:
    plain = Bundle.open(tiny_bundle)
    assert plain.decoding is None
    wanted = Decoding(beam=8, ngram_weight=0.5, insertion_bonus=0.25)
    tuned = amend_bundle(plain, tmp_path / "tuned", {NGRAM: b"a model"}, decoding=wanted)
    assert Bundle.open(tuned.path).decoding == wanted
    assert Bundle.open(amend_bundle(tuned, tmp_path / "again", {}).path).decoding == wanted
    without = amend_bundle(plain, tmp_path / "without", {}, decoding=wanted)
    with pytest.raises(BundleError, match=f"does not list {NGRAM}"):
        Bundle.open(without.path)


def test_what_belongs_to_another_language_model_does_not_go_along(tiny_bundle: Path, tmp_path: Path) -> None:
    decoding = Decoding(beam=8, ngram_weight=0.5, insertion_bonus=0.25)
    plain = Bundle.open(tiny_bundle)
    tuned = amend_bundle(plain, tmp_path / "tuned", {NGRAM: b"a model"}, decoding=decoding)
    whole = amend_bundle(tuned, tmp_path / "whole", {REFERENCE: b"rows"}, calibration=CURVE)
    same = amend_bundle(whole, tmp_path / "same", {NGRAM: b"a model"}, decoding=decoding)
    assert same.files == whole.files
    assert same.calibration == CURVE
    other = amend_bundle(whole, tmp_path / "other", {NGRAM: b"another"}, decoding=decoding)
    assert REFERENCE not in other.files
    assert other.calibration == Calibration()
    without = amend_bundle(whole, tmp_path / "without", {}, decoding=None)
    assert set(without.files) == set(plain.files)


@pytest.mark.parametrize("decoding", [{"beam": 0}, {"beam": "wide"}, {"unheard_of": 1}, "best", []])
def test_an_impossible_decoding_is_a_damaged_manifest(copy: Path, decoding: object) -> None:
    change(copy, decoding=decoding)
    with pytest.raises(BundleError, match="damaged"):
        Bundle.open(copy)
