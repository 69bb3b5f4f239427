import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from htr.corruptions import CORRUPTIONS
from htr.error_fit import LEAST_LINES, Readings, _fit, fit_error_model, fit_readings
from htr.error_model import CEILING, TRANSFORMS, Case, ErrorModel, log_odds
from htr.errors import BundleError
from htr.evaluate import evaluate
from htr.image import decode
from htr.lines import LinesDataset, LinesWriter
from htr.profile import EMBEDDING_SIZE, FEATURES, Profile
from htr.recogniser import Recogniser
from tests.conftest import line_png, make_line

LENGTH = 40


def invented(
    num: int, rng: np.random.Generator, *, kind: str = "", source: str = "s", worse: float = 0.0
) -> Readings:
    """Return readings whose error rate hangs on the entropy alone."""
    readings = Readings()
    for number in range(num):
        unsure = rng.uniform(0, 0.6) + worse
        sure = {
            "mean_char_prob": 1 - unsure / 2,
            "min_char_prob": 0.5,
            "text_log_prob": -unsure,
            "entropy": unsure,
        }
        readings.profiles.append(
            Profile(
                **{**dict.fromkeys(FEATURES, 0.5), "num_characters": LENGTH, **sure},
                embedding=(0.0,) * EMBEDDING_SIZE,
            )
        )
        readings.edits.append(int(rng.binomial(LENGTH, min(0.95, 0.6 * unsure))))
        readings.characters.append(LENGTH)
        readings.kinds.append(kind)
        readings.strengths.append(1.0 if kind else 0.0)
        readings.sources.append(source)
        readings.writers.append(f"w{number % 12}")
    return readings


def joined(*parts: Readings) -> Readings:
    whole = Readings()
    for part in parts:
        for name in Readings.__slots__:
            getattr(whole, name).extend(getattr(part, name))
    return whole


def columns(readings: Readings) -> dict[str, np.ndarray]:
    return {
        name: np.array([getattr(p, name) for p in readings.profiles]) for name in (*TRANSFORMS, "num_characters")
    }


def test_the_rate_of_lines_of_an_unseen_difficulty_is_estimated() -> None:
    rng = np.random.default_rng(0)
    model = fit_readings(joined(invented(300, rng), invented(200, rng, kind="blur", worse=0.6)))
    for worse in (0.0, 0.2, 0.4, 0.6):
        unseen = invented(400, rng, worse=worse)
        measured = sum(unseen.edits) / sum(unseen.characters)
        estimated = model.cer(columns(unseen))
        assert estimated == pytest.approx(measured, abs=0.03)
        low, high = model.interval(estimated)
        assert low < measured < high


def test_the_models_own_error_comes_from_sources_and_kinds_that_a_trial_did_not_see() -> None:
    rng = np.random.default_rng(1)
    parts = [invented(100, rng, source="a"), invented(100, rng, source="b"), invented(5, rng, source="few")]
    model = fit_readings(
        joined(*parts, invented(80, rng, kind="blur"), invented(80, rng, kind="faded", worse=0.5))
    )
    assert {case.name for case in model.cases} == {"source a", "source b", "blur 1", "faded 1"}
    assert max(abs(case.estimated - case.measured) for case in model.cases) < 0.2
    off = [log_odds(case.estimated) - log_odds(case.measured) for case in model.cases]
    assert model.spread == pytest.approx(np.sqrt(np.mean(np.square(off))))
    one_source = fit_readings(invented(300, rng))
    assert all(case.name.startswith("writers ") for case in one_source.cases)


def test_a_feature_that_never_varies_has_no_say_and_the_estimate_stays_within_its_bounds() -> None:
    rng = np.random.default_rng(2)
    model = fit_readings(invented(200, rng))
    assert {term.feature for term in model.terms} == {"mean_char_prob", "text_log_prob", "entropy"}
    wild = {name: np.array([1e9, -1e9, 0.0]) for name in (*TRANSFORMS, "num_characters")}
    wild["num_characters"] = np.ones(3)
    wild["mean_char_prob"] = np.array([0.0, 1.0, 1.0])
    wild["entropy"] = np.array([0.0, 1e9, 5.0])
    assert ((model.rates(wild) > 0) & (model.rates(wild) < CEILING)).all()


