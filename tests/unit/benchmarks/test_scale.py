"""Invented lines for the benchmark of scale: cheap, different, and with copies that the audit must name."""

from pathlib import Path

from benchmarks.scale import curve, invent, table
from htr.audit.run import audit_lines
from htr.importers.manifest import import_manifest
from htr.lines import LinesDataset


def test_lines_are_all_different_but_for_the_copies_that_are_planted(tmp_path: Path) -> None:
    planted = invent(520, tmp_path)
    assert {kind: len(ids) for kind, ids in planted.items()} == {"copies": 1, "near_copies": 1}
    info = import_manifest(tmp_path / "lines.csv", tmp_path / "d")
    assert (info.num_lines, info.counts["quarantined"]) == (520, {})
    found = audit_lines(LinesDataset.open(tmp_path / "d"))
    assert {rule: count for rule, count in found.rules.items() if count} == {"copy": 1, "near_copy": 1}
    assert planted["copies"] < set(found.lines("copy"))
    assert planted["near_copies"] < set(found.lines("near_copy"))
    assert (tmp_path / "lines.tar").stat().st_size < 4096 * 520


def test_the_table_gives_rates_and_how_time_and_memory_grow(tmp_path: Path) -> None:
    one = {"lines": 100, "invented_s": 1.0, "image_bytes": 9, "findings": {}}
    one |= {"copies": {"planted": 1, "found": 1}, "near_copies": {"planted": 1, "found": 0}}
    step = {"seconds": 2.0, "cpu_s": 1.0, "peak_mb": 100.0}
    more = one | {"lines": 10_000, "steps": {"import": step | {"cpu_s": 100.0, "peak_mb": 101.0}}}
    text = table([one | {"steps": {"import": step}}, more])
    assert "| 100 | import | 2 | 1 | 50 | 100 MB |" in text
    assert "| import | 1.00 | 101 bytes |" in text
    curve([one | {"steps": {"import": step}}, more], tmp_path / "scale.png")
    assert (tmp_path / "scale.png").stat().st_size > 1000
