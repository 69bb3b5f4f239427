"""The one inference path, and the profile rows it makes."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from htr.bundle import Bundle
from htr.ctc import best_path
from htr.errors import BundleError, ImageError
from htr.export import load_net
from htr.image import decode, line_tensor
from htr.likelihood import text_log_prob
from htr.profile import FEATURES, SCHEMA, profile
from htr.recogniser import Reading, Recogniser
from tests.conftest import line_png

IMAGES = [
    line_png(text, seed=n) for n, text in enumerate(["a", "hello there", "a much longer line of text", "of"])
]


def test_a_reading_does_not_depend_on_what_else_is_asked(tiny_bundle: Path) -> None:
    recogniser = Recogniser.load(tiny_bundle)
    alone = [recogniser.read([image])[0] for image in IMAGES]
    assert recogniser.read(IMAGES) == alone
    assert recogniser.read(IMAGES[::-1]) == alone[::-1]


def test_threads_read_what_one_reader_reads(tiny_bundle: Path) -> None:
    recogniser = Recogniser.load(tiny_bundle)
    alone = recogniser.read(IMAGES)
    with ThreadPoolExecutor(4) as pool:
        for answer in pool.map(recogniser.read, [IMAGES] * 8):
            assert answer == alone


def test_onnx_reads_what_torch_reads(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    net, recogniser = load_net(bundle), Recogniser(bundle)
    for image in IMAGES:
        tensor = torch.from_numpy(line_tensor(decode(image), bundle.geometry)[None])
        with torch.no_grad():
            log_probs_TK = net(tensor)[0].numpy()
        path = best_path(log_probs_TK)
        (reading,) = recogniser.read([image])
        assert reading.text == " ".join(bundle.alphabet.decode(path.class_ids).split())
        assert reading.log_prob == pytest.approx(text_log_prob(log_probs_TK, path.class_ids), abs=1e-2)


def test_a_bad_image_is_an_image_error(tiny_bundle: Path) -> None:
    with pytest.raises(ImageError, match="not an image"):
        Recogniser.load(tiny_bundle).read([b"nonsense"])


def test_a_graph_that_is_no_graph_is_a_bundle_error(tiny_bundle: Path, tmp_path: Path) -> None:
    from htr.bundle import ONNX, amend_bundle

    broken = amend_bundle(Bundle.open(tiny_bundle), tmp_path / "b", {ONNX: b"not a graph"})
    with pytest.raises(BundleError, match="cannot be loaded"):
        Recogniser(broken)


def test_a_confidence_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        Reading(text="a", confidence=1.5)


def test_profiles_are_finite_and_fit_the_schema(tiny_bundle: Path) -> None:
    rows = [observed.profile for observed in Recogniser.load(tiny_bundle).observe(IMAGES)]
    assert all(np.isfinite(astuple(row)).all() for row in rows)
    table = pa.Table.from_pylist([{name: getattr(row, name) for name in FEATURES} for row in rows], schema=SCHEMA)
    assert table.num_rows == len(IMAGES)


def sheared(shear: float) -> np.ndarray:
    page = np.full((40, 120), 235, np.uint8)
    for y in range(40):
        for x in (20, 45, 70):
            at = round(x + shear * (40 - y))
            page[y, at : at + 3] = 20
    return page


def test_the_profile_tells_slant_weight_and_darkness_apart() -> None:
    scores = np.log(np.full((10, 4), 0.25, np.float32))

    def measured(grey: np.ndarray) -> dict[str, float]:
        row = profile(grey, scores, best_path(scores), "ab1")
        return {name: getattr(row, name) for name in FEATURES}

    upright, leaning = measured(sheared(0.0)), measured(sheared(0.5))
    assert leaning["slant"] > upright["slant"] + 0.1
    assert measured(sheared(-0.5))["slant"] < upright["slant"] - 0.1
    assert measured((sheared(0.0) * 0.7).astype(np.uint8))["paper_level"] < upright["paper_level"] - 50
    assert upright["digit_share"] == pytest.approx(1 / 3)
    assert upright["entropy"] == pytest.approx(np.log(4), rel=1e-3)


@pytest.mark.parametrize("grey", [np.zeros((1, 1), np.uint8), np.full((40, 200), 255, np.uint8)])
def test_a_profile_of_nothing_is_finite(grey: np.ndarray) -> None:
    scores = np.log(np.full((1, 3), 1 / 3, np.float32))
    assert np.isfinite(astuple(profile(grey, scores, best_path(scores), ""))).all()
