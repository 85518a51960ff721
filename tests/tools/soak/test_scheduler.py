"""The clock and the workers of the soak."""

import functools
import time

import pytest

from soak.scheduler import BEGIN, Killed, Scheduler
from soak.sqs import Queue
from soak.virtual_clock import virtual_time
from whop_chat.runtime.deadline import Deadline


def test_waiting_takes_no_time_but_the_worlds() -> None:
    scheduler = Scheduler(0)
    story: list[str] = []

    def work(name: str, seconds: float) -> None:
        scheduler.sleep(seconds)
        story.append(f"{name} at {scheduler.now - BEGIN:.0f}")

    scheduler.start(lambda: work("slow", 600))
    scheduler.start(lambda: work("fast", 60))
    scheduler.run(BEGIN + 3600)

    assert story == ["fast at 60", "slow at 600"]
    assert scheduler.now == BEGIN + 3600


def test_what_falls_on_one_moment_happens_in_an_order_that_the_seed_decides() -> None:
    def order(seed: int) -> list[int]:
        scheduler = Scheduler(seed)
        story: list[int] = []
        for number in range(8):
            scheduler.start(functools.partial(story.append, number))
        scheduler.run(BEGIN)
        return story

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == list(range(8))


def test_nothing_of_a_killed_worker_runs_any_more() -> None:
    scheduler = Scheduler(0)
    story: list[str] = []

    def work() -> None:
        try:
            scheduler.sleep(10)
            story.append("went on")
        finally:
            scheduler.sleep(1)
            story.append("cleaned up")

    worker = scheduler.start(work)
    scheduler.at(BEGIN + 5, worker.kill)
    scheduler.run(BEGIN + 100)

    assert worker.done
    assert worker.killed
    assert story == []


def test_a_worker_that_is_killed_before_it_began_never_begins() -> None:
    scheduler = Scheduler(0)
    story: list[str] = []
    worker = scheduler.start(lambda: story.append("began"), after=5)
    scheduler.at(BEGIN, worker.kill)
    scheduler.run(BEGIN + 100)

    assert worker.done
    assert story == []


def test_who_waits_for_a_worker_learns_of_its_end_however_it_ends() -> None:
    scheduler = Scheduler(0)
    story: list[object] = []

    def dies() -> None:
        scheduler.current.kill()
        raise Killed

    def waits() -> None:
        story.append(scheduler.start(lambda: "result").wait())
        lost = scheduler.start(dies)
        story.append((lost.wait(), lost.killed))

    scheduler.start(waits)
    scheduler.run(BEGIN)

    assert story == ["result", (None, True)]


def test_a_defect_in_a_worker_ends_the_run() -> None:
    scheduler = Scheduler(0)
    scheduler.start(lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        scheduler.run(BEGIN)


def test_the_package_lives_in_the_time_of_the_world_and_afterwards_in_its_own_again() -> None:
    scheduler = Scheduler(0)
    with virtual_time(scheduler):
        deadline = Deadline(3)
        scheduler.now += 2
        assert deadline.remaining() == pytest.approx(1)

    assert Deadline.__init__.__kwdefaults__ == {"clock": time.monotonic}


def test_a_message_comes_again_until_it_is_deleted_and_is_then_accounted_for() -> None:
    scheduler = Scheduler(0)
    queue = Queue(scheduler)
    queue.send("body", delay=30)
    assert queue.receive(5) == []

    scheduler.now += 31
    (message,) = queue.receive(5)
    assert queue.receive(5) == []
    scheduler.now += 361
    (again,) = queue.receive(5)
    queue.delete(again)

    assert again is message
    assert (message.receives, queue.accepted, queue.handled) == (2, 1, 1)
    assert not queue.waiting


def test_a_message_that_was_received_too_often_is_a_dead_letter() -> None:
    scheduler = Scheduler(0)
    queue = Queue(scheduler)
    queue.send("body")
    for _ in range(251):
        scheduler.now += 400
        queue.receive(1)

    assert queue.dead == ["body"]
    assert not queue.waiting
