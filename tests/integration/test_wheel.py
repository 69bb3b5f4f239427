"""The wheel: what it holds, and that it reads without the repository."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from htr.recogniser import Recogniser
from tests.conftest import line_png

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, without fetching anything, and unpack it."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "htr", source / "htr", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(source / "dist"),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(source / "site")
    return source / "site"


def test_it_holds_every_module_of_the_recogniser_and_nothing_else(unpacked: Path) -> None:
    wanted = {
        p.relative_to(ROOT) for p in (ROOT / "htr").rglob("*") if p.suffix in {".py", ".typed", ".css", ".toml"}
    }
    wanted |= {p.relative_to(ROOT) for p in (ROOT / "htr" / "pretrained" / "bundle").iterdir()}
    wanted.add(Path("htr/pretrained/README.md"))
    found = {p.relative_to(unpacked) for p in unpacked.rglob("*") if p.is_file()}
    assert {p for p in found if p.parts[0] == "htr"} == wanted
    assert {p.parts[0].partition("-")[0] for p in found} == {"htr", "quillflow"}


def test_it_reads_images_in_the_order_given(unpacked: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    names = ["b.png", "a.png"]
    for n, name in enumerate(names):
        (tmp_path / name).write_bytes(line_png(f"text {n}", seed=n))
    blocked = "import sys; sys.modules.update(dict.fromkeys(['torch', 'cv2', 'mlflow', 'pandas', 'lightning']))"
    run = f"{blocked}; import htr, runpy; assert htr.__file__.startswith({str(unpacked)!r}), htr.__file__"
    run += "; sys.argv = ['htr', *sys.argv[1:]]; runpy.run_module('htr', run_name='__main__')"
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}

    def read(*options: str) -> str:
        command = [sys.executable, "-c", run, "read", "--bundle", str(tiny_bundle), *names, *options]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        ).stdout

    wanted = Recogniser.load(tiny_bundle).read([(tmp_path / name).read_bytes() for name in names])
    answers = json.loads(read("--json"))
    assert [a["file"] for a in answers] == names
    assert [a["text"] for a in answers] == [w.text for w in wanted]
    assert all(0 <= a["confidence"] <= 1 for a in answers)
    assert read().splitlines() == [w.text for w in wanted]
