"""What an operator says stands, and what was there before comes back when it is taken back."""

import dataclasses

import pytest

from tests.fakes.memory_users import MemoryUsers
from tests.fakes.moto_aws import AN_HOUR
from whop_chat.cognito.pool import UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.admin import Contended, allow, deny, look_again
from whop_chat.users.record import Lost, Record, Status

ANN = UserRef(pool_id="eu-west-1_Pool", sub="sub-ann", username="ann")
BEFORE = [
    Record(status=Status.LINKED, generation=2, whop_user_id="user_Ann", whop_account_id="biz_Ann", profile_digest="x"),
    Record(status=Status.BLOCKED, reason="identity_conflict", email_mode="verified"),
    Record(status=Status.CLAIMED, idempotency_key="key", key_since=7, email_digest="digest"),
]


def without_attempt(record: Record | None) -> Record:
    assert record is not None
    return dataclasses.replace(record, attempt="")


@pytest.mark.parametrize("before", BEFORE, ids=lambda record: record.status)
def test_a_denial_changes_the_status_alone_and_can_be_taken_back(before: Record) -> None:
    users = MemoryUsers()
    users.put(ANN, before, seen=None)

    deny(users, ANN, deadline=AN_HOUR)
    assert without_attempt(users.get(ANN)) == dataclasses.replace(before, status=Status.DENIED)
    allow(users, ANN, deadline=AN_HOUR)
    assert without_attempt(users.get(ANN)) == before


def test_who_was_never_here_can_be_denied_and_allowed() -> None:
    users = MemoryUsers()
    allow(users, ANN, deadline=AN_HOUR)
    assert users.get(ANN) is None

    deny(users, ANN, deadline=AN_HOUR)
    assert without_attempt(users.get(ANN)) == Record(status=Status.DENIED)
    allow(users, ANN, deadline=AN_HOUR)
    assert without_attempt(users.get(ANN)) == Record(status=Status.CLAIMED)


@pytest.mark.parametrize("status", [Status.LINKED, Status.DISABLED])
def test_only_a_denial_is_taken_back(status: Status) -> None:
    users = MemoryUsers()
    record = users.put(ANN, Record(status=status, whop_user_id="user_Ann"), seen=None)
    allow(users, ANN, deadline=AN_HOUR)

    assert users.get(ANN) == record


def test_a_denial_of_one_who_is_denied_writes_nothing() -> None:
    users = MemoryUsers()
    deny(users, ANN, deadline=AN_HOUR)
    record = users.get(ANN)
    deny(users, ANN, deadline=AN_HOUR)

    assert users.get(ANN) == record


def test_who_is_deleted_stays_deleted() -> None:
    users = MemoryUsers()
    tombstone = users.put(ANN, Record(status=Status.DELETED), seen=None)
    for say in (deny, allow, look_again):
        with pytest.raises(UserGone):
            say(users, ANN, deadline=AN_HOUR)

    assert users.get(ANN) == tombstone


class Busy(MemoryUsers):
    """Somebody else writes first, a number of times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def put(self, user: UserRef, record: Record, *, seen: Record | None, deadline: Deadline | None = None) -> Record:
        if self.times:
            self.times -= 1
            raise Lost
        return super().put(user, record, seen=seen)


def test_a_denial_outlasts_those_who_write_at_the_same_time() -> None:
    users = Busy(times=3)
    deny(users, ANN, deadline=AN_HOUR)

    assert without_attempt(users.get(ANN)).status is Status.DENIED


def test_a_denial_that_is_never_first_says_so() -> None:
    with pytest.raises(Contended):
        deny(Busy(times=99), ANN, deadline=AN_HOUR)


def test_a_block_is_looked_at_again_and_keeps_its_reason() -> None:
    users = MemoryUsers()
    blocked = Record(status=Status.BLOCKED, reason="identity_mismatch", email_mode="verified", generation=3)
    users.put(ANN, blocked, seen=None)
    look_again(users, ANN, deadline=AN_HOUR)

    assert without_attempt(users.get(ANN)) == dataclasses.replace(blocked, retry_at=0)


@pytest.mark.parametrize("status", [Status.LINKED, Status.DENIED, Status.CLAIMED])
def test_who_is_not_blocked_is_not_looked_at_again(status: Status) -> None:
    users = MemoryUsers()
    look_again(users, ANN, deadline=AN_HOUR)
    assert users.get(ANN) is None

    record = users.put(ANN, Record(status=status, reason="identity_mismatch"), seen=None)
    look_again(users, ANN, deadline=AN_HOUR)
    assert users.get(ANN) == record
