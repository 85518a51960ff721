"""A lease on a user: how long it lasts, how a worker loses it, and how it ends."""

import dataclasses
from typing import Any

import pytest

from tests.fakes.clock import Clock
from tests.fakes.memory_users import MemoryUserRepository
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.users.lease import Lease
from whop_chat.users.record import Record, StaleRecord, Status

ANN = UserRef(pool_id="eu-west-1_Pool", sub="sub-ann", username="ann")
NEW = Record(status=Status.PENDING)


class Refusing(MemoryUserRepository):
    """A table that refuses writes with ``error``, once it is set."""

    error: Exception | None = None
    seconds = 0.0
    """What the last write had time for."""

    def put(self, user: UserRef, record: Record, *, deadline: Deadline | None = None, **options: Any) -> Record:
        if self.error is not None:
            raise self.error
        self.seconds = deadline.remaining() if deadline else -1.0
        return super().put(user, record, **options)


@pytest.fixture
def users() -> Refusing:
    return Refusing()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lease_on(users: MemoryUserRepository, clock: Clock) -> Lease:
    return Lease(users, ANN, deadline=Deadline(3), clock=clock)


@pytest.fixture
def lease(users: Refusing, clock: Clock) -> Lease:
    acquired = lease_on(users, clock)
    acquired.acquire(NEW, None)
    return acquired


def test_a_lease_ends_after_ten_seconds(lease: Lease, clock: Clock) -> None:
    assert lease.record.lease_until == clock() + 10


def test_a_lease_takes_an_earlier_outcome_off_the_record(users: Refusing, clock: Clock) -> None:
    blocked = users.put(ANN, Record(status=Status.BLOCKED, reason="identity_conflict", retry_at=9), expected=None)
    lease_on(users, clock).acquire(blocked, blocked)
    record = users.get(ANN)
    assert record is not None
    assert (record.status, record.reason, record.retry_at) == (Status.PENDING, None, None)


def test_only_the_first_worker_gets_the_lease(users: Refusing, clock: Clock, lease: Lease) -> None:
    with pytest.raises(StaleRecord):
        lease_on(users, clock).acquire(NEW, None)
    assert users.get(ANN) == lease.record


def test_a_lost_lease_is_noticed_at_the_next_write(users: Refusing, clock: Clock, lease: Lease) -> None:
    clock.advance(11)
    other = lease_on(users, clock)
    other.acquire(NEW, users.get(ANN))
    with pytest.raises(StaleRecord):
        lease.write(dataclasses.replace(lease.record, generation=2))
    assert users.get(ANN) == other.record


def test_each_write_builds_on_the_last_one(users: Refusing, lease: Lease) -> None:
    for generation in (2, 3):
        lease.write(dataclasses.replace(lease.record, generation=generation))
    record = users.get(ANN)
    assert record is not None
    assert record.generation == 3


def test_a_release_leaves_its_record_to_the_next_worker(users: Refusing, lease: Lease) -> None:
    lease.release(dataclasses.replace(lease.record, lease_until=0))
    record = users.get(ANN)
    assert record is not None
    assert record.lease_until == 0


@pytest.mark.parametrize(
    "error", [StaleRecord(), AwsError("Throttling", operation="PutItem"), DeadlineExceeded()], ids=repr
)
def test_a_release_raises_no_error_of_the_table(users: Refusing, lease: Lease, error: Exception) -> None:
    users.error = error
    lease.release(dataclasses.replace(lease.record, lease_until=0))
    assert users.get(ANN) == lease.record


@pytest.mark.parametrize(("seconds", "least", "most"), [(0, 0, 0.3), (3600, 0.3, 3600)])
def test_a_release_has_some_time_even_after_the_deadline(
    users: Refusing, clock: Clock, seconds: float, least: float, most: float
) -> None:
    lease = Lease(users, ANN, deadline=Deadline(seconds), clock=clock)
    lease.acquire(NEW, None)
    lease.release(lease.record)

    assert least <= users.seconds <= most


def test_a_release_of_a_lost_lease_changes_nothing(users: Refusing, clock: Clock, lease: Lease) -> None:
    other = lease_on(users, clock)
    other.acquire(NEW, users.get(ANN))
    lease.release(dataclasses.replace(lease.record, lease_until=0))
    assert users.get(ANN) == other.record
