"""A first token while another worker enrols the same user."""

import pytest

from local.whop_simulator import Fault
from tests.unit.enrolment.world import ANN, World
from whop_chat.enrolment.errors import EnrolmentInProgress, Link
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.record import Record, Status


@pytest.fixture
def slept(world: World) -> list[float]:
    """How long the worker slept, each time. The other worker has finished after the second time."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            world.write(Record(status=Status.LINKED, whop_user_id="user_Ann"))
            world.people.clear()  # a linked user is not looked up

    world.sleep = sleep
    return slept


def patiently(world: World, *, patience: float = 60, deadline: float = 60) -> Link:
    record = world.users.get(ANN)
    return world.enrolment.enrol_patiently(ANN, record, patience_seconds=patience, deadline=Deadline(deadline))


def test_the_link_of_the_other_worker_is_waited_for(world: World, slept: list[float]) -> None:
    world.write(Record(status=Status.PENDING, lease_until=int(world.now) + 5))

    assert patiently(world) == Link("user_Ann")
    assert slept == [0.1, 0.1]
    assert world.creates() == []


@pytest.mark.parametrize("limit", ["patience", "deadline"])
def test_nobody_sleeps_past_their_patience_or_deadline(world: World, slept: list[float], limit: str) -> None:
    world.write(Record(status=Status.PENDING, lease_until=int(world.now) + 5))
    with pytest.raises(EnrolmentInProgress):
        patiently(world, **{limit: 0.05})

    assert slept == []


def test_a_request_that_runs_at_whop_is_not_waited_for(world: World, slept: list[float]) -> None:
    world.simulator.add_fault(Fault("accounts.create", "crash_before"))
    with pytest.raises(EnrolmentInProgress):
        patiently(world)

    assert slept == []
