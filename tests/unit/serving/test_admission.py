import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.admission import Admission, Check
from serving.limits import Limits
from serving.refusals import BusyError, TooSlowError


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


def admission_of(pool: ThreadPoolExecutor, *, max_waiting: int = 1, max_seconds: float = 20.0) -> Admission:
    return Admission(pool, num_threads=1, limits=Limits(max_waiting=max_waiting, max_seconds=max_seconds))


def test_what_is_over_is_refused_at_once_and_the_rest_is_answered(pool: ThreadPoolExecutor) -> None:
    admission, gate = admission_of(pool, max_waiting=2), threading.Event()

    def work(_: Check) -> str:
        assert gate.wait(20)
        return "read"

    async def scene() -> list[object]:
        asked = [asyncio.ensure_future(admission.run(work)) for _ in range(5)]
        await asyncio.wait(asked[3:], timeout=20)
        assert [one.done() for one in asked] == [False, False, False, True, True]
        with pytest.raises(BusyError):
            admission.check()
        gate.set()
        answers: list[object] = await asyncio.gather(*asked, return_exceptions=True)
        admission.check()  # and there is room again
        return answers

    answers = asyncio.run(scene())
    assert answers[:3] == ["read"] * 3
    for refused in answers[3:]:
        assert isinstance(refused, BusyError)
        assert refused.retry_after_s is not None
        assert refused.retry_after_s >= 1


def test_when_to_come_back_follows_from_how_long_requests_take(pool: ThreadPoolExecutor) -> None:
    now = [0.0]
    limits = Limits(max_waiting=3, max_seconds=60)
    admission = Admission(pool, num_threads=1, limits=limits, clock=lambda: now[0])
    gate = threading.Event()

    def slow(_: Check) -> None:
        now[0] += 5.0

    async def scene() -> int | None:
        await admission.run(slow)
        waiting = [asyncio.ensure_future(admission.run(lambda _: gate.wait(20))) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError) as refused:
            admission.check()
        gate.set()
        await asyncio.gather(*waiting)
        return refused.value.retry_after_s

    assert asyncio.run(scene()) == 20  # four requests of five seconds each, one after another


def test_work_that_takes_too_long_is_refused_and_ends_at_its_next_check(pool: ThreadPoolExecutor) -> None:
    admission, steps, stopped = admission_of(pool, max_seconds=0.1), [], threading.Event()

    def work(check: Check) -> None:
        try:
            for step in range(1000):
                check()
                steps.append(step)
                time.sleep(0.01)
        finally:
            stopped.set()

    with pytest.raises(TooSlowError, match=r"within 0\.1 s"):
        asyncio.run(admission.run(work))
    assert stopped.wait(20)
    assert 1 <= len(steps) < 100
    assert asyncio.run(admission.run(lambda _: "next")) == "next"


def test_what_waited_too_long_is_never_begun(pool: ThreadPoolExecutor) -> None:
    admission, gate, begun = admission_of(pool, max_seconds=0.1), threading.Event(), []

    def begin(_: Check) -> None:
        begun.append(True)

    async def scene() -> list[object]:
        works: list[Callable[[Check], object]] = [lambda _: gate.wait(20), begin]
        answers = await asyncio.gather(*(admission.run(work) for work in works), return_exceptions=True)
        gate.set()
        return list(answers)

    answers = asyncio.run(scene())
    assert [type(one) for one in answers] == [TooSlowError, TooSlowError]
    pool.shutdown(wait=True)
    assert begun == []


def test_an_error_of_the_work_is_the_errand_s_and_frees_its_place(pool: ThreadPoolExecutor) -> None:
    admission = admission_of(pool)

    def fail(_: Check) -> None:
        raise KeyError("x")

    for _ in range(5):
        with pytest.raises(KeyError):
            asyncio.run(admission.run(fail))
    admission.check()


def nothing() -> None:
    pass


def shared_pool(num_threads: int, threads: ThreadPoolExecutor) -> Admission:
    return Admission(threads, num_threads=num_threads, limits=Limits())


def test_work_is_spread_over_idle_threads_and_comes_back_in_order() -> None:
    with ThreadPoolExecutor(2) as threads:
        together = threading.Barrier(2, timeout=20)

        def double(item: int) -> int:
            if item < 2:
                together.wait()  # only two threads at a time get past it
            return 2 * item

        assert shared_pool(2, threads).spread(double, range(50), nothing) == [2 * n for n in range(50)]


def test_one_thread_alone_does_all_of_it_itself() -> None:
    with ThreadPoolExecutor(1) as threads:
        used = shared_pool(1, threads).spread(lambda _: threading.get_ident(), range(9), nothing)
    assert set(used) == {threading.get_ident()}


def test_helpers_go_back_to_the_pool_when_requests_wait_for_it() -> None:
    with ThreadPoolExecutor(2) as threads, ThreadPoolExecutor(2) as askers:
        admission = shared_pool(2, threads)
        helping, gate = threading.Event(), threading.Event()
        started = [threading.Event(), threading.Event()]

        def request(number: int) -> None:
            def read(_: Check) -> None:
                started[number].set()
                assert gate.wait(20)

            asyncio.run(admission.run(read))

        def work(item: int) -> None:
            if threading.current_thread() is not threading.main_thread():
                helping.set()
                if not gate.is_set():
                    time.sleep(0.001)
            elif not gate.is_set():
                assert helping.wait(20)
                for number in range(2):
                    askers.submit(request, number)
                assert all(one.wait(20) for one in started), "the helper kept a thread that a request waited for"
                gate.set()

        assert admission.spread(work, range(30_000), nothing) == [None] * 30_000


def test_what_goes_wrong_in_a_helper_is_raised_and_ends_the_rest() -> None:
    with ThreadPoolExecutor(3) as threads:
        begun: list[int] = []

        def work(item: int) -> int:
            begun.append(item)
            time.sleep(0.01)
            if threading.current_thread() is not threading.main_thread():
                raise KeyError("x")
            return item

        with pytest.raises(KeyError):
            shared_pool(3, threads).spread(work, range(500), nothing)
        assert len(begun) < 500