def test_where_nearly_every_line_is_read_well_the_fit_stays_sane() -> None:
    """Whole steps of Newton's method run off here: weights of a thousand million, and a rate of 0 or of 130 %."""
    rng = np.random.default_rng(0)
    hard = np.r_[np.zeros(600), rng.choice([0, 0.1, 3.0], 120)]

    def grows(by: float) -> npt.NDArray[np.float64]:
        return hard * by + rng.exponential(0.02, len(hard))

    columns = {
        "mean_char_prob": np.clip(1 - grows(0.3), 0.02, 1),
        "text_log_prob": -grows(2),
        "entropy": grows(1),
        "min_char_prob": np.clip(0.99 - grows(0.3), 0.01, 1),
        "surprise": 2 + grows(1),
        "characters_per_height": 2.5 + rng.normal(0, 0.5, len(hard)),
        "space_share": rng.uniform(0, 0.2, len(hard)),
        "num_characters": np.full(len(hard), 20.0),
    }
    edits = np.where(hard > 1, 20.0, 0.0)
    edits[rng.integers(0, 600, 3)] = 1
    easy = hard == 0
    measured = edits[easy].sum() / (20 * easy.sum())
    with np.errstate(over="raise", invalid="raise"):
        model = _fit(columns, edits, np.full(len(hard), 20.0))
    assert model.cer({name: values[easy] for name, values in columns.items()}) == pytest.approx(measured, rel=0.5)


def test_an_error_model_is_fitted_on_spoilt_lines_of_a_dataset(tiny_bundle: Path, tmp_path: Path) -> None:
    with LinesWriter(tmp_path / "lines") as out:
        for number in range(LEAST_LINES + 2):
            out.add(replace(make_line("ab c" * (1 + number % 3), number), split="val"))
    dataset, recogniser = LinesDataset.open(tmp_path / "lines"), Recogniser.load(tiny_bundle)
    found = evaluate(recogniser, dataset, ["val"])
    seen: list[int] = []
    model = fit_error_model(recogniser, dataset, found.lines, num_spoilt=3 * 8 * 2, on_line=seen.append)
    assert model is not None
    assert seen == list(range(1, 49))
    assert model.fitted_rows == LEAST_LINES + 2 + 48
    assert fit_error_model(recogniser, dataset, found.lines, num_spoilt=48) == model
    assert fit_error_model(recogniser, dataset, found.lines[: LEAST_LINES - 1], num_spoilt=48) is None


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_spoils_more_the_stronger_it_is_and_depends_on_its_seed_alone(kind: str) -> None:
    grey = decode(line_png("a much longer line of text", height=48))
    spoilt = [CORRUPTIONS[kind](grey, strength, np.random.default_rng(3)) for strength in (1.0, 2.0, 3.0)]
    for strength, image in zip((1.0, 2.0, 3.0), spoilt, strict=True):
        assert (image.dtype, image.ndim, min(image.shape) >= 4) == (np.uint8, 2, True)
        np.testing.assert_array_equal(image, CORRUPTIONS[kind](grey, strength, np.random.default_rng(3)))
    assert not np.array_equal(spoilt[0], grey)
    assert not np.array_equal(spoilt[0], spoilt[2])


def test_what_was_written_is_what_is_loaded_and_anything_else_is_refused_by_name(tmp_path: Path) -> None:
    model = fit_readings(invented(100, np.random.default_rng(4)))
    file = tmp_path / "error_model.json"
    file.write_bytes(model.to_bytes())
    assert ErrorModel.load(file) == model
    raw = json.loads(model.to_bytes())
    for broken in (
        "{}",
        "no",
        json.dumps({**raw, "format_version": 99}),
        json.dumps({**raw, "profile_version": 1}),
        json.dumps({**raw, "terms": [{**raw["terms"][0], "feature": "luck"}]}),
    ):
        file.write_text(broken)
        with pytest.raises(BundleError, match=r"error_model\.json: not an error model .*evaluate the model again"):
            ErrorModel.load(file)


def test_an_interval_widens_with_what_trials_were_off() -> None:
    model = ErrorModel(
        offset=0.0,
        terms=(),
        spread=0.1,
        cases=(Case(name="a", lines=1, estimated=0.1, measured=0.1),),
        fitted_rows=1,
    )
    near, far = model.interval(0.2), replace(model, spread=0.5).interval(0.2)
    assert far[0] < near[0] < 0.2 < near[1] < far[1] < CEILING
    assert replace(model, spread=0.0).interval(0.2) == pytest.approx((0.2, 0.2))
