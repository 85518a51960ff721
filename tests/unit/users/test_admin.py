"""What an operator says stands, and what was there before comes back when it is taken back."""

import dataclasses

import pytest

from tests.fakes.memory_users import MemoryUserRepository
from tests.fakes.moto_aws import AN_HOUR
from whop_chat.cognito.pool import UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.admin import Contended, allow, deny, look_again
from whop_chat.users.record import Record, StaleRecord, Status

ANN = UserRef(pool_id="eu-west-1_Pool", sub="sub-ann", username="ann")
BEFORE = [
    Record(status=Status.LINKED, generation=2, whop_user_id="user_Ann", whop_account_id="biz_Ann", profile_digest="x"),
    Record(status=Status.BLOCKED, reason="identity_conflict", email_mode="verified"),
    Record(status=Status.PENDING, idempotency_key="key", key_since=7, email_digest="digest"),
]


def without_attempt(record: Record | None) -> Record:
    assert record is not None
    return dataclasses.replace(record, version="")


@pytest.mark.parametrize("before", BEFORE, ids=lambda record: record.status)
def test_a_denial_changes_the_status_alone_and_can_be_taken_back(before: Record) -> None:
    users = MemoryUserRepository()
    users.put(ANN, before, expected=None)

    deny(users, ANN, deadline=AN_HOUR)
    assert without_attempt(users.get(ANN)) == dataclasses.replace(before, status=Status.DENIED)
    allow(users, ANN, deadline=AN_HOUR)
    assert without_attempt(users.get(ANN)) == before


def test_who_was_never_here_can_be_denied_and_allowed() -> None:
    users = MemoryUserRepository()
    allow(users, ANN, deadline=AN_HOUR)
    assert users.get(ANN) is None

    deny(users, ANN, deadline=AN_HOUR)
    assert without_attempt(users.get(ANN)) == Record(status=Status.DENIED)
    allow(users, ANN, deadline=AN_HOUR)
    assert without_attempt(users.get(ANN)) == Record(status=Status.PENDING)


@pytest.mark.parametrize("status", [Status.LINKED, Status.DISABLED])
def test_only_a_denial_is_taken_back(status: Status) -> None:
    users = MemoryUserRepository()
    record = users.put(ANN, Record(status=status, whop_user_id="user_Ann"), expected=None)
    allow(users, ANN, deadline=AN_HOUR)

    assert users.get(ANN) == record


def test_a_denial_of_one_who_is_denied_writes_nothing() -> None:
    users = MemoryUserRepository()
    deny(users, ANN, deadline=AN_HOUR)
    record = users.get(ANN)
    deny(users, ANN, deadline=AN_HOUR)

    assert users.get(ANN) == record


def test_who_is_deleted_stays_deleted() -> None:
    users = MemoryUserRepository()
    tombstone = users.put(ANN, Record(status=Status.DELETED), expected=None)
    for say in (deny, allow, look_again):
        with pytest.raises(UserGone):
            say(users, ANN, deadline=AN_HOUR)

    assert users.get(ANN) == tombstone


class Busy(MemoryUserRepository):
    """Somebody else writes first, a number of times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def put(
        self, user: UserRef, record: Record, *, expected: Record | None, deadline: Deadline | None = None
    ) -> Record:
        if self.times:
            self.times -= 1
            raise StaleRecord
        return super().put(user, record, expected=expected)


def test_a_denial_outlasts_those_who_write_at_the_same_time() -> None:
    users = Busy(times=4)
    deny(users, ANN, deadline=AN_HOUR)

    assert without_attempt(users.get(ANN)).status is Status.DENIED


def test_a_denial_that_is_never_first_says_so() -> None:
    with pytest.raises(Contended):
        deny(Busy(times=5), ANN, deadline=AN_HOUR)


def test_a_block_is_looked_at_again_and_keeps_its_reason() -> None:
    users = MemoryUserRepository()
    blocked = Record(status=Status.BLOCKED, reason="identity_mismatch", email_mode="verified", generation=3)
    users.put(ANN, blocked, expected=None)
    look_again(users, ANN, deadline=AN_HOUR)

    assert without_attempt(users.get(ANN)) == dataclasses.replace(blocked, retry_at=0)


@pytest.mark.parametrize("status", [Status.LINKED, Status.DENIED, Status.PENDING])
def test_who_is_not_blocked_is_not_looked_at_again(status: Status) -> None:
    users = MemoryUserRepository()
    look_again(users, ANN, deadline=AN_HOUR)
    assert users.get(ANN) is None

    record = users.put(ANN, Record(status=status, reason="identity_mismatch"), expected=None)
    look_again(users, ANN, deadline=AN_HOUR)
    assert users.get(ANN) == record
