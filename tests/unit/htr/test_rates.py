import threading

import pytest

from htr.rates import Rates, network


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_client_gets_a_minutes_worth_at_once_and_then_as_it_fills() -> None:
    clock = Clock()
    rates = Rates(6, clock=clock)
    assert [rates.take("a").wait_s for _ in range(7)] == [0] * 6 + [10]
    assert rates.take("b").wait_s == 0
    clock.now = 9.9
    assert rates.take("a").wait_s == 1
    clock.now = 10.0
    assert [rates.take("a").wait_s for _ in range(2)] == [0, 10]


def test_only_the_first_refusal_of_a_row_is_the_first() -> None:
    clock = Clock()
    rates = Rates(1, clock=clock)
    assert [rates.take("a").is_first for _ in range(4)] == [False, True, False, False]
    clock.now = 60.0
    assert [rates.take("a").is_first for _ in range(3)] == [False, True, False]


def test_many_addresses_take_no_more_memory_and_get_no_more_and_hold_back_nobody_who_was_known() -> None:
    clock = Clock()
    rates = Rates(10, most_clients=100, clock=clock)
    assert rates.take("known").wait_s == 0
    let_in = sum(rates.take(f"flood {number}").wait_s == 0 for number in range(10_000))
    assert let_in == 98 + 10, "one each where there was room, and one bucket for all others"
    assert len(rates) <= 100
    assert rates.take("known").wait_s == 0
    clock.now = 60.0
    assert rates.take("new").wait_s == 0
    assert len(rates) == 1, "what is full again makes room"


def test_nought_sets_no_limit() -> None:
    rates = Rates(0)
    assert not any(rates.take("a").wait_s for _ in range(1000))
    assert len(rates) == 0
    with pytest.raises(ValueError, match="-1 a minute"):
        Rates(-1)


def test_threads_together_get_no_more_than_one_would() -> None:
    rates, let_in = Rates(50, clock=Clock()), []
    threads = [
        threading.Thread(target=lambda: let_in.extend(rates.take("a").wait_s == 0 for _ in range(40)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(let_in) == 50


def test_a_household_of_ipv6_is_one_client() -> None:
    assert network("2001:db8::1") == network("2001:db8::ffff") != network("2001:db8:0:1::1")
    assert network("192.0.2.1") == network("::ffff:192.0.2.1") != network("192.0.2.2")
    assert network("") == ""
