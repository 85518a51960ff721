"""Whop refuses, is slow, or is not there: what the app is told, and what becomes of those who wait."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import httpx
import pytest

from local.demo.chat_app import Tokens, User
from local.processes import wait_until
from local.stack import Deployment, LocalStack
from local.whop_simulator import Fault
from local.whop_simulator.control import SimulatorControl
from tests.e2e.harness import (
    SYNC_SECONDS,
    SyncLane,
    TeamApp,
    accounts_of,
    assert_problem,
    change_record,
    in_parallel,
    record_with_status,
)

_TOKENS, _ACCOUNTS = "access_tokens.create", "accounts.create"
# Longer than a request may take, shorter than the queue gives a user.
_SLOW_SECONDS = 3.6
_BUDGET_SECONDS = 3.0
_TOLD_SECONDS = 3
_LONG_SECONDS = 8
# How long the circuit is open at first, at most.
_OPEN_SECONDS = 6.25


@dataclass(frozen=True, slots=True)
class _Failure:
    """What Whop does, and the codes for a user who is enrolled and for one who is not yet."""

    fault: Fault
    minting: str
    enrolling: str
    wait: int | None = None


def _status(status: int, minting: str, enrolling: str | None = None, wait: int | None = None) -> _Failure:
    fault = Fault("*", "status", status=status, wait=wait, count=None)
    return _Failure(fault, minting, enrolling or minting, wait)


_FAILURES = {
    "400": _status(400, "whop_rejected"),
    "401": _status(401, "whop_unauthorized"),
    "403": _status(403, "whop_forbidden"),
    "404": _status(404, "whop_rejected"),
    "409": _status(409, "whop_rejected"),
    "422": _status(422, "whop_rejected", "enrolment_rejected"),
    "429": _status(429, "whop_rate_limited", wait=_TOLD_SECONDS),
    "500": _status(500, "whop_unavailable"),
    "dead": _Failure(Fault("*", "unreachable", count=None), "whop_unavailable", "whop_unavailable"),
    "slow": _Failure(Fault("*", "delay", seconds=_SLOW_SECONDS, count=None), "whop_unavailable", "whop_unavailable"),
    "not JSON": _Failure(Fault("*", "malformed", count=None), "whop_invalid_response", "whop_invalid_response"),
}


def _both(app: TeamApp, linked: str, waiting: str, *, at_once: bool) -> list[httpx.Response]:
    """One token each. Not at once where one environment of the function must get both, to know how long to wait."""
    if at_once:
        return in_parallel(lambda: app.mint(linked), lambda: app.mint(waiting))
    return [app.mint(linked), app.mint(waiting)]


def _tried(record: Mapping[str, str], before: str) -> bool:
    """Whether another worker has claimed the user since, and given up or got an answer."""
    return record["version"] != before and record["lease_until"] == "0"


def _postponed(cloud: LocalStack, user: User) -> bool:
    """Whether `sync_user` had a message about the user and put it back."""
    return any("sync postponed" in line and user.sub in line for line in cloud.function_log())


def _works_again(app: TeamApp, token: str) -> bool:
    """Once a wait that was told, or an open circuit, is over."""
    return wait_until(lambda: app.mint(token).status_code == 200, 2 * _OPEN_SECONDS, poll=0.2)


@pytest.mark.parametrize("name", _FAILURES)
def test_a_failure_fails_no_sign_up_is_told_as_promised_and_is_made_good_by_the_queue(
    cloud: LocalStack,
    stack: Deployment,
    app: TeamApp,
    lane: SyncLane,
    whop: SimulatorControl,
    member_tokens: Tokens,
    name: str,
) -> None:
    failure = _FAILURES[name]
    for operation in (_TOKENS, _ACCOUNTS):
        whop.add_fault(replace(failure.fault, operation=operation))
    with lane.paused():
        user = app.sign_up()
        token = app.sign_in(user).access
        begun = time.monotonic()
        minting, enrolling = _both(app, member_tokens.access, token, at_once=name == "slow")
        took = time.monotonic() - begun
        attempt = cloud.user_record(stack, user.sub)["version"]

    # A conflict without end uses up its generations, and is then looked at again after an hour.
    if failure.enrolling == "enrolment_rejected" or name == "409":
        lane.settle()
        assert cloud.user_record(stack, user.sub)["reason"] == "enrolment_rejected"
        change_record(cloud, stack, user, retry_at=int(time.time()))
        whop.clear_faults()
    else:
        assert wait_until(lambda: _tried(cloud.user_record(stack, user.sub), attempt), SYNC_SECONDS)
        whop.clear_faults()
        record_with_status(cloud, stack, user, "linked")
    assert all(_works_again(app, each) for each in (member_tokens.access, token))
    assert len(accounts_of(whop, user)) == 1
    lane.settle()

    assert_problem(minting, failure.minting, wait=failure.wait)
    assert_problem(enrolling, failure.enrolling, wait=failure.wait)
    assert took < 2 * _BUDGET_SECONDS


def test_whop_is_not_asked_again_before_the_time_it_told(
    app: TeamApp, whop: SimulatorControl, member_tokens: Tokens
) -> None:
    whop.add_fault(Fault(_TOKENS, "status", status=429, wait=2))
    assert_problem(app.mint(member_tokens.access), "whop_rate_limited", wait=2)
    calls = len(whop.calls(_TOKENS))
    again = app.mint(member_tokens.access)
    assert again.json()["code"] == "whop_rate_limited"
    assert int(again.headers["retry-after"]) <= 3
    assert len(whop.calls(_TOKENS)) == calls
    assert _works_again(app, member_tokens.access)


def test_what_one_function_is_told_stops_the_other(
    cloud: LocalStack, stack: Deployment, app: TeamApp, lane: SyncLane, whop: SimulatorControl
) -> None:
    with lane.paused():
        user = app.sign_up()
        whop.add_fault(Fault(_ACCOUNTS, "status", status=429, wait=_LONG_SECONDS))
        told = time.monotonic()
        assert_problem(app.mint(app.sign_in(user).access), "whop_rate_limited", wait=_LONG_SECONDS)
        calls = len(whop.calls(_ACCOUNTS))

    record_with_status(cloud, stack, user, "linked")
    assert time.monotonic() - told >= _LONG_SECONDS
    assert len(whop.calls(_ACCOUNTS)) == calls + 1
    # The queue delivered the message during the wait too.
    assert wait_until(lambda: _postponed(cloud, user), SYNC_SECONDS)


def test_a_dead_whop_is_left_alone_and_found_again(app: TeamApp, whop: SimulatorControl, member_tokens: Tokens) -> None:
    whop.add_fault(Fault(_TOKENS, "unreachable", count=None))
    assert wait_until(lambda: _is_left_alone(app, whop, member_tokens.access), 5)
    whop.clear_faults()

    assert wait_until(lambda: app.mint(member_tokens.access).status_code == 200, 2 * _OPEN_SECONDS, poll=0.2)


def _is_left_alone(app: TeamApp, whop: SimulatorControl, token: str) -> bool:
    """Whether a token is refused without a call."""
    calls = len(whop.calls(_TOKENS))
    assert_problem(app.mint(token), "whop_unavailable")
    return len(whop.calls(_TOKENS)) == calls


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"token": "of-no-use"},
        {"token": "of-no-use", "expires_at": "2020-01-01T00:00:00Z"},
        {"token": "of-no-use", "expires_at": "2100-01-01T00:00:00Z"},
        {"token": "of-no-use", "expires_at": "tomorrow"},
        {"expires_at": "2100-01-01T00:00:00Z"},
    ],
    ids=["empty", "no time", "past", "longer than asked", "no such time", "no token"],
)
def test_a_token_that_is_not_what_was_asked_for_is_not_passed_on(
    app: TeamApp, whop: SimulatorControl, member_tokens: Tokens, answer: Mapping[str, str]
) -> None:
    whop.add_fault(Fault(_TOKENS, "malformed", body=json.dumps(answer)))
    assert_problem(app.mint(member_tokens.access), "whop_invalid_response")
