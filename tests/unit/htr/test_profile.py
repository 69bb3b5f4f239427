"""Profile rows: what is measured, that it is always a number, and that the second output changes nothing."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from PIL import Image

from htr.bundle import EMBEDDING, INT8, ONNX, REFERENCE, Bundle, amend_bundle
from htr.ctc import best_path
from htr.decoding import Decoding
from htr.image import Geometry, decode, decode_first, line_tensor
from htr.kneser_ney import EDGE
from htr.levels import LEAST_SPREAD, measure_levels, percentiles
from htr.ngram import NGram
from htr.profile import AS_SENT, EMBEDDING_SIZE, SCHEMA, Profile, Sight, profile
from htr.profile_text import measure_text
from htr.recogniser import Recogniser
from tests.conftest import line_png

IMAGES = [
    line_png(text, seed=n) for n, text in enumerate(["a", "hello there", "a much longer line of text", "of"])
]
FLAT = np.log(np.full((10, 4), 0.25, np.float32))


def measured(grey: np.ndarray, text: str = "ab1", scores: np.ndarray = FLAT) -> Profile:
    geometry = Geometry()
    sight = Sight(
        width=grey.shape[1],
        height=grey.shape[0],
        levels=measure_levels(grey),
        line_HW=line_tensor(grey, geometry)[0],
        log_probs_TK=scores,
        embedding_D=None,
    )
    return profile(sight, best_path(scores), text, text_log_prob=-1.0, search_log_prob=None, ngram=None)


def page(shear: float = 0.0, climb: float = 0.0) -> np.ndarray:
    """Draw upright strokes, leaning and climbing as told."""
    grey = np.full((80, 240), 235, np.uint8)
    for y in range(20, 60):
        for x in range(20, 220, 25):
            at = round(x + shear * (40 - y))
            grey[round(y - climb * (x - 120)), at : at + 4] = 20
    return grey


def test_profiles_of_real_readings_are_finite_and_fit_the_schema(tiny_bundle: Path) -> None:
    rows = [observed.profile.row() for observed in Recogniser.load(tiny_bundle).observe(IMAGES)]
    assert all(math.isfinite(value) for row in rows for value in row.values())
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    assert table.num_rows == len(IMAGES)
    assert [Profile.of_row(row).row() for row in table.to_pylist()] == table.to_pylist()


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("slant", page(shear=-0.5), page(shear=0.5)),
        ("skew", page(climb=-0.05), page(climb=0.05)),
        ("stroke_width", page(), np.minimum(page(), np.roll(page(), 3, axis=1))),
        ("ink_share", page(), np.minimum(page(), np.roll(page(), 10, axis=1))),
        ("unevenness", page(), (page() * np.linspace(0.6, 1, 240)).astype(np.uint8)),
        ("noise", page(), np.clip(page() - np.random.default_rng(0).integers(0, 60, (80, 240)), 0, 255)),
        ("sharpness", np.asarray(Image.fromarray(page()).reduce(8).resize((240, 80), 2)), page()),
        ("paper_level", (page() * 0.7).astype(np.uint8), page()),
        ("polarity", page(), 255 - page()),
        ("contrast", 235 - (235 - np.minimum(page(), np.roll(page(), 10, axis=1))) // 2,
         np.minimum(page(), np.roll(page(), 10, axis=1))),
    ],
)  # fmt: skip
def test_a_feature_tells_what_it_is_named_after(name: str, low: np.ndarray, high: np.ndarray) -> None:
    less, more = (getattr(measured(grey.astype(np.uint8)), name) for grey in (low, high))
    assert more > less + 0.1 * abs(less) + 1e-4


@pytest.mark.parametrize(
    "change",
    [
        lambda grey: np.asarray(Image.fromarray(grey).resize((480, 160), Image.Resampling.BICUBIC)),
        lambda grey: np.rint(grey * 0.8).astype(np.uint8),
        lambda grey: 255 - grey,
    ],
    ids=["doubled", "tinted", "inverted"],
)
def test_what_the_network_does_not_see_shows_in_what_was_sent_only(
    change: Callable[[np.ndarray], np.ndarray],
) -> None:
    plain, changed = measured(page(shear=0.3)), measured(change(page(shear=0.3)))
    assert any(getattr(plain, name) != getattr(changed, name) for name in AS_SENT)
    for name, value in plain.row().items():
        if name not in AS_SENT:
            assert changed.row()[name] == pytest.approx(value, abs=0.05, rel=0.1), name


def test_text_features_count_classes_of_characters_and_ask_the_language_model() -> None:
    ngram = NGram.fit(["hello there", "a much longer line of text"])
    found = measure_text("À 1b.", ngram)
    shares = {name: found[f"{name}_share"] for name in ("digit", "capital", "space", "mark", "accent")}
    assert shares == {"digit": 0.2, "capital": 0.2, "space": 0.2, "mark": 0.2, "accent": 0.2}
    assert found["surprise"] > 1.5 * measure_text("hello", ngram)["surprise"] > 0
    total, state = 0.0, ngram.start
    for symbol in [*map(ngram.symbol, "of"), EDGE]:
        log_prob, state = ngram.step(state, symbol)
        total -= log_prob
    assert measure_text("of", ngram)["surprise"] == pytest.approx(total / 3)
    assert (measure_text("", ngram)["surprise"], measure_text("", ngram)["empty"]) == (0, 1)


def test_scores_of_no_preference_have_the_entropy_of_their_classes_and_no_margin() -> None:
    row = measured(page())
    assert row.entropy == pytest.approx(np.log(4), rel=1e-3)
    assert row.path_margin == pytest.approx(0, abs=1e-6)
    sure = FLAT.copy()
    sure[:, 1], sure[:, [0, 2, 3]] = np.log(0.97), np.log(0.01)
    assert measured(page(), scores=sure).path_margin == pytest.approx(np.log(97), rel=1e-4)


@pytest.mark.parametrize("grey", [np.zeros((4, 1), np.uint8), np.full((40, 200), 255, np.uint8)])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_profile_of_nothing_is_finite(grey: np.ndarray, steps: int) -> None:
    row = measured(grey, "", np.log(np.full((steps, 3), 1 / 3, np.float32))).row()
    assert all(math.isfinite(value) for value in row.values())


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=60)))
def test_any_image_has_a_finite_profile_and_the_levels_that_numpy_finds(grey: np.ndarray) -> None:
    assert all(math.isfinite(value) for value in measured(grey).row().values())
    counts = np.bincount(grey.ravel(), minlength=256)
    wanted = (0, 1, 5, 50, 95, 99, 100)
    assert percentiles(counts, wanted) == np.percentile(grey, wanted).tolist()
    levels = measure_levels(grey)
    beyond = np.abs(grey.astype(int) - round(levels.paper)) >= LEAST_SPREAD
    assert levels.beyond_noise == pytest.approx(beyond.mean())


def test_the_second_output_leaves_the_scores_as_they_were_to_the_last_bit(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    bundle = Bundle.open(tiny_bundle)
    without = {}
    for name in (ONNX, INT8):
        graph = onnx.load(bundle.path / name)
        del graph.graph.output[1]
        without[name] = graph.SerializeToString()
    old = amend_bundle(bundle, tmp_path / "old", without)
    for precision in ("fp32", "int8"):
        new_one, old_one = (Recogniser(one, precision=precision) for one in (bundle, old))
        for image in IMAGES:
            np.testing.assert_array_equal(new_one.log_probs(decode(image)), old_one.log_probs(decode(image)))
        assert new_one.read(IMAGES) == old_one.read(IMAGES)
        for new_row, old_row in zip(new_one.observe(IMAGES), old_one.observe(IMAGES), strict=True):
            assert old_row.profile.embedding == (0.0,) * EMBEDDING_SIZE
            assert len(set(new_row.profile.embedding)) == EMBEDDING_SIZE


def test_an_embedding_is_the_same_whatever_else_is_read_and_differs_between_lines(tiny_bundle: Path) -> None:
    recogniser = Recogniser.load(tiny_bundle)
    together = [one.profile.embedding for one in recogniser.observe(IMAGES)]
    assert together[::-1] == [one.profile.embedding for one in recogniser.observe(IMAGES[::-1])]
    assert len(set(together)) == len(IMAGES)
    assert together == [one.profile.embedding for one in recogniser.observe_decoded(map(decode_first, IMAGES))]
    assert EMBEDDING in [output.name for output in onnx.load(tiny_bundle / ONNX).graph.output]


def test_a_copy_of_another_decoding_has_no_reference_of_the_old_one(tiny_bundle: Path, tmp_path: Path) -> None:
    referred = amend_bundle(Bundle.open(tiny_bundle), tmp_path / "a", {REFERENCE: b"rows"})
    assert REFERENCE in amend_bundle(referred, tmp_path / "same", {}, decoding=None).files
    assert REFERENCE not in amend_bundle(referred, tmp_path / "other", {}, decoding=Decoding(beam=4)).files


def test_a_profile_with_an_embedding_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="16 numbers, got 2"):
        Profile(**{**{name: 0.0 for name in SCHEMA.names if not name.startswith("emb")}, "embedding": (0.0, 1.0)})
