"""The 8-bit graph and its certificate."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from htr.bundle import INT8, MANIFEST, Bundle, Parity, amend_bundle
from htr.errors import DataError
from htr.image import decode
from htr.lines import Line, LinesDataset, LinesWriter
from htr.parity import certify
from htr.recogniser import Recogniser
from tests.conftest import line_png, make_line


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> LinesDataset:
    path = tmp_path_factory.mktemp("lines") / "d"
    with LinesWriter(path) as writer:
        for n in range(12):
            writer.add(make_line(("one", "two three", "six")[n % 3], n, split="val"))
        writer.add(Line(id="broken", image=b"", text="one", split="val", width=1, height=1))
    return LinesDataset.open(path)


def test_the_certificate_counts_what_both_graphs_read(tiny_bundle: Path, dataset: LinesDataset) -> None:
    bundle = Bundle.open(tiny_bundle)
    assert not bundle.parity.trusted
    parity = certify(bundle, dataset).parity
    assert parity.lines == 12
    assert 0 < parity.max_difference < 0.1
    assert parity.cer_fp32 > 0
    texts = [
        [
            reading.text
            for reading in Recogniser(bundle, precision=name).read(line.image for line in readable(dataset))
        ]
        for name in ("fp32", "int8")
    ]
    assert parity.changed_lines == sum(a != b for a, b in zip(*texts, strict=True))


def readable(dataset: LinesDataset) -> list[Line]:
    return [line for line in dataset.lines() if line.image]


def test_eight_bits_are_read_with_only_where_they_read_as_well(tiny_bundle: Path) -> None:
    bundle, grey = Bundle.open(tiny_bundle), decode(line_png("one two"))
    full, small = (Recogniser(bundle, precision=name).log_probs(grey) for name in ("fp32", "int8"))
    assert not np.array_equal(full, small)
    good = Parity(lines=10, cer_fp32=0.1, cer_int8=0.1009)
    bad = Parity(lines=10, cer_fp32=0.1, cer_int8=0.1011)
    for parity, wanted in ((good, small), (bad, full), (Parity(), full)):
        np.testing.assert_array_equal(Recogniser(replace(bundle, parity=parity)).log_probs(grey), wanted)


def test_the_certificate_stays_in_the_bundle(tiny_bundle: Path, dataset: LinesDataset, tmp_path: Path) -> None:
    certified = certify(Bundle.open(tiny_bundle), dataset)
    amend_bundle(certified, tmp_path / "b", {})
    assert Bundle.open(tmp_path / "b").parity == certified.parity


def test_a_bundle_without_certificate_or_small_graph_reads_with_the_full_one(
    tiny_bundle: Path, dataset: LinesDataset, tmp_path: Path
) -> None:
    bundle = Bundle.open(tiny_bundle)
    older = replace(bundle, files={name: digest for name, digest in bundle.files.items() if name != INT8})
    assert certify(older, dataset) is older
    older = amend_bundle(older, tmp_path / "older", {})
    manifest = (older.path / MANIFEST).read_text()
    assert INT8 not in manifest
    assert Recogniser.load(older.path).read([line_png("one")])


def test_a_split_that_nobody_can_read_is_named(tiny_bundle: Path, tmp_path: Path) -> None:
    with LinesWriter(tmp_path / "d") as writer:
        writer.add(Line(id="broken", image=b"", text="one", split="val", width=1, height=1))
    with pytest.raises(DataError, match="'val'"):
        certify(Bundle.open(tiny_bundle), LinesDataset.open(tmp_path / "d"))
