import json
from pathlib import Path

import pytest

from benchmarks.peers.bench import Bench, Result, claim, evenly
from benchmarks.peers.environments import make_environment, uv_program
from benchmarks.peers.layout import Layout, lay_out
from benchmarks.peers.protocol import PeerAbsentError, Settings, Site
from benchmarks.peers.table import build_table, markdown
from htr.errors import SettingsError
from tests.conftest import make_line
from tests.datasets import write_lines
from tests.unit.benchmarks.peers.other_system import OtherSystem

SETTINGS = Settings(minutes=0.1, threads=1, speed_lines=4, batches=(2, 4), compared_batch=4)
TEXTS = {"train": ["baum", "baum", "see"], "val": ["baum"], "test": ["baum", "see", "baum", "zaun", "baum"]}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    lines = [
        make_line(text, 100 * s + n, split=split, source="copy" if n % 2 else "poll")
        for s, (split, texts) in enumerate(TEXTS.items())
        for n, text in enumerate(texts)
    ]
    return lay_out(write_lines(tmp_path / "lines", lines), tmp_path / "out" / "lines", SETTINGS)


def bench(layout: Layout, said: list[str] | None = None) -> Bench:
    out = layout.folder.parent
    return Bench(out, out / "environments", layout, SETTINGS, (said if said is not None else []).append)


class Uninstallable(OtherSystem):
    def prepare(self, site: Site) -> str:
        pins = site.folder / "pins.txt"
        pins.write_text("/no/such/recogniser-1.0-py3-none-any.whl\n", encoding="utf-8")
        make_environment(site, pins, python="3")
        return "1.0"


class Elsewhere(OtherSystem):
    def prepare(self, site: Site) -> str:
        raise PeerAbsentError("not installed; apt-get install elsewhere")


def test_another_system_is_trained_read_and_scored(layout: Layout) -> None:
    (result,) = bench(layout).run([OtherSystem()])
    assert (result.state, result.version, result.parameters) == ("done", "9.1", 4)
    # "baum" for every line: 3 of 5 right; "see" costs 4 edits of 3 characters, "zaun" 2 of 4.
    assert result.scores["all"].lines == 5
    assert result.scores["all"].exact == pytest.approx(3 / 5)
    assert result.scores["all"].cer == pytest.approx((4 + 2) / (3 * 4 + 3 + 4))
    assert result.scores["poll"].cer == 0
    assert result.scores["copy"].lines == 2
    assert result.one_thread_lines_per_s is not None
    assert result.one_thread_lines_per_s > 0
    assert result.all_cores_batch in {1, 2, 4}
    assert (result.changed_lines, result.compared_lines) == (4, 4)


def test_a_result_is_kept_and_read_back(layout: Layout) -> None:
    (result,) = bench(layout).run([OtherSystem()])
    again = bench(layout)
    kept = again.result("other")
    assert isinstance(kept, Result)
    assert kept.scores["all"].cer == result.scores["all"].cer
    assert kept.training is not None
    assert kept.training.notes == ["knows one text"]
    assert again.readings("other") == ["baum"] * 5


def test_a_peer_that_does_not_install_shows_its_reason_and_stops_no_other(layout: Layout) -> None:
    if uv_program() is None:
        pytest.skip("uv is not there")
    said: list[str] = []
    results = bench(layout, said).run([Uninstallable(name="heavy"), OtherSystem()])
    assert [result.state for result in results] == ["failed", "done"]
    assert "does not install" in results[0].reason
    assert "no/such/recogniser" in results[0].reason
    assert str(layout.folder.parent) not in results[0].reason  # the log's path is within the out folder
    shown = markdown(build_table(results, SETTINGS, {"train": 3, "val": 1, "test": 5}, {}))
    assert "heavy (failed)" in shown
    assert "- heavy: failed: does not install" in shown


def test_a_peer_that_is_not_on_this_machine_is_skipped_with_its_reason(layout: Layout) -> None:
    (result,) = bench(layout).run([Elsewhere()])
    assert (result.state, result.reason) == ("skipped", "not installed; apt-get install elsewhere")


def test_a_second_run_takes_what_is_there_and_tries_the_failed_again(layout: Layout) -> None:
    good, bad = OtherSystem(), OtherSystem(name="bad", train_error="diverged")
    first = bench(layout).run([good, bad])
    assert [result.state for result in first] == ["done", "failed"]
    bad.train_error = ""
    second = bench(layout).run([good, bad])
    assert [result.state for result in second] == ["done", "done"]
    assert (good.trainings, bad.trainings) == (1, 2)


def test_a_changed_adapter_is_measured_again(layout: Layout) -> None:
    bench(layout).run([OtherSystem()])
    changed = OtherSystem(digest="2")
    (result,) = bench(layout).run([changed])
    assert (changed.trainings, result.fingerprint) == (1, "2")


def test_a_bench_stopped_while_reading_does_not_train_again(layout: Layout) -> None:
    peer = OtherSystem(broken_reader=True)
    (stopped,) = bench(layout).run([peer])
    assert "Parrot: cannot open model" in stopped.reason
    peer.broken_reader = False
    (result,) = bench(layout).run([peer])
    assert (peer.trainings, result.state) == (1, "done")


def test_half_a_training_is_thrown_away(layout: Layout) -> None:
    peer = OtherSystem()
    left = layout.folder.parent / "work" / "other" / "model" / "half.ckpt"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    bench(layout).run([peer])
    assert not left.exists()


def test_a_folder_holds_one_bench_only(tmp_path: Path) -> None:
    claim(tmp_path, SETTINGS, "sha256:1")
    claim(tmp_path, SETTINGS, "sha256:1")
    with pytest.raises(SettingsError, match="another lines; give the same"):
        claim(tmp_path, SETTINGS, "sha256:2")
    with pytest.raises(SettingsError, match="another minutes, threads"):
        claim(
            tmp_path, Settings(minutes=5, threads=2, speed_lines=4, batches=(2, 4), compared_batch=4), "sha256:1"
        )
    assert json.loads((tmp_path / "settings.json").read_text())["minutes"] == 0.1


def test_timed_lines_are_spread_evenly() -> None:
    assert evenly(10, 5) == [0, 2, 4, 6, 8]
    assert evenly(3, 200) == [0, 1, 2]
