"""From a sign-up, over the queue, to an account at Whop."""

import json

import pytest

from local.stack import Deployment, LocalStack
from local.whop_simulator import DEFAULT_COMPANY
from local.whop_simulator.control import SimulatorControl
from tests.e2e.confidential import Confidential
from tests.e2e.harness import (
    OwnPool,
    SyncLane,
    TeamApp,
    accounts_of,
    in_parallel,
    made_up_username,
    message,
    record_with_status,
)


def test_two_who_sign_up_at_once_are_two_at_whop(
    cloud: LocalStack, stack: Deployment, app: TeamApp, whop: SimulatorControl
) -> None:
    users = in_parallel(app.sign_up, app.sign_up)
    records = [record_with_status(cloud, stack, user, "linked") for user in users]
    assert len({record["whop_user_id"] for record in records}) == 2
    assert [len(accounts_of(whop, user)) for user in users] == [1, 1]


def test_a_sign_up_through_an_app_client_of_others_enrols_nobody(
    cloud: LocalStack,
    stack: Deployment,
    app: TeamApp,
    lane: SyncLane,
    whop: SimulatorControl,
    confidential: Confidential,
) -> None:
    made = cloud.cognito.create_user_pool_client(UserPoolId=app.pool_id, ClientName="of others")
    others = TeamApp(cloud, stack, confidential, pool_id=app.pool_id, client_id=made["UserPoolClient"]["ClientId"])
    user = others.sign_up()
    lane.settle()

    assert cloud.user_record(stack, user.sub) == {}
    assert accounts_of(whop, user) == []


def test_a_message_that_comes_three_times_makes_one_account_and_one_profile(
    cloud: LocalStack, stack: Deployment, app: TeamApp, lane: SyncLane, whop: SimulatorControl
) -> None:
    user = app.create_by_admin()
    app.give_name(user, "Ada the Third")
    profiles = len(whop.calls("users.update"))
    with lane.paused():
        lane.send(*[message(app.pool_id, app.username(user), user.sub)] * 3)
    lane.settle()
    owner = record_with_status(cloud, stack, user, "linked")["whop_user_id"]
    assert len(accounts_of(whop, user)) == 1
    assert [each["name"] for each in whop.state()["profiles"] if each["user_id"] == owner] == ["Ada the Third"]
    assert len(whop.calls("users.update")) == profiles + 1


def test_a_name_is_set_in_the_company_and_the_global_profile_stays(
    cloud: LocalStack, stack: Deployment, app: TeamApp, lane: SyncLane, whop: SimulatorControl
) -> None:
    user = app.sign_up(confirm=False)
    person = whop.add_person(user.email, name="Known Elsewhere")
    app.give_name(user, "Ada Lovelace-Byron")
    app.confirm(user)
    assert record_with_status(cloud, stack, user, "linked")["whop_user_id"] == person
    lane.settle()
    state = whop.state()
    assert {"account_id": DEFAULT_COMPANY, "user_id": person, "name": "Ada Lovelace-Byron"} in state["profiles"]
    assert [each["name"] for each in state["users"] if each["id"] == person] == ["Known Elsewhere"]


def test_a_new_password_is_no_sign_up(
    cloud: LocalStack, stack: Deployment, app: TeamApp, lane: SyncLane, whop: SimulatorControl
) -> None:
    user = app.create_by_admin()
    with lane.paused():
        waiting = lane.waiting()
        cloud.cognito.forgot_password(ClientId=app.client_id, Username=user.email)
        cloud.cognito.confirm_forgot_password(
            ClientId=app.client_id,
            Username=user.email,
            ConfirmationCode=cloud.confirmation_code(user.email),
            Password=user.password,
        )
        assert lane.waiting() == waiting
    assert accounts_of(whop, user) == []
    assert cloud.user_record(stack, user.sub) == {}


@pytest.mark.parametrize("poison", ["not a message of ours", '{"version": 2}'], ids=["no JSON", "another version"])
def test_a_poisonous_message_is_set_aside_and_its_neighbours_are_handled(
    cloud: LocalStack, own_pool: OwnPool, own_lane: SyncLane, poison: str
) -> None:
    app, names = own_pool.apps[0], [made_up_username(), made_up_username()]
    users = [app.create_by_admin(username=name) for name in names]
    first, last = (message(own_pool.pool_id, name, user.sub) for name, user in zip(names, users, strict=True))
    with own_lane.paused():
        own_lane.send(first, poison, last)
    for user in users:
        record_with_status(cloud, own_pool.deployment, user, "linked")
    assert own_lane.has_dead_letter(poison)
    own_lane.settle()


def test_a_message_about_another_pool_enrols_nobody(
    cloud: LocalStack, own_pool: OwnPool, own_lane: SyncLane, app: TeamApp, whop: SimulatorControl
) -> None:
    user = app.create_by_admin()
    body = message(app.pool_id, app.username(user), user.sub)
    own_lane.send(body)
    assert own_lane.has_dead_letter(body)
    assert json.loads(body)["pool"] != own_pool.pool_id
    assert accounts_of(whop, user) == []
