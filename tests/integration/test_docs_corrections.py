"""The examples of docs/corrections.md, run as they stand there but for addresses and the place of Python."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from htr.correction_store import CorrectionStore, Stored
from htr.lines import LinesDataset
from htr.pretrained import PRETRAINED, resolve
from htr.recogniser import Recogniser
from tests.conftest import line_png
from tests.servers import ROOT, model_server

PAGE = (ROOT / "docs" / "corrections.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
IMAGE = line_png("a letter to her")

pytestmark = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("jq")), reason="the examples need curl and jq"
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of the page."""

    folder: Path
    outputs: list[str]
    """Of each block, in order."""
    stored: list[Stored]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("page")
    (folder / "a.png").write_bytes(IMAGE)
    started = re.search(r"^    \.venv/bin/python -m serving (.*)$", PAGE, re.MULTILINE)
    assert started
    options = [str(folder / word) if word == "my-corrections" else word for word in shlex.split(started[1])]
    assert str(folder / "my-corrections") in options
    with model_server(*options) as server:
        places = {
            "localhost:8080": server.url.removeprefix("http://"),
            "localhost:8081": server.grpc,
            ".venv/bin/python": sys.executable,
        }
        outputs = [_run(language, _replaced(code, places), folder) for language, code in BLOCKS]
    return Outcome(folder=folder, outputs=outputs, stored=CorrectionStore(folder / "my-corrections").read()[0])


def _replaced(code: str, places: dict[str, str]) -> str:
    assert any(place in code for place in places), f"what does this run?\n{code}"
    for written, real in places.items():
        code = code.replace(written, real)
    return code


def _run(language: str, code: str, folder: Path) -> str:
    command = {"sh": ["bash", "-euo", "pipefail", "-c", code], "python": [sys.executable, "-c", code]}[language]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def said(outcome: Outcome, part: str) -> str:
    """Return the output of the one block that holds some text."""
    (number,) = (number for number, (_, code) in enumerate(BLOCKS) if part in code)
    return outcome.outputs[number]


def test_the_page_has_examples_of_every_client() -> None:
    assert [language for language, _ in BLOCKS] == ["sh", "sh", "sh", "python", "python", "python", "sh"]


def test_a_correction_is_answered_as_the_page_says_and_then_stored(outcome: Outcome) -> None:
    shown = re.search(r'^    (\{"id".*\})$', PAGE, re.MULTILINE)
    assert shown
    assert said(outcome, "jq --rawfile") == shown[1]
    first = outcome.stored[0].correction
    bundle = Recogniser.load(resolve(PRETRAINED))
    assert (first.id, first.author, first.new_text) == ("desk-3-0001", "Ada", "a letter to Zoé")
    assert first.bundle_digest == bundle.digest
    assert first.old_text == bundle.read([IMAGE])[0].text
    assert CorrectionStore(outcome.folder / "my-corrections").image_file(first).read_bytes() == IMAGE


def test_listing_and_withdrawing_do_as_the_page_says(outcome: Outcome) -> None:
    listed = said(outcome, "corrections/withdraw")
    assert '"count":1' in listed
    assert listed.endswith('{"id":"desk-3-0001","withdrawn":true}')
    assert outcome.stored[0].withdrawal is not None


def test_our_client_corrects_and_is_told_about_a_conflict(outcome: Outcome) -> None:
    printed = said(outcome, "from serving.client")
    second = outcome.stored[1]
    assert printed.splitlines()[0].startswith(second.correction.old_text)
    assert f"id '{second.correction.id}' stands for another correction" in printed
    assert (second.correction.chosen_by, second.correction.line, second.withdrawal) == ("sample", "3", None)
    assert len(outcome.stored) == 2


def test_other_peoples_clients_read_the_same(outcome: Outcome) -> None:
    text = outcome.stored[0].correction.old_text
    assert said(outcome, "InferenceGRPCClient").strip() == repr([text])
    assert text in said(outcome, "tritonclient.http.InferenceServerClient")


def test_the_import_makes_lines(outcome: Outcome) -> None:
    assert "kept 1 lines: train 1" in said(outcome, "htr import corrections")
    (line,) = LinesDataset.open(outcome.folder / "my-corrected-lines").lines()
    assert (line.text, line.image) == ("a letter to Zoé", IMAGE)
