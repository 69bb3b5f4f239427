"""Training settings as they come out of a pipeline parameter."""

import pytest

from components.train.recorded import training_config
from htr.errors import SettingsError


def test_whole_numbers_survive_kfp_which_makes_floats_of_them() -> None:
    config = training_config({"max_lines": 500.0, "seed": 3.0, "learning_rate": 0.001})
    assert (config.max_lines, config.seed, config.learning_rate) == (500, 3, 0.001)
    assert isinstance(config.seed, int)


@pytest.mark.parametrize("settings", [{"max_line": 5}, {"max_lines": 0}, {"seed": "x"}, {"model": {}}])
def test_what_makes_no_sense_is_named(settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="training settings"):
        training_config(settings)
