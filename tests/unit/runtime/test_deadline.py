"""Deadlines, and work that is left at one."""

import threading

import pytest

from tests.fakes.clock import Clock
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded, run_within


def test_what_is_left_of_a_deadline_is_never_less_than_nothing() -> None:
    clock = Clock()
    deadline = Deadline(3, clock=clock)
    clock.advance(2)
    assert deadline.remaining() == deadline.require() == 1
    clock.advance(2)
    assert deadline.remaining() == 0
    with pytest.raises(DeadlineExceeded):
        deadline.require()


def test_a_part_of_the_work_has_no_more_time_than_the_whole() -> None:
    deadline = Deadline(3, clock=Clock())

    assert deadline.at_most(1).remaining() == 1
    assert deadline.at_most(5).remaining() == 3


def test_work_that_is_in_time_gives_its_result() -> None:
    assert run_within(5, lambda: "done") == "done"


def test_work_that_fails_raises_its_own_error() -> None:
    def fail() -> None:
        raise LookupError("not there")

    with pytest.raises(LookupError, match="not there"):
        run_within(5, fail)


def test_work_that_does_not_end_is_left() -> None:
    over = threading.Event()
    try:
        with pytest.raises(DeadlineExceeded):
            run_within(0.01, lambda: over.wait(60))
    finally:
        over.set()
