"""The clock and the workers of the soak."""

import functools
import time

import pytest

from soak.clockwork import time_of
from soak.sqs import Queue
from soak.world import BEGIN, Killed, World
from whop_chat.runtime.deadline import Deadline


def test_waiting_takes_no_time_but_the_worlds() -> None:
    world = World(0)
    story: list[str] = []

    def work(name: str, seconds: float) -> None:
        world.sleep(seconds)
        story.append(f"{name} at {world.now - BEGIN:.0f}")

    world.start(lambda: work("slow", 600))
    world.start(lambda: work("fast", 60))
    world.run(BEGIN + 3600)

    assert story == ["fast at 60", "slow at 600"]
    assert world.now == BEGIN + 3600


def test_what_falls_on_one_moment_happens_in_an_order_that_the_seed_decides() -> None:
    def order(seed: int) -> list[int]:
        world = World(seed)
        story: list[int] = []
        for number in range(8):
            world.start(functools.partial(story.append, number))
        world.run(BEGIN)
        return story

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == list(range(8))


def test_nothing_of_a_killed_worker_runs_any_more() -> None:
    world = World(0)
    story: list[str] = []

    def work() -> None:
        try:
            world.sleep(10)
            story.append("went on")
        finally:
            world.sleep(1)
            story.append("cleaned up")

    worker = world.start(work)
    world.at(BEGIN + 5, worker.kill)
    world.run(BEGIN + 100)

    assert worker.done
    assert worker.killed
    assert story == []


def test_a_worker_that_is_killed_before_it_began_never_begins() -> None:
    world = World(0)
    story: list[str] = []
    worker = world.start(lambda: story.append("began"), after=5)
    world.at(BEGIN, worker.kill)
    world.run(BEGIN + 100)

    assert worker.done
    assert story == []


def test_who_waits_for_a_worker_learns_of_its_end_however_it_ends() -> None:
    world = World(0)
    story: list[object] = []

    def dies() -> None:
        world.current.kill()
        raise Killed

    def waits() -> None:
        story.append(world.start(lambda: "result").wait())
        lost = world.start(dies)
        story.append((lost.wait(), lost.killed))

    world.start(waits)
    world.run(BEGIN)

    assert story == ["result", (None, True)]


def test_a_defect_in_a_worker_ends_the_run() -> None:
    world = World(0)
    world.start(lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        world.run(BEGIN)


def test_the_package_lives_in_the_time_of_the_world_and_afterwards_in_its_own_again() -> None:
    world = World(0)
    with time_of(world):
        deadline = Deadline(3)
        world.now += 2
        assert deadline.remaining() == pytest.approx(1)

    assert Deadline.__init__.__kwdefaults__ == {"clock": time.monotonic}


def test_a_message_comes_again_until_it_is_deleted_and_is_then_accounted_for() -> None:
    world = World(0)
    queue = Queue(world)
    queue.send("body", delay=30)
    assert queue.receive(5) == []

    world.now += 31
    (message,) = queue.receive(5)
    assert queue.receive(5) == []
    world.now += 361
    (again,) = queue.receive(5)
    queue.delete(again)

    assert again is message
    assert (message.receives, queue.accepted, queue.handled) == (2, 1, 1)
    assert not queue.waiting


def test_a_message_that_was_received_too_often_is_a_dead_letter() -> None:
    world = World(0)
    queue = Queue(world)
    queue.send("body")
    for _ in range(251):
        world.now += 400
        queue.receive(1)

    assert queue.dead == ["body"]
    assert not queue.waiting
