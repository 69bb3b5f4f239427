import json
import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from htr.correction_store import CorrectionStore, image_digest
from htr.corrections import Correction
from htr.importers.corrections import import_corrections
from htr.places import find_places
from htr.signing import make_keys, sign_bundle
from htr.versions import open_store
from monitoring.governor.events import Decision, Record, Started, Wish, to_json
from pipelines.__main__ import main
from pipelines.fsck import check
from pipelines.fsck_registry import check_registry
from tests.conftest import line_png
from tests.fakes import NOON, log_rows, profile_rows
from tests.servers import ModelRegistry, untaught_bundle
from tests.store_content import write_a_bundle

DIGEST = "sha256:" + "0" * 64


def corrected(store: CorrectionStore, number: int) -> str:
    image = line_png(f"line {number}")
    correction = Correction(
        id=f"c-{number}", time=NOON, author="Ada", model_version="1", bundle_digest=DIGEST, old_text="",
        new_text=f"line {number}", image_digest=image_digest(image),
    )  # fmt: skip
    store.add(correction, image)
    return correction.image_digest.removeprefix("sha256:")


def write_journal(folder: Path, *records: Record) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "governor.jsonl").write_text("".join(to_json(record) + "\n" for record in records))


def record(seq: int, event: object, **decision: str) -> Record:
    told = Decision(**{"choice": "note", "reason": "because", **decision})  # type: ignore[arg-type]
    at = NOON + timedelta(seconds=seq)
    return Record(seq=seq, time=at, at=float(seq), event=event, decision=told)  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path, tiny_bundle: Path) -> Path:
    """A small root with one of everything that a service writes, all of it sound"""
    root = tmp_path / "root"
    shutil.copytree(tiny_bundle, root / "bundle")
    store = CorrectionStore(root / "corrections")
    for number in range(3):
        corrected(store, number)
    import_corrections(root / "corrections", root / "learnt" / "key")
    corrected(store, 3)  # waits
    (root / "log").mkdir()
    rows = log_rows(profile_rows(4, seed=1), bundle_digest=DIGEST)
    pq.write_table(rows, root / "log" / "20261120T120000.000000Z-1-0.parquet")
    write_journal(
        root / "state",
        record(1, Wish(id="w"), choice="train", key="k"),
        record(2, Started(key="k", run_id="run-1")),
    )
    (root / "champion").symlink_to("bundle")
    return root


def faults(root: Path) -> list[str]:
    return [f"{one.kind}: {one.said}" for one in check(find_places(root), root) if one.is_fault]


def test_a_sound_root_has_no_fault_and_every_kind_is_looked_at(root: Path) -> None:
    assert faults(root) == []
    counts = find_places(root).counts()
    assert all(counts[name] == 1 for name in ("bundles", "lines", "corrections", "logs", "journals", "links"))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def newest_image(root: Path) -> Path:
    return sorted((root / "corrections" / "images").iterdir())[0]


def forget_one_learnt(root: Path) -> None:
    """Make the dataset anew from a store that lacks the second correction, as a loop that lost it would."""
    shutil.rmtree(root / "learnt")
    lossy = CorrectionStore(root.parent / "lossy")
    corrected(lossy, 0)
    corrected(lossy, 2)
    import_corrections(root.parent / "lossy", root / "learnt" / "key")


