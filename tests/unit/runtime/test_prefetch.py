"""The head start: side by side, never in the way, and over when it is waited for."""

import threading

from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.prefetch import Prefetch


def test_the_fetches_are_under_way_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=5)
    met: list[int] = []
    Prefetch(*[lambda _deadline: met.append(both.wait())] * 2).wait()

    assert sorted(met) == [0, 1]


def test_each_is_told_when_it_has_to_be_done() -> None:
    left: list[float] = []
    Prefetch(lambda deadline: left.append(deadline.remaining())).wait()

    assert 0 < left[0] <= 2


def test_as_much_time_is_given_as_there_is() -> None:
    left: list[float] = []
    Prefetch(lambda deadline: left.append(deadline.remaining()), seconds=0.5).wait()

    assert 0 < left[0] <= 0.5


def test_a_failure_is_left_to_whoever_needs_the_answer() -> None:
    done = threading.Event()

    def fail(_deadline: Deadline) -> None:
        raise OSError("nobody there")

    Prefetch(fail, lambda _deadline: done.set()).wait()

    assert done.is_set()


def test_nothing_is_under_way_any_more_after_the_wait() -> None:
    before = threading.active_count()
    Prefetch(lambda _deadline: threading.Event().wait(0.05)).wait()

    assert threading.active_count() == before
