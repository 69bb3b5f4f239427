"""Every line that waits is shown once, to one person, and what is a fair sample stays one."""

import threading

from serving.web.queue import LEASE_S, ROUND, Queue, Turn
from tests.unit.serving.web.desks import seen_line

LINES = [seen_line(f"line {number}", number / 200, seed=number) for number in range(200)]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def queue_of(lines: list[object], share: float = 0.2, *, seed: int = 1) -> Queue:
    queue = Queue(control_share=share, seed=seed, clock=Clock())
    queue.add(lines)  # type: ignore[arg-type]
    return queue


def drain(queue: Queue) -> list[Turn]:
    turns = []
    while turn := queue.take():
        queue.done(turn.line)
        turns.append(turn)
    return turns


def test_all_lines_come_once_the_doubtful_ones_early() -> None:
    turns = drain(queue_of(LINES))
    assert sorted(turn.line.text for turn in turns) == sorted(line.text for line in LINES)
    unsure = [turn.line.confidence for turn in turns if turn.why == "uncertain"]
    assert max(unsure[: ROUND // 2]) < 1.0
    assert sum(unsure[:ROUND]) < sum(unsure[-ROUND:])


def test_a_sample_is_sent_as_one_and_is_the_same_whatever_was_read() -> None:
    turned = [seen_line(line.text, 1 - line.confidence, seed=number) for number, line in enumerate(LINES)]
    first, again = (
        {t.line.text for t in drain(queue_of(lines)) if t.chosen_by == "sample"} for lines in (LINES, turned)
    )  # type: ignore[arg-type]
    assert first == again
    assert 25 <= len(first) <= 55


def test_a_line_that_somebody_has_before_him_is_shown_to_nobody_else_until_it_is_late() -> None:
    clock = Clock()
    queue = Queue(control_share=0.0, seed=0, clock=clock)
    queue.add(LINES[:2])
    first, second = queue.take(), queue.take()
    assert first is not None
    assert second is not None
    assert first.line.text != second.line.text
    assert queue.take() is None
    queue.done(second.line)
    assert queue.take() is None
    clock.now = LEASE_S + 1
    late = queue.take()
    assert late is not None
    assert late.line.text == first.line.text
    assert len(queue) == 1


def test_lines_that_come_later_are_waited_for_too() -> None:
    queue = queue_of(LINES[:3], 0.0)
    assert len(drain(queue)) == 3
    assert queue.take() is None
    queue.add(LINES[3:5])
    assert len(drain(queue)) == 2


def test_many_at_once_get_different_lines() -> None:
    queue, got, start = queue_of(LINES), [], threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(20):
            turn = queue.take()
            assert turn is not None
            got.append(turn.line.text)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == len(set(got)) == 80
