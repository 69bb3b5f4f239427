from pathlib import Path

import pytest

from htr.rates import GUESSES_A_MINUTE, Rates
from serving.guesses import Guesses, peer_address
from tests.unit.serving.test_writes import DESK, application, send


def test_who_sends_many_wrong_tokens_is_told_to_wait_and_the_right_one_is_let_in(
    tmp_path: Path,
) -> None:
    app = application(tmp_path)

    @app.post("/v1/models/htr:predict")
    async def read() -> str:
        return "read"

    wrong = ["x" * 20] * (GUESSES_A_MINUTE + 2)
    answers = send(app, [*wrong, DESK], path="/v1/models/htr:predict")
    assert [one.status_code for one in answers] == [401] * GUESSES_A_MINUTE + [429, 429, 200]
    assert answers[-2].json()["code"] == "too_often"
    assert int(answers[-2].headers["retry-after"]) >= 1


def test_to_have_no_token_is_no_guess_and_addresses_are_counted_apart() -> None:
    now = [0.0]
    guesses = Guesses(Rates(2, clock=lambda: now[0]))
    assert [guesses.refuse("192.0.2.1", sent=False).status for _ in range(5)] == [401] * 5
    assert [guesses.refuse("192.0.2.1", sent=True).status for _ in range(3)] == [401, 401, 429]
    assert guesses.refuse("192.0.2.2", sent=True).status == 401
    now[0] = 60.0
    assert guesses.refuse("192.0.2.1", sent=True).status == 401


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.7:4711", "192.0.2.7"),
        ("ipv6:%5B2001:db8::1%5D:4711", "2001:db8::1"),
        ("ipv6:[::1]:4711", "::1"),
        ("unix:/tmp/socket", "unix:/tmp/socket"),
    ],
)
def test_grpc_says_where_a_guess_comes_from(peer: str, address: str) -> None:
    assert peer_address(peer) == address
