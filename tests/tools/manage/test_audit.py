"""What the commands keep of who did what."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from moto import mock_aws

from manage.audit import Audit
from tests.fakes import moto_aws
from tests.fakes.moto_aws import aws_at_moto, made_table
from tests.fakes.shared import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 1, 31, 23, tzinfo=UTC).timestamp())


@pytest.fixture
def audit(clock: Clock) -> Iterator[Audit]:
    with mock_aws():
        made_table("users")
        yield Audit(aws_at_moto(), "users", "eu-west-1_Pool", "arn:aws:iam::1:user/ann", clock=clock)


def acted(audit: Audit, action: str, sub: str | None = None) -> None:
    with audit.entry(action, sub) as entry:
        entry.outcome = "done"


def told(audit: Audit, sub: str | None = None) -> list[str]:
    return [act["action"] for act in audit.entries(sub)]


def test_what_is_done_is_told_in_order_over_the_turn_of_a_month(audit: Audit, clock: Clock) -> None:
    acted(audit, "first")
    clock.advance(2 * 3600)  # February
    acted(audit, "second")

    assert told(audit) == ["first", "second"]


@pytest.mark.parametrize("sub", [None, "sub-1"])
def test_each_month_has_an_item_of_its_own_so_that_none_fills_up(audit: Audit, clock: Clock, sub: str | None) -> None:
    acted(audit, "first", sub)
    clock.advance(86400)
    acted(audit, "second", sub)

    assert [len(item) - 1 for item in moto_aws.client("dynamodb").scan(TableName="users")["Items"]] == [1, 1]


@pytest.mark.parametrize("sub", [None, "sub-1"])
def test_what_is_done_is_told_for_a_year(audit: Audit, clock: Clock, sub: str | None) -> None:
    acted(audit, "first", sub)
    clock.advance(330 * 86400)  # December
    assert told(audit, sub) == ["first"]

    clock.advance(10 * 86400)
    assert told(audit, sub) == []


def test_what_is_done_to_one_user_is_kept_together_and_apart(audit: Audit, clock: Clock) -> None:
    acted(audit, "deny", "sub-1")
    clock.advance(40 * 86400)
    acted(audit, "allow", "sub-1")
    acted(audit, "reconcile")

    assert told(audit, "sub-1") == ["deny", "allow"]
    assert told(audit, "sub-2") == []


def test_an_act_that_was_interrupted_has_no_outcome(audit: Audit) -> None:
    with pytest.raises(KeyboardInterrupt), audit.entry("redrive"):
        raise KeyboardInterrupt

    assert [act["outcome"] for act in audit.entries()] == [None]
