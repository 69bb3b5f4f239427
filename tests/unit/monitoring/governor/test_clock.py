from datetime import timedelta

import pytest

from monitoring.governor.clock import MOST_ASLEEP_S, GovernedClock
from tests.fakes import NOON
from tests.governor import WorldClock


def test_while_a_process_lives_no_wall_clock_moves_it() -> None:
    world = WorldClock()
    clock = GovernedClock(50.0, NOON, wall=lambda: world.wall, steady=lambda: world.steady)
    for days in (-4000, 0.5, 4000, -1):
        world.set_wall(timedelta(days=days))
        assert clock.at() == 50.0
    world.pass_by(7.0)
    assert clock.at() == 57.0


@pytest.mark.parametrize(
    ("asleep", "gained"),
    [(600.0, 600.0), (-600.0, 0.0), (-4000 * 86400.0, 0.0), (4000 * 86400.0, MOST_ASLEEP_S)],
)
def test_between_processes_it_believes_the_wall_clock_a_day_at_most(asleep: float, gained: float) -> None:
    world = WorldClock()
    world.set_wall(timedelta(seconds=asleep))
    clock = GovernedClock(50.0, NOON, wall=lambda: world.wall, steady=lambda: world.steady)
    assert clock.at() == 50.0 + gained


def test_the_first_process_begins_at_nought() -> None:
    assert GovernedClock(0.0, None, wall=lambda: NOON, steady=lambda: 9.0).at() == 0.0
