"""The budget: what both ways of counting promise, and that Whop never sees more calls in any minute than it allows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from tests.fakes.clock import Clock
from tests.fakes.moto_aws import AN_HOUR, aws_at_moto, made_table
from tests.fakes.telemetry import RecordingTelemetry
from whop_chat.api.routes import BUDGET_SECONDS
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.sync.worker import SECONDS_PER_USER
from whop_chat.whop.rate_limit import (
    DELAY_SECONDS,
    LIMIT_CALLS,
    LIMIT_SECONDS,
    LocalWindows,
    Priority,
    RateLimiter,
    SharedWindows,
    Windows,
    permits_per_window,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE, NOW = "users", 1_800_000_000.0
CREATE, UPDATE = "create_account", "update_user"


@pytest.fixture
def dynamodb() -> "Iterator[DynamoDBClient]":
    with mock_aws():
        yield made_table(TABLE)


@pytest.fixture(params=["dynamodb", "local"])
def windows(request: pytest.FixtureRequest) -> Windows:
    if request.param == "local":
        return LocalWindows()
    request.getfixturevalue("dynamodb")
    return SharedWindows(aws_at_moto(), TABLE, clock=lambda: NOW)


# What both promise


def test_there_are_as_many_places_as_there_are(windows: Windows) -> None:
    assert [windows.acquire(CREATE, 7, 3, deadline=AN_HOUR) for _ in range(5)] == [True, True, True, False, False]


def test_whoever_may_take_fewer_finds_none_left_sooner(windows: Windows) -> None:
    assert [windows.acquire(CREATE, 7, 2, deadline=AN_HOUR) for _ in range(3)] == [True, True, False]
    assert windows.acquire(CREATE, 7, 3, deadline=AN_HOUR)
    assert not windows.acquire(CREATE, 7, 3, deadline=AN_HOUR)


def test_operations_and_slots_have_places_of_their_own(windows: Windows) -> None:
    assert [
        windows.acquire(operation, slot, 1, deadline=AN_HOUR) for slot in (7, 8) for operation in (CREATE, UPDATE)
    ] == [True] * 4


def test_a_clock_that_is_behind_takes_from_the_last_slot(windows: Windows) -> None:
    assert [windows.acquire(CREATE, slot, 1, deadline=AN_HOUR) for slot in (7, 8, 7, 8)] == [True, True, False, False]


def test_the_count_of_a_slot_expires(dynamodb: "DynamoDBClient") -> None:
    SharedWindows(aws_at_moto(), TABLE, clock=lambda: NOW).acquire(CREATE, 7, 3, deadline=AN_HOUR)

    (written,) = dynamodb.scan(TableName=TABLE)["Items"]
    assert (written["pk"]["S"], written["permits"]["N"]) == ("RATE#create_account#7", "1")
    assert int(written["ttl"]["N"]) > NOW


# How many places a slot has


def test_600_calls_a_minute_are_40_in_five_seconds_and_26_of_them_for_the_background() -> None:
    assert (permits_per_window(Priority.FOREGROUND), permits_per_window(Priority.BACKGROUND)) == (40, 26)


def test_what_is_on_its_way_for_as_long_as_a_function_may_take_is_provided_for_with_a_second_for_the_clocks() -> None:
    assert max(SECONDS_PER_USER, BUDGET_SECONDS) + 2 * 1 <= DELAY_SECONDS


class Caller:
    """One instance, whose clock is off and whose calls take a while until Whop counts them."""

    def __init__(self, windows: Windows, priority: Priority, calls: int, off: float) -> None:
        self.clock = Clock()
        self.off = off
        self.budget = RateLimiter(
            windows, permits_per_window(priority, calls=calls), RecordingTelemetry(), clock=self.clock
        )

    def may_call(self, now: float) -> bool:
        self.clock.now = now + self.off
        return self.budget.acquire(CREATE, deadline=AN_HOUR) is None


def assert_within(calls: int, seen: list[float]) -> None:
    """In no minute that begins with a call are there more."""
    seen = sorted(seen)
    for first, begin in enumerate(seen):
        assert sum(moment < begin + LIMIT_SECONDS for moment in seen[first:]) <= calls


_CALLERS = st.lists(st.tuples(st.sampled_from(list(Priority)), st.floats(-0.99, 0.99)), min_size=1, max_size=4)
_DELAY = st.sampled_from([0.0, 0.0, 3.0, 7.99])
_ATTEMPTS = st.lists(st.tuples(st.integers(0, 3), st.floats(0, 6), st.integers(1, 12), _DELAY), max_size=60)


@given(callers=_CALLERS, attempts=_ATTEMPTS, calls=st.sampled_from([15, 28, 60]))
def test_in_no_minute_does_whop_see_more_calls_than_it_allows(
    callers: list[tuple[Priority, float]], attempts: list[tuple[int, float, int, float]], calls: int
) -> None:
    """However many call, in bursts or steadily, with clocks apart by up to two seconds, and late by up to eight."""
    slots = LocalWindows()
    fleet = [Caller(slots, share, calls, off) for share, off in callers]
    now, seen = NOW, []
    for number, pause, burst, delay in attempts:
        now += pause
        caller = fleet[number % len(fleet)]
        seen += [now + delay for _ in range(burst) if caller.may_call(now)]

    assert_within(calls, seen)


@pytest.mark.parametrize("phase", [hundredths / 100 for hundredths in range(0, 500, 25)])
def test_not_even_if_the_first_come_as_late_and_the_last_as_early_as_they_can(phase: float) -> None:
    """With 14 slots to a minute, which would do without delay, these would be 30 calls."""
    slots = LocalWindows()
    behind, ahead = (Caller(slots, Priority.FOREGROUND, 28, off) for off in (-0.99, 0.99))
    begin = NOW + phase
    held_up = begin + 7.99
    seen = [held_up for _ in range(3) if behind.may_call(begin)]
    for now in [begin + halves / 2 for halves in range(150)]:
        seen += [max(now, held_up) for _ in range(3) if ahead.may_call(now)]

    assert_within(28, seen)


@pytest.mark.parametrize("begin", [NOW, NOW + 4.999])
def test_the_bound_is_met_and_not_much_is_given_away(begin: float) -> None:
    """Who always wants more gets 480 calls a minute, and what was sent late makes up for the rest."""
    caller = Caller(LocalWindows(), Priority.FOREGROUND, LIMIT_CALLS, 0.0)
    made = sum(caller.may_call(begin + tenths / 10) for tenths in range(600) for _ in range(10))

    assert 480 <= made <= 520


# Who goes first


def test_the_background_leaves_room_for_those_for_whom_somebody_waits() -> None:
    slots = LocalWindows()
    background, foreground = (
        Caller(slots, share, LIMIT_CALLS, 0.0) for share in (Priority.BACKGROUND, Priority.FOREGROUND)
    )

    assert sum(background.may_call(NOW) for _ in range(100)) == 26
    assert sum(foreground.may_call(NOW) for _ in range(100)) == 14


def test_the_background_waits_while_the_foreground_needs_all_the_room() -> None:
    slots = LocalWindows()
    background, foreground = (
        Caller(slots, share, LIMIT_CALLS, 0.0) for share in (Priority.BACKGROUND, Priority.FOREGROUND)
    )

    assert sum(foreground.may_call(NOW) for _ in range(30)) == 30
    assert not background.may_call(NOW)
    assert foreground.may_call(NOW)


def test_whoever_finds_no_place_is_told_when_the_next_slot_begins() -> None:
    telemetry, clock = RecordingTelemetry(), Clock(NOW + 1.5)
    budget = RateLimiter(LocalWindows(), 1, telemetry, clock=clock)

    assert budget.acquire(CREATE, deadline=AN_HOUR) is None
    wait = budget.acquire(CREATE, deadline=AN_HOUR)
    assert wait == 3.5
    assert telemetry.events == [("out of permits", {"operation": CREATE})]
    clock.advance(wait)
    assert budget.acquire(CREATE, deadline=AN_HOUR) is None


# Without the table


class Failing(LocalWindows):
    """A table that does not answer."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.seconds: list[float] = []

    def acquire(self, operation: str, window: int, permits: int, *, deadline: Deadline | None = None) -> bool:
        assert deadline is not None
        self.seconds.append(deadline.remaining())
        raise self.error


@pytest.mark.parametrize("error", [AwsError("ServiceUnavailable"), DeadlineExceeded()], ids=["failing", "slow"])
def test_a_table_that_does_not_answer_in_half_a_second_stops_no_call_and_the_instance_counts_its_own(
    error: Exception,
) -> None:
    slots = Failing(error)
    telemetry = RecordingTelemetry()
    budget = RateLimiter(slots, 3, telemetry, clock=Clock(NOW))

    assert [budget.acquire(CREATE, deadline=AN_HOUR) is None for _ in range(4)] == [True, True, True, False]
    assert telemetry.failures == [(error, "call not counted")] * 4
    assert max(slots.seconds) <= 0.5
