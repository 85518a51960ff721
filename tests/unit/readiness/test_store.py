"""The result of a check, and the backlog, in the table."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from moto import mock_aws

from tests.fakes.clock import Clock
from tests.fakes.moto_aws import AN_HOUR, aws_at_moto, made_table
from whop_chat.readiness.store import Readiness, ReadinessStore
from whop_chat.runtime.aws import AwsError
from whop_chat.sync.backlog import Backlog

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_800_000_000
POOL = "eu-west-1_Pool"


@pytest.fixture
def table() -> "Iterator[DynamoDBClient]":
    with mock_aws():
        yield made_table("users")


def backlog(clock: Clock) -> Backlog:
    """As another instance has it."""
    return Backlog(aws_at_moto(), "users", POOL, clock=clock)


def test_the_last_result_is_the_one_that_is_read(table: "DynamoDBClient") -> None:
    store = ReadinessStore(aws_at_moto(), "users", POOL)
    assert store.load(deadline=AN_HOUR) is None

    for checked_at, result in ((NOW, "refused"), (NOW + 900, "ok")):
        store.save(Readiness(checked_at, {"api_key": result}), deadline=AN_HOUR)

    assert store.load(deadline=AN_HOUR) == Readiness(NOW + 900, {"api_key": "ok"})


def test_a_result_of_another_shape_is_an_error(table: "DynamoDBClient") -> None:
    table.put_item(TableName="users", Item={"pk": {"S": f"READY#{POOL}"}, "checked_at": {"S": "now"}})

    with pytest.raises(AwsError):
        ReadinessStore(aws_at_moto(), "users", POOL).load(deadline=AN_HOUR)


def test_of_several_waiting_messages_the_oldest_counts(table: "DynamoDBClient") -> None:
    clock = Clock(NOW)
    for age in (1000, 4000, 2000):
        backlog(clock).report(NOW - age, deadline=AN_HOUR)

    assert backlog(clock).age(deadline=AN_HOUR) == 4000


def test_a_young_message_is_not_worth_a_write(table: "DynamoDBClient") -> None:
    clock = Clock(NOW)
    backlog(clock).report(NOW - 599, deadline=AN_HOUR)

    assert table.scan(TableName="users")["Items"] == []
    assert backlog(clock).age(deadline=AN_HOUR) == 0


def test_an_instance_reports_once_a_minute(table: "DynamoDBClient") -> None:
    clock = Clock(NOW)
    one = backlog(clock)
    one.report(NOW - 1000, deadline=AN_HOUR)
    clock.advance(59)
    one.report(NOW - 5000, deadline=AN_HOUR)
    assert one.age(deadline=AN_HOUR) == 1059

    clock.advance(1)
    one.report(NOW - 5000, deadline=AN_HOUR)
    assert one.age(deadline=AN_HOUR) == 5060


def test_a_message_that_nobody_reports_again_is_forgotten(table: "DynamoDBClient") -> None:
    clock = Clock(NOW)
    backlog(clock).report(NOW - 4000, deadline=AN_HOUR)
    clock.advance(1501)
    assert backlog(clock).age(deadline=AN_HOUR) == 0

    backlog(clock).report(clock() - 700, deadline=AN_HOUR)
    assert backlog(clock).age(deadline=AN_HOUR) == 700
