"""Who may chat, and how far: groups that deny and narrow, and users whom an operator denies.

The stack of these tests denies the group ``banned`` and narrows ``trial`` to channels (tests/e2e/conftest.py).
"""

import boto3
import httpx
import pytest

from local.demo.chat_app import User
from local.processes import wait_until
from local.sam import FAKE_KEYS, REGION
from local.stack import Deployment, LocalStack
from local.whop_simulator import Fault
from local.whop_simulator.control import SimulatorControl
from tests.e2e.harness import SyncLane, TeamApp, accounts_of, assert_problem, in_parallel, message
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline
from whop_chat.users import admin as directory_admin
from whop_chat.users.repository import DynamoDBUserRepository

_CHANNELS = ["chat:message:create", "chat:read"]


class Operator:
    """Who runs the stack: puts users into groups, denies them, and lets them in again."""

    def __init__(self, cloud: LocalStack, deployment: Deployment) -> None:
        self._cloud = cloud
        self._deployment = deployment
        session = boto3.Session(FAKE_KEYS["AWS_ACCESS_KEY_ID"], FAKE_KEYS["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
        aws = AwsClients(session.client, region=REGION, endpoint=cloud.emulator_url)
        self._users = DynamoDBUserRepository(aws, deployment["UsersTableName"])
        for name in ("banned", "trial", "others"):
            cloud.cognito.create_group(UserPoolId=deployment["UserPoolId"], GroupName=name)

    def put_into(self, user: User, *groups: str) -> None:
        for name in groups:
            self._cloud.cognito.admin_add_user_to_group(
                UserPoolId=self._deployment["UserPoolId"], Username=user.email, GroupName=name
            )

    def take_out_of(self, user: User, group: str) -> None:
        self._cloud.cognito.admin_remove_user_from_group(
            UserPoolId=self._deployment["UserPoolId"], Username=user.email, GroupName=group
        )

    def deny(self, user: User) -> None:
        """What ``manage deny`` does, without the time that it takes to start it."""
        directory_admin.deny(self._users, self._named(user), deadline=Deadline(5))

    def allow(self, user: User) -> None:
        """As `deny`."""
        directory_admin.allow(self._users, self._named(user), deadline=Deadline(5))

    def _named(self, user: User) -> UserRef:
        return UserRef(pool_id=self._deployment["UserPoolId"], sub=user.sub, username=user.email)


@pytest.fixture(scope="module")
def operator(cloud: LocalStack, stack: Deployment) -> Operator:
    return Operator(cloud, stack)


def whop_user(cloud: LocalStack, stack: Deployment, user: User) -> str:
    return cloud.user_record(stack, user.sub)["whop_user_id"]


def mints(whop: SimulatorControl) -> int:
    return len(whop.calls("access_tokens.create"))


# Groups


def test_a_member_of_a_denied_group_gets_no_token_and_no_account(
    cloud: LocalStack, stack: Deployment, app: TeamApp, operator: Operator, whop: SimulatorControl
) -> None:
    user = app.create_by_admin()
    operator.put_into(user, "others", "banned", "trial")

    assert_problem(app.mint(app.sign_in(user).access), "group_denied")

    assert cloud.user_record(stack, user.sub) == {}
    assert accounts_of(whop, user) == []


def test_a_group_counts_from_the_next_cognito_token_on(
    cloud: LocalStack, stack: Deployment, app: TeamApp, operator: Operator, whop: SimulatorControl
) -> None:
    user = app.create_by_admin()
    older = app.sign_in(user).access
    assert app.mint(older).status_code == 200
    owner, minted = whop_user(cloud, stack, user), mints(whop)
    operator.put_into(user, "banned")

    assert_problem(app.mint(app.sign_in(user).access), "group_denied")
    assert mints(whop) == minted
    assert app.mint(older).status_code == 200

    operator.take_out_of(user, "banned")
    assert app.mint(app.sign_in(user).access).status_code == 200
    assert whop_user(cloud, stack, user) == owner


def test_a_member_of_a_narrowing_group_gets_its_features_and_no_others(
    app: TeamApp, operator: Operator, whop: SimulatorControl
) -> None:
    user = app.create_by_admin()
    operator.put_into(user, "trial")
    token = app.sign_in(user).access

    assert app.mint(token).json()["scopes"] == _CHANNELS
    assert app.mint(token, {"features": ["channels"]}).json()["scopes"] == _CHANNELS
    minted = mints(whop)
    for features in (["dms"], ["support"], ["channels", "dms"]):
        assert_problem(app.mint(token, {"features": features}), "feature_not_allowed")
    assert mints(whop) == minted


def test_a_group_that_is_not_named_changes_nothing(app: TeamApp, operator: Operator) -> None:
    user = app.create_by_admin()
    before = app.mint(app.sign_in(user).access).json()["scopes"]
    operator.put_into(user, "others")

    assert app.mint(app.sign_in(user).access).json()["scopes"] == before
    assert set(before) > set(_CHANNELS)


# Users who are denied


def test_a_linked_user_is_denied_at_once_and_comes_back_as_the_same_whop_user(
    cloud: LocalStack, stack: Deployment, app: TeamApp, operator: Operator, whop: SimulatorControl
) -> None:
    user = app.create_by_admin()
    token = app.sign_in(user).access
    assert app.mint(token).status_code == 200
    owner, minted = whop_user(cloud, stack, user), mints(whop)

    operator.deny(user)
    assert_problem(app.mint(token), "user_denied")
    assert mints(whop) == minted

    operator.allow(user)
    assert app.mint(token).status_code == 200
    assert whop_user(cloud, stack, user) == owner
    assert len(accounts_of(whop, user)) == 1


def test_a_user_whom_nobody_has_seen_is_denied_before_they_come(
    cloud: LocalStack, stack: Deployment, app: TeamApp, operator: Operator, whop: SimulatorControl, lane: SyncLane
) -> None:
    user = app.create_by_admin()
    token = app.sign_in(user).access

    operator.deny(user)
    assert_problem(app.mint(token), "user_denied")
    lane.send(message(stack["UserPoolId"], user.email, user.sub))
    lane.settle()
    assert cloud.user_record(stack, user.sub)["status"] == "denied"
    assert accounts_of(whop, user) == []

    operator.allow(user)
    assert app.mint(token).status_code == 200
    assert len(accounts_of(whop, user)) == 1


def test_an_enrolment_that_is_under_way_loses_to_the_operator(
    cloud: LocalStack, stack: Deployment, app: TeamApp, operator: Operator, whop: SimulatorControl
) -> None:
    user = app.create_by_admin()
    token = app.sign_in(user).access
    creates, minted = len(whop.calls("accounts.create")), mints(whop)
    whop.add_fault(Fault("accounts.create", "delay", seconds=0.8))

    def denied() -> None:
        assert wait_until(lambda: len(whop.calls("accounts.create")) > creates, 5)
        operator.deny(user)

    answers: list[httpx.Response | None] = in_parallel(lambda: app.mint(token), denied)

    assert answers[0] is not None
    assert_problem(answers[0], "user_denied")
    assert mints(whop) == minted
    record = cloud.user_record(stack, user.sub)
    assert (record["status"], record.get("whop_user_id")) == ("denied", None)

    operator.allow(user)
    assert app.mint(token).status_code == 200
    assert len(accounts_of(whop, user)) == 1
