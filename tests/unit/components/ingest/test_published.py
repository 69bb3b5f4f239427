"""The ingest step and the store of versions: lines come from an address, and what was merged is published."""

from pathlib import Path

import pytest
from kfp import dsl

from components.ingest.component import ingest
from htr.errors import MissingError
from htr.lines import LinesDataset
from htr.versions import Lineage, VersionStore, find_version, open_store
from tests.conftest import make_line
from tests.datasets import write_lines


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VersionStore:
    monkeypatch.setenv("QUILLFLOW_CACHE", str(tmp_path / "cache"))
    return open_store(tmp_path / "store")


def run(lines: str, corrections: str, out: Path) -> dsl.Dataset:
    dataset = dsl.Dataset(uri=str(out))
    digest = ingest.python_func(lines=lines, corrections=corrections, held_back=0.3, dataset=dataset)
    assert digest == LinesDataset.open(out).digest
    return dataset


def test_ingest_reads_an_address_and_names_what_it_merged(
    store: VersionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = write_lines(tmp_path / "base", [make_line(f"line {n}", n) for n in range(4)])
    extra = write_lines(tmp_path / "extra", [make_line("corrected", 9)])
    given = store.publish("lines", "letters", base.path, Lineage(policy="ours 12ab", importer="manifest"))
    plain = run(given.uri, "", tmp_path / "plain")
    assert plain.metadata["version_uri"] == ""
    assert plain.metadata["digest"] == base.digest

    monkeypatch.setenv("QUILLFLOW_STORE", store.uri)
    merged = run("store:letters", str(extra.path), tmp_path / "merged")
    _, version = find_version(merged.metadata["version_uri"], "lines")
    assert version.digest == merged.metadata["digest"].removeprefix("sha256:") != given.digest
    assert store.resolve("lines", "merged").lineage.parent == given.digest
    assert store.diff("lines", "letters", "merged").came == ("corrections/line-9",)


def test_an_address_that_leads_nowhere_leaves_nothing_behind(store: VersionStore, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no lines named 'letters'"):
        run(f"quillflow+{store.uri}/lines/letters", "", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_second_retraining_from_the_same_name_takes_the_lines_that_were_published_and_all_corrections(
    store: VersionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUILLFLOW_STORE", store.uri)
    base = write_lines(tmp_path / "base", [make_line(f"line {n}", n) for n in range(4)])
    store.publish("lines", "training", base.path, Lineage())
    for number in (1, 2):  # each training gets all corrections, those of the one before included
        made = write_lines(
            tmp_path / f"made-{number}", [make_line(f"corrected {n}", 9 + n) for n in range(number)]
        )
        given = store.publish("lines", "corrections", made.path).uri
        run("store:training", given, tmp_path / f"out-{number}")
        ids = {line.id for line in LinesDataset.open(tmp_path / f"out-{number}").lines()}
        assert ids == {f"line-{n}" for n in range(4)} | {f"corrections/line-{9 + n}" for n in range(number)}
