import json
from pathlib import Path

import pytest

from benchmarks.peers.__main__ import main
from benchmarks.peers.bench import Result
from benchmarks.peers.layout import LaidLine
from benchmarks.peers.protocol import Settings, Trained
from benchmarks.peers.scoring import Difference, changed, difference, errors_of, scores
from benchmarks.peers.table import build_table, markdown, write_table
from tests.datasets import sound_lines, write_lines

LINES = [
    LaidLine(id=str(n), file=f"{n}.png", text=text, source="ab"[n % 2], language="fra")
    for n, text in enumerate(["été", "un deux", "trois", "quatre"])
]
DIFFERENCES = {"kraken": Difference(value=-0.25, interval=(-0.3, -0.2))}


def results() -> list[Result]:
    errors = errors_of(LINES, ["été", "un deux", "troi", ""])
    done = Result(
        peer="kraken",
        state="done",
        fingerprint="f",
        version="7.1.1",
        scores=scores(LINES, errors),
        training=Trained(model="m", bytes_on_disk=4_000_000, seconds=1081.4, lines_shown=30_016, lines_per_s=30.2),
        parameters=1_010_000,
        one_thread_lines_per_s=5.54,
        all_cores_lines_per_s=166.2,
        all_cores_batch=16,
        changed_lines=42,
        compared_lines=200,
    )
    return [done, Result(peer="calamari", state="failed", fingerprint="g", reason="does not install: no | wheel")]


def table() -> str:
    return markdown(build_table(results(), Settings(), {"train": 8062, "val": 300, "test": 996}, DIFFERENCES))


def test_scores_are_micro_rates_over_all_lines_and_each_source() -> None:
    found = scores(LINES, errors_of(LINES, ["e\u0301te\u0301", " un  deux\n", "troi", ""]))
    assert list(found) == ["all", "a", "b"]
    assert found["all"].cer == pytest.approx((1 + 6) / (3 + 7 + 5 + 6))  # NFC and single spaces: two are exact
    assert found["all"].exact == 0.5
    assert found["a"].cer == pytest.approx(1 / 8)
    low, high = found["all"].cer_interval
    assert low < found["all"].cer < high


def test_one_source_needs_no_row_of_its_own() -> None:
    only = LINES[::2]
    assert list(scores(only, errors_of(only, ["", ""]))) == ["all"]


def test_a_difference_is_ours_less_theirs() -> None:
    good, bad = errors_of(LINES, [line.text for line in LINES]), errors_of(LINES, [""] * 4)
    found = difference(good, bad)
    assert found.value == -1
    assert found.interval == (-1, -1)


def test_changed_lines_are_counted_on_the_texts_as_given() -> None:
    assert changed(["a", "b", "c"], ["a", "b ", "d"]) == 2


def test_every_measure_has_a_row_and_every_peer_a_column() -> None:
    rows = {line.split("|")[1].strip(): line for line in table().splitlines() if line.startswith("|")}
    assert "kraken 7.1.1 | calamari (failed) |" in rows[""]
    assert "33.33%" in rows["CER, all (4)"]
    assert "50.0% [0.0%, 100.0%]" in rows["exact match, all (4)"]
    assert rows["training lines/s"].endswith("| 30 | – |")
    assert rows["training time, m:ss"].endswith("| 18:01 | – |")
    assert rows["reading lines/s, 1 core, batch 1"].endswith("| 5.5 | – |")
    assert rows["reading lines/s, 2 cores, best batch"].endswith("| 166 (batch 16) | – |")
    assert rows["parameters"].endswith("| 1,010,000 | – |")
    assert rows["bytes on disk"].endswith("| 4,000,000 | – |")
    assert rows["lines whose text changes with batch size (1 to 16)"].endswith("| 42 of 200 (21.0%) | – |")


def test_reasons_and_differences_stand_below() -> None:
    assert "- calamari: failed: does not install: no | wheel" in table()
    assert "- CER of ours less that of kraken: -25.00 points [-30.0, -20.0]" in table()


def test_the_table_is_written_as_json_markdown_and_a_page(tmp_path: Path) -> None:
    built = build_table(results(), Settings(), {"train": 1, "val": 1, "test": 4}, DIFFERENCES)
    files = write_table(tmp_path, built, results(), DIFFERENCES, {"commit": "c0ffee"})
    assert [file.name for file in files] == ["bench.json", "bench.md", "bench.html"]
    told = json.loads(files[0].read_text())
    assert told["facts"] == {"commit": "c0ffee"}
    assert told["peers"][0]["scores"]["all"]["lines"] == 4
    assert told["ours_minus_peer"]["kraken"]["value"] == -0.25
    assert files[1].read_text() == markdown(built)
    page = files[2].read_text()
    assert "does not install: no | wheel" in page
    assert "42 of 200" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threads", "9999"], "error: --threads must be within"),
        (["--minutes", "0"], "error: --minutes must be within"),
        (["--test-lines", "0"], "error: --test-lines must be within"),
        (["--lines", "/no/such/lines"], "not a lines dataset"),
    ],
)
def test_a_mistake_is_explained_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["--out", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err


def test_another_bench_in_the_same_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import fcntl

    write_lines(tmp_path / "lines", sound_lines())
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert main(["--out", str(tmp_path / "out"), "--lines", str(tmp_path / "lines")]) == 2
    assert "another bench is at work there" in capsys.readouterr().err