def learn_a_stranger(root: Path) -> None:
    shutil.rmtree(root / "learnt")
    other = CorrectionStore(root.parent / "other")
    corrected(other, 99)
    import_corrections(root.parent / "other", root / "learnt" / "key")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "weights altered": (lambda root: flip(root / "bundle" / "weights.safetensors"), "damaged: .*altered"),
    "a bundle half gone": (lambda root: (root / "bundle" / "model.onnx").unlink(), "damaged: .*missing"),
    "a shard altered": (lambda root: flip(root / "learnt" / "key" / "lines" / "00000.parquet"), "damaged"),
    "a correction altered": (lambda root: flip(root / "corrections" / "corrections.jsonl"), "damaged"),
    "an image gone": (lambda root: newest_image(root).unlink(), "lost: correction 'c-.' has no image"),
    "an image altered": (lambda root: flip(newest_image(root)), "damaged: not the image"),
    "a correction passed over": (forget_one_learnt, "lost: correction 'c-1'"),
    "a line of nobody": (learn_a_stranger, "dangling: line .* no correction"),
    "a log file cut off": (lambda root: cut(next((root / "log").glob("*.parquet"))), "damaged"),
    "a log file twice": (
        lambda root: shutil.copy(next((root / "log").glob("*")), root / "log" / "20261120T130000.0Z-1-1.parquet"),
        "doubled: request",
    ),
    "a journal with a gap": (
        lambda root: write_journal(root / "state", record(2, Wish(id="w"))), "damaged: expected record 1",
    ),
    "a training nobody decided on": (
        lambda root: write_journal(root / "state", record(1, Started(key="x", run_id="r"))), "uncaused",
    ),
    "a training decided twice": (
        lambda root: write_journal(
            root / "state", *(record(n, Wish(id=f"w{n}"), choice="train", key="k") for n in (1, 2))
        ),
        "uncaused: .*decided on before",
    ),
    "a training started twice": (
        lambda root: write_journal(
            root / "state", record(1, Wish(id="w"), choice="train", key="k"),
            record(2, Started(key="k", run_id="a")), record(3, Started(key="k", run_id="b")),
        ),
        "started twice",
    ),
    "a decision without reason": (
        lambda root: write_journal(root / "state", record(1, Wish(id="w"), choice="train", key="k", reason="")),
        "without a reason",
    ),
    "a link to nothing": (lambda root: shutil.rmtree(root / "bundle"), "dangling: points to bundle"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_broken_is_found(name: str, root: Path) -> None:
    break_it, expected = DAMAGE[name]
    break_it(root)
    assert any(re.search(expected, said) for said in faults(root)), faults(root)


def test_what_a_kill_left_half_written_is_a_note(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / ".bundle.partial").mkdir()
    (root / "log" / ".20261120T130000.000000Z-1-1.parquet").write_bytes(b"PAR1")
    (root / "corrections" / "images" / ("a" * 64)).write_bytes(b"an image without a record")
    assert main(["fsck", "--root", str(root)]) == 0
    assert "0 faults, 3 notes" in capsys.readouterr().out


def test_the_exit_status_tells_and_json_is_read_by_programs(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fsck", "--root", str(root), "--json"]) == 0
    flip(root / "bundle" / "model.onnx")
    assert main(["fsck", "--root", str(root), "--json"]) == 1
    out = capsys.readouterr().out
    found = json.loads(out[out.index("}\n{") + 2 :])
    assert (found["format_version"], found["faults"], found["findings"][0]["kind"]) == (1, 1, "damaged")
    assert main(["fsck", "--root", str(root / "none")]) == 2


def test_aliases_point_to_whole_bundles_that_are_what_they_say(tmp_path: Path) -> None:
    store = ModelRegistry(tmp_path / "mlflow")
    bundle = untaught_bundle(tmp_path / "bundle", seed=1)
    private, public = make_keys(tmp_path / "keys")
    version = store.add_pyfunc(bundle)
    store.point("champion", version)
    store.client.set_model_version_tag("quillflow", version, "decision", "promote")
    store.client.set_model_version_tag("quillflow", version, "reason", "better")
    assert list(check_registry(store.uri)) == []
    assert "not signed" in next(check_registry(store.uri, public)).said

    sign_bundle(bundle, private)
    store.point("champion", signed := store.add_pyfunc(bundle))
    assert {one.kind for one in check_registry(store.uri, public)} == {"uncaused"}
    store.client.set_model_version_tag("quillflow", signed, "bundle_digest", DIGEST)
    assert any("its tag says" in one.said for one in check_registry(store.uri))

    for file in (tmp_path / "mlflow").rglob("model.onnx"):
        flip(file)
    assert any(one.kind == "damaged" and "altered" in one.said for one in check_registry(store.uri))


def test_a_store_of_versions_is_looked_at_with_a_root_and_without(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "versions"
    open_store(store).publish("bundle", "ours", write_a_bundle(tmp_path / "published").path)
    assert main(["fsck", "--store", str(store), "--deep", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["looked_at"] == {"versions": 1}
    (blob, *_) = (file for file in (store / "blobs").rglob("*") if file.is_file())
    blob.unlink()
    assert main(["fsck", "--root", str(root), "--store", str(store), "--no-registry"]) == 1
    assert f"lost: file://{store}/blobs/" in capsys.readouterr().out
    assert main(["fsck"]) == 2
    assert main(["fsck", "--root", str(root), "--deep"]) == 2
    capsys.readouterr()
    assert main(["fsck", "--store", str(tmp_path / "mistyped")]) == 2
    assert capsys.readouterr().err.count("no store of versions is there") == 1
    assert not (tmp_path / "mistyped").exists()
    assert main(["fsck", "--store", "s3://user:hunter22@bucket/x"]) == 2
    assert "hunter22" not in capsys.readouterr().err
