"""First come, first served."""

import threading

import pytest

from serving.turns import Turns
from tests.servers import wait_until


def test_who_waits_comes_before_who_gives_back_and_takes_again() -> None:
    turns, order = Turns(["one"]), list[str]()

    def waiter() -> None:
        with turns.taken():
            order.append("waited")

    with turns.taken():
        thread = threading.Thread(target=waiter)
        thread.start()
        wait_until(lambda: turns.num_waiting)
    with turns.taken():
        order.append("again")
    thread.join()
    assert order == ["waited", "again"]


def test_a_certain_thing_is_waited_for_while_others_are_handed_out() -> None:
    turns, had = Turns(["one", "two"]), list[str]()

    def waiter() -> None:
        with turns.taken("two") as thing:
            had.append(thing)

    with turns.taken() as first:
        assert first == "two", "the last one first"
        thread = threading.Thread(target=waiter)
        thread.start()
        wait_until(lambda: turns.num_waiting)
        with turns.taken() as other:
            assert other == "one"
        assert not had
    thread.join()
    assert had == ["two"]


def test_what_failed_is_handed_out_last() -> None:
    turns = Turns(["one", "two"])
    with pytest.raises(ZeroDivisionError), turns.taken() as broken:
        1 / 0  # noqa: B018
    with turns.taken() as next_one:
        assert next_one != broken
