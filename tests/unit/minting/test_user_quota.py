"""The limit for one user: who is refused, how long, and what it costs to refuse them."""

import dataclasses

import pytest

from tests.fakes.clock import Clock
from tests.fakes.memory_users import MemoryUserRepository
from tests.fakes.moto_aws import AN_HOUR
from whop_chat.cognito.user import UserRef
from whop_chat.minting.user_quota import TooManyRequests, UserQuota
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.record import Record, Status

ADA = UserRef(pool_id="eu-west-1_Pool", sub="sub-ada", username="ada")
BEN = dataclasses.replace(ADA, sub="sub-ben", username="ben")
LINKED = Record(status=Status.LINKED, whop_user_id="user_1")


class Table(MemoryUserRepository):
    """Counts the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def count_mint(self, user: UserRef, *, limit: int, now: int, deadline: Deadline | None = None) -> Record | None:
        self.calls += 1
        return super().count_mint(user, limit=limit, now=now)


class Case:
    """Two users, and two of each a minute."""

    def __init__(self) -> None:
        self.table = Table()
        for user in (ADA, BEN):
            self.table.put(user, LINKED, expected=None)
        self.clock = Clock(1_800_000_000.0)
        self.limit = UserQuota(self.table, 2, clock=self.clock)

    def count(self, user: UserRef = ADA) -> Record | None:
        self.limit.require_not_refused(user)
        return self.limit.count(user, deadline=AN_HOUR)

    def refuse(self, user: UserRef = ADA) -> int:
        """Ask until refused; the wait."""
        for _ in range(3):
            try:
                self.count(user)
            except TooManyRequests as refusal:
                return refusal.retry_after
        raise AssertionError("never refused")


def test_the_wait_is_what_is_left_of_the_minute() -> None:
    case = Case()
    case.count()
    case.clock.advance(12.5)

    assert case.refuse() == 48


def test_one_user_who_is_refused_costs_no_other_anything() -> None:
    case = Case()
    case.refuse(ADA)

    assert case.count(BEN) is not None


def test_who_was_refused_is_refused_without_a_call_until_the_minute_is_over() -> None:
    case = Case()
    case.refuse()
    calls = case.table.calls
    case.clock.advance(59)
    with pytest.raises(TooManyRequests, match="again in 1 s") as refusal:
        case.count()

    assert (refusal.value.retry_after, case.table.calls) == (1, calls)
    case.clock.advance(1)
    assert case.count() is not None


def test_a_clock_that_is_put_back_makes_no_minute_longer_than_a_minute() -> None:
    case = Case()
    case.refuse()
    case.clock.advance(-3600)

    assert case.count() is not None


def test_only_so_many_are_remembered() -> None:
    case = Case()

    def costs_a_call(user: UserRef) -> bool:
        calls = case.table.calls
        assert case.refuse(user) == 60
        return case.table.calls > calls

    case.refuse(ADA)
    for number in range(1000):
        assert not costs_a_call(ADA)
        user = dataclasses.replace(ADA, sub=f"sub-{number}")
        case.table.put(user, LINKED, expected=None)
        case.refuse(user)

    assert not costs_a_call(user)
    assert costs_a_call(ADA)
