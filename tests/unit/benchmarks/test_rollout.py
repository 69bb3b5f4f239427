import numpy as np
import pytest

from benchmarks.rollout import Case, cases, simulate
from monitoring.rollout.policy import Policy

POLICY = Policy(give_up_hours=3.0)


def test_of_many_canaries_that_are_not_worse_at_most_alpha_are_taken_back() -> None:
    rng, rollouts = np.random.default_rng(11), 60
    for case in [case for case in cases() if case.null and "every" not in case.name]:
        found = [simulate(case, POLICY, rng) for _ in range(rollouts)]
        assert sum(bool(one.guards) for one in found) <= POLICY.alpha * rollouts, case.name
        if case.name.startswith("equal"):
            assert all(one.choice == "promote" for one in found), case.name


@pytest.mark.parametrize("case", [case for case in cases() if not case.null], ids=lambda case: case.name)
def test_what_is_clearly_worse_is_taken_back_soon(case: Case) -> None:
    rng = np.random.default_rng(12)
    found = [simulate(case, POLICY, rng) for _ in range(3)]
    assert sum(one.choice == "roll_back" and bool(one.guards) for one in found) >= 2
