"""The space that is searched, and the points that are sampled up front."""

import pytest

from htr.errors import SettingsError
from htr.search.config import SearchConfig
from htr.search.space import SPACE, Choice, Range, points, space_for
from htr.settings import flat, nested, setting_names, training_config


def test_every_dimension_names_a_setting_and_both_its_ends_can_be_trained_with() -> None:
    assert {one.name for one in SPACE} <= set(setting_names())
    for share in (0.0, 1.0):
        training_config(nested({one.name: one.at(share) for one in SPACE}))


def test_points_begin_with_the_defaults_and_a_longer_row_begins_with_the_shorter() -> None:
    long, short = points(SPACE, 12, seed=3), points(SPACE, 5, seed=3)
    assert long[:5] == short
    assert training_config(nested(long[0])) == training_config({})
    assert points(SPACE, 5, seed=4)[1:] != short[1:]
    assert points(SPACE, 1, seed=3) == long[:1]


def test_points_spread_over_every_range_and_stay_within() -> None:
    spread = points(SPACE, 33, seed=1)[1:]
    for one in SPACE:
        values = [point[one.name] for point in spread]
        assert all(one.holds(value) for value in values)
        # 32 points of a Sobol sequence: one in every 32nd of the range, so half of them in either half.
        assert 14 <= sum(value <= one.at(0.499) for value in values) <= 24, one.name
    assert {point["batch_size"] for point in spread} == {4, 8, 16, 32}


def test_a_range_of_whole_numbers_gives_each_of_them_its_share() -> None:
    layers = Range(name="n", low=1, high=3, step=1)
    assert [layers.at(n / 9) for n in range(9)] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert layers.at(1.0) == 3
    assert isinstance(layers.at(0.5), int)
    assert Choice(name="b", values=(4, 8)).at(1.0) == 8
    assert Range(name="l", low=1e-4, high=1e-2, log=True).at(0.5) == pytest.approx(1e-3)


def test_what_is_fixed_is_not_searched_nor_the_shape_of_a_base() -> None:
    names = [one.name for one in space_for({"batch_size": 8, "model": {"dropout": 0.1}}, has_base=False)]
    assert "batch_size" not in names
    assert "model.dropout" not in names
    assert "model.width" in names
    of_network = [one.name for one in space_for({}, has_base=True) if one.name.startswith("model.")]
    assert of_network == ["model.dropout"]
    with pytest.raises(SettingsError, match="nothing left to search"):
        space_for(nested(dict.fromkeys(flat(nested({one.name: 1 for one in SPACE})), 1)), has_base=False)


@pytest.mark.parametrize("seed", [-1, 2**31 + 1])
def test_a_seed_that_no_training_takes_is_refused(seed: int) -> None:
    with pytest.raises(SettingsError, match=r"search: seed must be within 0\.\.2147483648, got"):
        SearchConfig(trials=1, max_lines=1, seed=seed)
