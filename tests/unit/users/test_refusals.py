"""Who was refused a moment ago is refused again without a question to Cognito."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from moto import mock_aws

from tests.fakes.clock import Clock
from tests.fakes.moto_aws import AN_HOUR, aws_at_moto, made_table
from whop_chat.cognito.pool import NotActive, PoolStatus, PoolUser, UserDisabled, UserGone, UserInactive
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.refusals import Refusals, RememberingPool

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_800_000_000
ADA = UserRef(pool_id="eu-west-1_Pool", sub="sub-ada", username="ada")
BOB = UserRef(pool_id="eu-west-1_Pool", sub="sub-bob", username="ada")
REFUSALS = [UserGone(), UserDisabled(), UserInactive()]


class Pool:
    """Answers everybody alike, and counts."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.asked = 0

    def admin_get(self, user: UserRef, *, deadline: Deadline) -> PoolUser:
        self.asked += 1
        if self.error:
            raise self.error
        return PoolUser(sub=user.sub, email=None, email_verified=False, name=None, providers=())


@pytest.fixture
def table() -> "Iterator[DynamoDBClient]":
    with mock_aws():
        yield made_table("users")


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def refusals(table: "DynamoDBClient", clock: Clock) -> Refusals:
    return Refusals(aws_at_moto(), "users", clock=clock)


def ask(pool: Pool, refusals: Refusals, user: UserRef = ADA) -> PoolUser:
    return RememberingPool(pool, refusals).admin_get(user, deadline=AN_HOUR)


@pytest.mark.parametrize("error", REFUSALS, ids=repr)
def test_a_refused_user_costs_one_call_a_minute(refusals: Refusals, clock: Clock, error: NotActive) -> None:
    pool = Pool(error)
    for _ in range(100):
        with pytest.raises(type(error)):
            ask(pool, refusals)
    assert pool.asked == 1

    clock.now += 60
    with pytest.raises(type(error)):
        ask(pool, refusals)
    assert pool.asked == 2


def test_another_user_of_the_same_name_is_not_refused(refusals: Refusals) -> None:
    with pytest.raises(UserGone):
        ask(Pool(UserGone()), refusals, ADA)

    assert ask(Pool(None), refusals, BOB).sub == BOB.sub


def test_a_refusal_that_is_forgotten_is_asked_about_again(refusals: Refusals) -> None:
    with pytest.raises(UserDisabled):
        ask(Pool(UserDisabled()), refusals)
    refusals.forget(ADA, deadline=AN_HOUR)
    refusals.forget(ADA, deadline=AN_HOUR)

    assert ask(Pool(None), refusals).sub == ADA.sub


def test_a_refusal_holds_the_status_and_expires(refusals: Refusals, table: "DynamoDBClient") -> None:
    with pytest.raises(UserDisabled):
        ask(Pool(UserDisabled()), refusals)

    assert table.scan(TableName="users")["Items"] == [
        {"pk": {"S": "REFUSED#eu-west-1_Pool#sub-ada"}, "status": {"S": "disabled"}, "ttl": {"N": str(NOW + 60)}}
    ]


def test_a_refusal_from_a_clock_that_was_wrong_does_not_count(refusals: Refusals, clock: Clock) -> None:
    refusals.remember(ADA, PoolStatus.GONE, deadline=AN_HOUR)
    clock.now -= 3600

    assert refusals.get(ADA, deadline=AN_HOUR) is None


@pytest.mark.parametrize("error", [AwsError("TooManyRequestsException"), None], ids=repr)
def test_only_a_refusal_is_remembered(refusals: Refusals, table: "DynamoDBClient", error: Exception | None) -> None:
    if error is None:
        ask(Pool(None), refusals)
    else:
        with pytest.raises(AwsError):
            ask(Pool(error), refusals)

    assert table.scan(TableName="users")["Items"] == []


def test_a_refusal_that_cannot_be_stored_is_a_refusal(refusals: Refusals, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(user: UserRef, status: PoolStatus, *, deadline: Deadline) -> None:
        raise AwsError("ProvisionedThroughputExceededException")

    monkeypatch.setattr(refusals, "remember", broken)
    with pytest.raises(UserGone):
        ask(Pool(UserGone()), refusals)
