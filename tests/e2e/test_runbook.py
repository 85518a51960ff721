"""Each symptom of docs/runbook.md is provoked, its commands find the cause, and its fix helps.

Other tests do the same for some rows: denied, disabled and deleted users and dead letters (test_manage_users), a
backfill that is stopped (test_pilot), a table that was lost (test_kept_table), a useless key (test_api_key), a limit
and an outage of Whop (test_whop_failures), and every alarm (test_alarms).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from local.demo.chat_app import User
from local.processes import wait_until
from local.stack import Deployment, LocalStack
from local.whop_simulator import DEFAULT_COMPANY, Fault
from local.whop_simulator.control import SimulatorControl
from tests.e2e.confidential import Confidential
from tests.e2e.harness import (
    TeamApp,
    assert_problem,
    deploy_again,
    invoke,
    made_up_username,
    make_key,
    manage,
    record_with_status,
)

STACK = "troubled"
MINTS = 12


@dataclass(frozen=True, slots=True)
class Troubled:
    """A stack on a pool of its own team: the key is not stored and the trigger is not attached."""

    cloud: LocalStack
    app: TeamApp

    def told(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        """What a command of the runbook answers."""
        done = manage(self.cloud, STACK, *arguments)
        assert done.returncode == status, done.stderr or done.stdout
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def checked(self) -> dict[str, str]:
        """The result of a check of the readiness that is made now, as ``GET /health/ready`` answers it."""
        made: dict[str, str] = invoke(self.cloud, self.app.deployment["CheckReadinessFunctionName"], {})["checks"]
        assert wait_until(lambda: self.app.ready().json().get("checks") == made, 15, poll=0.5)
        return made

    @property
    def paused(self) -> set[str]:
        """The operations of Whop that the table says not to call."""
        table, key = self.app.deployment["UsersTableName"], {"pk": {"S": f"CIRCUIT#{DEFAULT_COMPANY}"}}
        return set(self.cloud.dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {}))

    def linked(self, user: User) -> dict[str, str]:
        """The record of the user, once they are linked."""
        return record_with_status(self.cloud, self.app.deployment, user, "linked")


@pytest.fixture(scope="module")
def troubled(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> Troubled:
    pool_id = cloud.cognito.create_user_pool(PoolName=STACK, AutoVerifiedAttributes=["email"])["UserPool"]["Id"]
    client = cloud.cognito.create_user_pool_client(UserPoolId=pool_id, ClientName="web")["UserPoolClient"]["ClientId"]
    parameters = {"UserPoolId": pool_id, "UserPoolClientIds": client, "MintsPerMinute": str(MINTS)}
    deployment = deploy_again(cloud, stack, STACK, parameters)
    return Troubled(cloud, TeamApp(cloud, deployment, confidential, pool_id=pool_id, client_id=client))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the pool, and how they sign in."""

    user: User
    username: str
    token: Callable[[], str]


@pytest.fixture
def person(troubled: Troubled) -> Callable[..., Person]:
    """``person(verified=True) -> Person``: a new user, whom an administrator has created."""

    def make(*, verified: bool = True) -> Person:
        username = made_up_username()
        user = troubled.app.create_by_admin(username=username, verified=verified)
        return Person(user, username, lambda: troubled.app.sign_in(user, username=username).access)

    return make


def test_everybody_gets_503_because_nobody_has_stored_the_key(
    troubled: Troubled, person: Callable[..., Person], confidential: Confidential
) -> None:
    """The first test of the stack."""
    token = person().token()
    assert_problem(troubled.app.mint(token), "not_configured")
    assert troubled.checked()["api_key"] == "not_configured"

    troubled.cloud.put_api_key(troubled.app.deployment, make_key(troubled.cloud, confidential))

    assert wait_until(lambda: troubled.app.mint(token).status_code == 200, 15, poll=1)
    assert troubled.checked()["api_key"] == "ok"


