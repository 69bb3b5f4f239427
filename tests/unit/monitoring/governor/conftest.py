"""A governor that every test may use."""

from pathlib import Path

import pytest

from tests.governor_world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
