"""The examples of docs/serving.md about pages and the log, run as they stand but for addresses."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from htr.correction_store import CorrectionStore
from htr.prediction_log import read_log
from tests.nasty_pages import drawn, scan
from tests.servers import ROOT, model_server

TEXT = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def example(heading: str, language: str) -> str:
    """Return the first example in a language below a heading."""
    section = re.split(rf"^##+ {re.escape(heading)}$", TEXT, flags=re.MULTILINE)[1]
    found = re.search(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.skipif(not shutil.which("curl"), reason="the example needs curl")
def test_the_examples_of_pages_and_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "letter.pdf").write_bytes(scan(drawn(4), drawn(2)))
    kept = ("--log-dir", str(tmp_path / "prediction-log"), "--log-images", "1")
    stores = ("--corrections", str(tmp_path / "corrections"))
    with model_server("--bundle", "htr/pretrained/bundle", *kept, *stores) as server:
        address = server.url.removeprefix("http://")
        shell = example("Pages", "sh").replace("localhost:8080", address)
        answer = json.loads(run(["bash", "-euo", "pipefail", "-c", shell], tmp_path))
        python = example("Pages", "python").replace("localhost:8080", address)
        printed = run([sys.executable, "-c", python], tmp_path)
        assert server.stop() == 0
    (prediction,) = answer["predictions"]
    assert printed == prediction["files"]["text"] + "\n"
    assert [len(page["lines"]) for page in prediction["pages"]] == [4, 2]
    (stored,), _ = CorrectionStore(tmp_path / "corrections").read()
    assert stored.correction.new_text == "il pleut"

    logged = run([sys.executable, "-c", example("Prediction log", "python")], tmp_path).splitlines()
    assert logged[0] == "12" == str(len(read_log(tmp_path / "prediction-log")))
    assert len(logged) == 1 + 12


def test_the_flags_that_the_page_shows_are_there() -> None:
    for module in ("serving", "serving.pages"):
        told = subprocess.run(
            [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        command = rf"python -m {module} (.*)$"
        for options in re.findall(command, TEXT, re.MULTILINE):
            for flag in re.findall(r"--[a-z_-]+", options):
                assert flag in told, f"{module} knows no {flag}"
