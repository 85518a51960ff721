"""The audit log of the commands."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from moto import mock_aws

from manage.audit import Audit
from tests.fakes import moto_aws
from tests.fakes.clock import Clock
from tests.fakes.moto_aws import aws_at_moto, made_table


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 1, 31, 23, tzinfo=UTC).timestamp())


@pytest.fixture
def audit(clock: Clock) -> Iterator[Audit]:
    with mock_aws():
        made_table("users")
        yield Audit(aws_at_moto(), "users", "eu-west-1_Pool", "arn:aws:iam::1:user/ann", clock=clock)


def act(audit: Audit, action: str, sub: str | None = None) -> None:
    with audit.entry(action, sub) as entry:
        entry.outcome = "done"


def actions(audit: Audit, sub: str | None = None) -> list[str]:
    return [entry["action"] for entry in audit.entries(sub)]


def test_entries_are_in_order_across_months(audit: Audit, clock: Clock) -> None:
    act(audit, "first")
    clock.advance(2 * 3600)  # February
    act(audit, "second")

    assert actions(audit) == ["first", "second"]


@pytest.mark.parametrize("sub", [None, "sub-1"])
def test_each_month_has_an_item_of_its_own(audit: Audit, clock: Clock, sub: str | None) -> None:
    act(audit, "first", sub)
    clock.advance(86400)
    act(audit, "second", sub)

    assert [len(item) - 1 for item in moto_aws.client("dynamodb").scan(TableName="users")["Items"]] == [1, 1]


@pytest.mark.parametrize("sub", [None, "sub-1"])
def test_entries_are_shown_for_a_year(audit: Audit, clock: Clock, sub: str | None) -> None:
    act(audit, "first", sub)
    clock.advance(330 * 86400)  # December
    assert actions(audit, sub) == ["first"]

    clock.advance(10 * 86400)
    assert actions(audit, sub) == []


def test_each_user_has_entries_of_their_own(audit: Audit, clock: Clock) -> None:
    act(audit, "deny", "sub-1")
    clock.advance(40 * 86400)
    act(audit, "allow", "sub-1")
    act(audit, "reconcile")

    assert actions(audit, "sub-1") == ["deny", "allow"]
    assert actions(audit, "sub-2") == []


def test_an_interrupted_act_has_no_outcome(audit: Audit) -> None:
    with pytest.raises(KeyboardInterrupt), audit.entry("redrive"):
        raise KeyboardInterrupt

    assert [entry["outcome"] for entry in audit.entries()] == [None]
