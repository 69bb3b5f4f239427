"""Training settings as they come out of a file, a pipeline parameter or a search."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from htr.errors import SettingsError
from htr.settings import chooses_shape, flat, nested, read_settings, setting_names, training_config
from htr.train_config import TrainConfig


def test_whole_numbers_survive_kfp_which_makes_floats_of_them() -> None:
    model = {"channels": [4.0, 4.0, 8.0, 8.0], "width": 8.0, "dropout": 0}
    config = training_config({"max_lines": 500.0, "seed": 3.0, "learning_rate": 0.001, "model": model})
    assert (config.max_lines, config.seed, config.learning_rate) == (500, 3, 0.001)
    assert (config.model.channels, config.model.width) == ((4, 4, 8, 8), 8)
    assert isinstance(config.seed, int)
    assert all(isinstance(number, int) for number in (*config.model.channels, config.model.width))


def test_every_setting_that_there_is_makes_the_round_trip_through_json() -> None:
    settings = json.loads(json.dumps(asdict(TrainConfig())))
    assert training_config(settings) == TrainConfig() == training_config({})
    assert nested(flat(settings)) == settings
    assert sorted(flat(settings)) == sorted(setting_names())


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"max_line": 5}, "max_line"),
        ({"max_lines": 0}, "max_lines"),
        ({"max_lines": 10.5}, "max_lines"),
        ({"max_lines": float("nan")}, "max_lines"),
        ({"max_lines": True}, "max_lines"),
        ({"seed": "x"}, "seed"),
        ({"accelerator": 1}, "accelerator"),
        ({"model": 1}, "model"),
        ({"model": {"widths": 8}}, "model.widths"),
        ({"model": {"channels": 8}}, "model.channels"),
        ({"model": {"height": 33}}, "height"),
        ({"model": {"height": 1024}}, "height"),
        ({"model": {"strides": [[2, 0], [2, 2], [2, 1], [1, 1]]}}, "strides"),
        ({"model": {"strides": [[0, 2], [2, 2], [2, 1], [1, 1]]}}, "strides"),
        ({"model": {"strides": [[-2, 2], [-2, 2], [2, 1], [1, 1]]}}, "strides"),
        ({"model": {"strides": [[2], [2, 2], [2, 1], [1, 1]]}}, "strides"),
        ({"model": {"residual": [-1, 0, 0, 0]}}, "below"),
    ],
)
def test_what_makes_no_sense_is_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=f"training settings.*{named}"):
        training_config(settings)


@pytest.mark.parametrize("text", ["[1]", "{", "3"])
def test_a_file_that_holds_no_settings_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"settings\.json"):
        read_settings(file)
    with pytest.raises(SettingsError, match=r"absent\.json"):
        read_settings(tmp_path / "absent.json")


def test_only_what_a_network_looks_like_is_its_shape() -> None:
    assert not chooses_shape({"seed": 2, "model": {"dropout": 0.3}})
    assert not chooses_shape({})
    assert chooses_shape({"model": {"dropout": 0.3, "width": 64}})
