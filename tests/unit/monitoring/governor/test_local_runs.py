import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from htr.bundle import Bundle
from monitoring.governor.local_runs import LocalRuns
from monitoring.governor.runs import Found
from tests.servers import wait_until


def pipelines(folder: Path, body: str) -> None:
    """Write a program that stands where ``python -m pipelines`` is looked for."""
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "__init__.py").touch()
    text = "import json, os, sys, time\nfrom pathlib import Path\nopen('begun', 'a').write('x')\n"
    (folder / "pipelines" / "__main__.py").write_text(text + body)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalRuns:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]))
    (tmp_path / "root").mkdir()
    return LocalRuns(state=tmp_path / "state", root=tmp_path / "root")


def ended(runs: LocalRuns, key: str) -> Found:
    def known() -> Found:
        found = runs.find(key)
        assert found is not None
        return found

    wait_until(lambda: known().state != "running")
    return known()


def test_a_run_is_found_while_it_lives_and_tells_what_it_came_to(
    runs: LocalRuns, tmp_path: Path, tiny_bundle: Path
) -> None:
    result = {"promoted": True, "version": 7, "evaluated": str(tiny_bundle)}
    wait = "while Path('hold').exists(): time.sleep(0.02)"
    write = f"Path('root/pipeline.json').write_text({json.dumps(result)!r})"
    pipelines(tmp_path, f"{wait}\n{write}\nprint('got', *sys.argv[1:])")
    (tmp_path / "hold").touch()
    assert runs.find("k-1") is None
    assert runs.start("k-1", {"lines": "a b"}) == "local-k-1"
    assert (found := runs.find("k-1")) is not None
    assert found.state == "running"
    (tmp_path / "hold").unlink()
    found = ended(runs, "k-1")
    assert (found.state, found.promoted, found.version) == ("succeeded", True, "7")
    assert found.digest == Bundle.open(tiny_bundle).digest
    said = (tmp_path / "state" / "runs" / "k-1" / "output.log").read_text()
    assert said == f"got run --root {tmp_path / 'root'} -p lines=a b\n"


def test_the_same_key_is_never_run_twice(runs: LocalRuns, tmp_path: Path) -> None:
    pipelines(tmp_path, "time.sleep(0.3)")
    for _ in range(3):
        runs.start("k-1", {})
    ended(runs, "k-1")
    runs.start("k-1", {})
    time.sleep(0.3)
    assert (tmp_path / "begun").read_text() == "x"


def test_a_pipeline_that_fails_is_told_with_its_exit_code(runs: LocalRuns, tmp_path: Path) -> None:
    pipelines(tmp_path, "print('error: no lines there\\n'); sys.exit(7)")
    runs.start("k-1", {})
    found = ended(runs, "k-1")
    assert found.state == "failed"
    assert "exit code 7: error: no lines there (all of it: " in found.said


def test_a_run_whose_process_is_killed_lives_as_long_as_its_pipeline(runs: LocalRuns, tmp_path: Path) -> None:
    pipelines(tmp_path, "while Path('hold').exists(): time.sleep(0.02)")
    (tmp_path / "hold").touch()
    runs.start("k-1", {})
    wait_until((tmp_path / "begun").exists)
    child = json.loads((tmp_path / "state" / "runs" / "k-1" / "began.json").read_text())["pid"]
    os.kill(child, signal.SIGKILL)
    time.sleep(0.2)
    assert (found := runs.find("k-1")) is not None
    assert found.state == "running"
    (tmp_path / "hold").unlink()
    assert "killed before its end" in ended(runs, "k-1").said


def test_a_run_that_leaves_no_result_has_failed(runs: LocalRuns, tmp_path: Path) -> None:
    pipelines(tmp_path, "pass")
    (tmp_path / "root" / "pipeline.json").write_text(json.dumps({"promoted": True, "of": "an earlier run"}))
    runs.start("k-1", {})
    assert "left no result" in ended(runs, "k-1").said
    shutil.rmtree(tmp_path / "root")
