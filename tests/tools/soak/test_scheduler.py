"""The scheduler of the soak, its virtual clock, and its queue."""

import functools
import time

import pytest

from soak.scheduler import BEGIN, Killed, Scheduler
from soak.sqs import MAX_RECEIVES, Queue
from soak.virtual_clock import virtual_time
from whop_chat.runtime.deadline import Deadline


def test_waiting_takes_virtual_time_only() -> None:
    scheduler = Scheduler(0)
    log: list[str] = []

    def work(name: str, seconds: float) -> None:
        scheduler.sleep(seconds)
        log.append(f"{name} at {scheduler.now - BEGIN:.0f}")

    scheduler.start(lambda: work("slow", 600))
    scheduler.start(lambda: work("fast", 60))
    scheduler.run(BEGIN + 3600)

    assert log == ["fast at 60", "slow at 600"]
    assert scheduler.now == BEGIN + 3600


def test_the_seed_decides_the_order_within_one_moment() -> None:
    def order(seed: int) -> list[int]:
        scheduler = Scheduler(seed)
        log: list[int] = []
        for number in range(8):
            scheduler.start(functools.partial(log.append, number))
        scheduler.run(BEGIN)
        return log

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == list(range(8))


def test_nothing_of_a_killed_worker_runs_any_more() -> None:
    scheduler = Scheduler(0)
    log: list[str] = []

    def work() -> None:
        try:
            scheduler.sleep(10)
            log.append("went on")
        finally:
            scheduler.sleep(1)
            log.append("cleaned up")

    worker = scheduler.start(work)
    scheduler.at(BEGIN + 5, worker.kill)
    scheduler.run(BEGIN + 100)

    assert worker.done
    assert worker.killed
    assert log == []


def test_a_worker_that_is_killed_before_it_began_never_begins() -> None:
    scheduler = Scheduler(0)
    log: list[str] = []
    worker = scheduler.start(lambda: log.append("began"), after=5)
    scheduler.at(BEGIN, worker.kill)
    scheduler.run(BEGIN + 100)

    assert worker.done
    assert log == []


def test_a_waiting_worker_sees_every_kind_of_end() -> None:
    scheduler = Scheduler(0)
    log: list[object] = []

    def dies() -> None:
        scheduler.current.kill()
        raise Killed

    def waits() -> None:
        log.append(scheduler.start(lambda: "result").wait())
        lost = scheduler.start(dies)
        log.append((lost.wait(), lost.killed))

    scheduler.start(waits)
    scheduler.run(BEGIN)

    assert log == ["result", (None, True)]


def test_a_defect_in_a_worker_ends_the_run() -> None:
    scheduler = Scheduler(0)
    scheduler.start(lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        scheduler.run(BEGIN)


def test_virtual_time_ends_with_its_block() -> None:
    scheduler = Scheduler(0)
    with virtual_time(scheduler):
        deadline = Deadline(3)
        scheduler.now += 2
        assert deadline.remaining() == pytest.approx(1)

    assert Deadline.__init__.__kwdefaults__ == {"clock": time.monotonic}


def test_a_message_comes_again_until_it_is_deleted() -> None:
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
    for _ in range(MAX_RECEIVES + 1):
        scheduler.now += 400
        queue.receive(1)

    assert queue.dead == ["body"]
    assert not queue.waiting
