"""Fixtures that many tests share: real lines and a real, if untaught, model bundle."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import coverage
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from htr.alphabet import Alphabet
from htr.bundle import Bundle, write_bundle
from htr.export import bundle_files
from htr.image import Geometry
from htr.lines import Line
from htr.model import LineNet, ModelConfig

UNIT = Path(__file__).parent / "unit"
TINY = ModelConfig(height=16, channels=(4, 4, 8, 8), squeeze=16, width=8)


def line_png(text: str, *, height: int = 32, seed: int = 0) -> bytes:
    """Return a small PNG with text drawn on slightly noisy paper."""
    rng = np.random.default_rng(seed)
    image = Image.new("L", (12 + 9 * len(text), height), 235)
    ImageDraw.Draw(image).text((6, height // 2 - 7), text, fill=30, font_size=14)
    noisy = np.clip(np.asarray(image, np.int16) + rng.integers(-4, 5, (height, image.width)), 0, 255)
    out = io.BytesIO()
    Image.fromarray(noisy.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def make_line(text: str, number: int = 0, **changes: str) -> Line:
    """Return a lines-dataset row with a drawn image."""
    image = line_png(text, seed=number)
    values = {"writer": f"w{number % 7}", "page": f"p{number}", "language": "eng", "source": "drawn", **changes}
    return Line(id=f"line-{number}", image=image, text=text, width=12 + 9 * len(text), height=32, **values)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Measure coverage in unit tests alone: tracing makes whole programs slower by half, and these would cover
    lines that nobody looks at the outcome of. Nor where kfp compiles, which takes six times as long with it."""
    measured = coverage.Coverage.current()
    if measured is None or (item.path.is_relative_to(UNIT) and not item.get_closest_marker("untraced")):
        return (yield)
    inherited = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COVERAGE_PROCESS")}
    measured.stop()
    try:
        return (yield)
    finally:
        measured.start()
        os.environ.update(inherited)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep versions that tests fetch out of the user's cache."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("QUILLFLOW_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def mlflow_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give a test MLflow's own defaults at both ends: a step, a process of its own, sets what it needs"""
    import mlflow

    def defaults() -> None:
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            del os.environ[name]

    with monkeypatch.context() as environment:
        for name, value in list(os.environ.items()):
            if name.startswith("MLFLOW_"):
                environment.setenv(name, value)  # so that it comes back
        defaults()
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
        yield
        defaults()


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untaught bundle of a few kilobytes: it reads nonsense, by the real path."""
    torch.manual_seed(7)
    alphabet = Alphabet("abcdefghijklmnopqrstuvwxyz ")
    net = LineNet(TINY, len(alphabet))
    path = tmp_path_factory.mktemp("bundle") / "tiny"
    bundle = Bundle(
        path=path, architecture=TINY.to_dict(), alphabet=alphabet, geometry=Geometry(height=TINY.height)
    )
    write_bundle(bundle, bundle_files(net))
    return path