def test_new_users_get_no_chat_because_nothing_enqueues_them(troubled: Troubled) -> None:
    missed = troubled.app.sign_up(username=made_up_username())
    assert troubled.told("status", missed.sub)["record"] is None

    assert troubled.told("attach", troubled.app.pool_id, "--yes")["outcome"] == "attached"
    assert troubled.told("reconcile", "--backfill", "--yes", "--wait")["outcome"] == "completed"

    troubled.linked(missed)
    troubled.linked(troubled.app.sign_up(username=made_up_username()))


def test_a_new_user_gets_no_chat_because_of_the_address(troubled: Troubled, person: Callable[..., Person]) -> None:
    new = person(verified=False)
    token = new.token()
    assert_problem(troubled.app.mint(token), "no_verified_email")
    blocked = troubled.told("list", "--blocked", "no_verified_email")["users"]
    assert [each["sub"] for each in blocked] == [new.user.sub]

    troubled.cloud.cognito.admin_update_user_attributes(
        UserPoolId=troubled.app.pool_id,
        Username=new.username,
        UserAttributes=[{"Name": "email_verified", "Value": "true"}],
    )
    troubled.told("sync", new.user.sub)

    troubled.linked(new.user)
    assert troubled.app.mint(token).status_code == 200


def test_new_users_get_503_until_the_pause_that_whop_asked_for_is_ended(
    troubled: Troubled, whop: SimulatorControl
) -> None:
    """Whop tells `sync_user` to wait for ten minutes, and could answer at once."""
    whop.add_fault(Fault("accounts.create", "status", status=429, wait=600))
    username = made_up_username()
    user = troubled.app.sign_up(username=username)
    assert wait_until(lambda: "create_account" in troubled.paused, 20, poll=0.2)
    token = troubled.app.sign_in(user, username=username).access
    assert troubled.app.mint(token).json()["code"] == "whop_rate_limited"

    assert troubled.told("close-circuit")["operations"] == ["create_account"]

    assert wait_until(lambda: troubled.app.mint(token).status_code == 200, 15, poll=2)


def test_somebody_sees_anothers_name_because_an_operator_moved_it(
    troubled: Troubled, person: Callable[..., Person]
) -> None:
    """The address was given to another user, who was then relinked in error."""
    first, second = person(), person()
    assert troubled.app.mint(first.token()).status_code == 200
    whop_user = troubled.linked(first.user)["whop_user_id"]
    give = partial(troubled.cloud.cognito.admin_update_user_attributes, UserPoolId=troubled.app.pool_id)

    def has_address(who: Person, email: str) -> None:
        attributes: Any = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
        give(Username=who.username, UserAttributes=attributes)

    has_address(second, first.user.email)
    assert troubled.told("relink", second.user.sub, "--yes")["outcome"] == "relinked"

    troubled.told("deny", second.user.sub)
    assert_problem(troubled.app.mint(second.token()), "user_denied")
    wrong = troubled.told("status", second.user.sub)
    assert wrong["record"]["whop_user_id"] == whop_user
    assert "relink" in [each["action"] for each in wrong["acts"]]
    assert troubled.told("status", first.user.sub)["record"]["reason"] == "identity_conflict"
    has_address(second, second.user.email)
    assert troubled.told("relink", first.user.sub, "--yes")["outcome"] == "relinked"
    troubled.told("allow", second.user.sub)

    assert troubled.linked(first.user)["whop_user_id"] == whop_user
    assert troubled.app.mint(second.token()).status_code == 200
    assert troubled.linked(second.user)["whop_user_id"] != whop_user


def test_the_bill_rises_because_a_client_asks_in_a_loop(troubled: Troubled, person: Callable[..., Person]) -> None:
    looping = person()
    token = looping.token()
    answers = [troubled.app.mint(token) for _ in range(2 * MINTS)]
    assert answers[-1].json()["code"] == "too_many_requests"
    assert troubled.told("status", looping.user.sub)["record"]["mints"] >= MINTS

    troubled.told("deny", looping.user.sub)

    assert_problem(troubled.app.mint(token), "user_denied")


def test_mails_from_whop_come_from_a_backfill_that_the_report_shows(troubled: Troubled) -> None:
    """The backfill of an earlier test."""
    report = troubled.told("report")

    assert (report["report"]["backfill"], report["under_way"]) == (True, None)
    assert report["report"]["counts"]["enqueued_create"] >= 1
