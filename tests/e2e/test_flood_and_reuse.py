"""One client that asks in a loop costs no other anything, and a Whop that fails costs nothing whoever was there."""

import pytest

from local.demo.chat_app import User
from local.processes import wait_until
from local.stack import LocalStack
from local.whop_simulator import Fault
from local.whop_simulator.control import SimulatorControl
from tests.e2e.harness import TeamApp, assert_problem, change_record, in_parallel

_TOKENS = "access_tokens.create"


def _member(app: TeamApp, user: User | None = None) -> str:
    """The Cognito token of a user who has had a Whop token."""
    token = app.sign_in(user or app.create_by_admin()).access
    # A wait that Whop told in another test may not be over.
    assert wait_until(lambda: app.mint(token).status_code == 200, 8, poll=2)
    return token


def test_a_user_who_floods_is_refused_alone(reusing: TeamApp) -> None:
    flooder, other = _member(reusing), _member(reusing)

    answers = in_parallel(*[lambda: reusing.mint(flooder)] * 12)
    refused = [each for each in answers if each.status_code == 429]

    assert {each.status_code for each in answers} == {200, 429}
    for each in refused:
        wait = int(each.headers["Retry-After"])
        assert_problem(each, "too_many_requests", wait=wait)
        assert 0 < wait <= 90  # a minute, and up to a half more by chance
    assert reusing.mint(other).status_code == 200


@pytest.mark.parametrize(
    "fault",
    [
        Fault(_TOKENS, "status", status=500, count=None),
        Fault(_TOKENS, "status", status=429, wait=3, count=None),
        Fault(_TOKENS, "unreachable", count=None),
    ],
    ids=["500", "429", "dead"],
)
def test_who_had_a_token_goes_on_with_it_while_whop_fails(
    reusing: TeamApp, whop: SimulatorControl, fault: Fault
) -> None:
    token, newcomer = _member(reusing), reusing.sign_in(reusing.create_by_admin()).access
    whop.add_fault(fault)
    answer = reusing.mint(token)

    assert answer.status_code == 200
    assert answer.json().keys() == {"token", "expires_at", "refresh_after", "scopes"}
    assert reusing.mint(token).json()["token"] == answer.json()["token"]
    assert reusing.mint(newcomer).status_code == 503


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_of_whop_takes_the_last_token_away(reusing: TeamApp, whop: SimulatorControl, status: int) -> None:
    token = _member(reusing)
    whop.add_fault(Fault("*", "status", status=status, count=None))

    assert reusing.mint(token).status_code == 502


def test_who_is_denied_does_not_get_their_last_token(
    cloud: LocalStack, reusing: TeamApp, whop: SimulatorControl
) -> None:
    user = reusing.create_by_admin()
    token = _member(reusing, user)
    change_record(cloud, reusing.deployment, user, status="denied")
    whop.add_fault(Fault(_TOKENS, "status", status=500, count=None))

    assert_problem(reusing.mint(token), "user_denied")


def test_no_token_lies_open_in_the_table(cloud: LocalStack, reusing: TeamApp) -> None:
    answer = reusing.mint(_member(reusing)).json()
    items = cloud.dynamodb.scan(TableName=reusing.deployment["UsersTableName"])["Items"]

    assert [item for item in items if item["pk"]["S"].startswith("TOKEN#")]
    assert answer["token"] not in repr(items)
