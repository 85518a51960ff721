"""The first token of a user whom the sync has not enrolled, or cannot."""

import json
import time

from local.demo.chat_app import User
from local.processes import wait_until
from local.stack import Deployment, LocalStack
from local.whop_simulator import Fault
from local.whop_simulator.control import SimulatorControl
from tests.e2e.harness import (
    OwnPool,
    SyncLane,
    TeamApp,
    accounts_of,
    assert_problem,
    change_record,
    in_parallel,
    made_up_username,
    record_with_status,
)


def test_a_token_does_not_wait_for_the_sync_and_the_sync_finds_the_user_enrolled(
    cloud: LocalStack, stack: Deployment, app: TeamApp, lane: SyncLane, whop: SimulatorControl
) -> None:
    with lane.paused():
        user = app.sign_up()
        assert cloud.user_record(stack, user.sub) == {}
        assert app.mint(app.sign_in(user).access).status_code == 200
        record = record_with_status(cloud, stack, user, "linked")
        creates = len(whop.calls("accounts.create"))
    lane.settle()
    after = cloud.user_record(stack, user.sub)
    assert (after["status"], after["whop_user_id"]) == ("linked", record["whop_user_id"])
    assert len(accounts_of(whop, user)) == 1
    assert len(whop.calls("accounts.create")) == creates


def test_a_user_made_by_an_administrator_gets_a_token(own_pool: OwnPool, whop: SimulatorControl) -> None:
    for app in own_pool.apps:
        username = made_up_username()
        user = app.create_by_admin(username=username)
        assert app.mint(app.sign_in(user, username=username).access).status_code == 200
        assert len(accounts_of(whop, user)) == 1


def test_a_user_name_that_passed_to_another_is_of_no_use_to_its_first_owner(
    cloud: LocalStack, own_pool: OwnPool, whop: SimulatorControl
) -> None:
    app, username = own_pool.apps[0], made_up_username()
    first = app.create_by_admin(username=username)
    stale = app.sign_in(first, username=username).access
    cloud.cognito.admin_delete_user(UserPoolId=own_pool.pool_id, Username=username)
    second = app.create_by_admin(username=username)
    creates = len(whop.calls("accounts.create"))

    assert_problem(app.mint(stale), "user_gone")

    assert first.sub != second.sub
    assert len(whop.calls("accounts.create")) == creates
    for user in (first, second):
        assert cloud.user_record(own_pool.deployment, user.sub) == {}
        assert accounts_of(whop, user) == []
    assert app.mint(app.sign_in(second, username=username).access).status_code == 200
    assert_problem(app.mint(stale), "user_gone")


def test_who_has_to_change_their_password_and_is_signed_in_gets_a_token(
    cloud: LocalStack, own_pool: OwnPool, whop: SimulatorControl
) -> None:
    app, username = own_pool.apps[0], made_up_username()
    user = app.create_by_admin(username=username)
    token = app.sign_in(user, username=username).access
    cloud.cognito.admin_set_user_password(
        UserPoolId=own_pool.pool_id, Username=username, Password="A-temporary-1-password", Permanent=False
    )
    found = cloud.cognito.admin_get_user(UserPoolId=own_pool.pool_id, Username=username)
    assert found["UserStatus"] == "FORCE_CHANGE_PASSWORD"

    assert app.mint(token).status_code == 200
    assert len(accounts_of(whop, user)) == 1


def test_who_is_deleted_or_disabled_is_not_enrolled(
    cloud: LocalStack, own_pool: OwnPool, whop: SimulatorControl
) -> None:
    app = own_pool.apps[0]
    for end, code in (
        (cloud.cognito.admin_delete_user, "user_gone"),
        (cloud.cognito.admin_disable_user, "user_disabled"),
    ):
        username = made_up_username()
        user = app.create_by_admin(username=username)
        token = app.sign_in(user, username=username).access
        end(UserPoolId=own_pool.pool_id, Username=username)
        assert_problem(app.mint(token), code)
        assert cloud.user_record(own_pool.deployment, user.sub) == {}
        assert accounts_of(whop, user) == []


def test_two_first_tokens_at_once_make_one_account(app: TeamApp, whop: SimulatorControl) -> None:
    """The second is asked for while Whop is still making the account for the first."""
    user = app.create_by_admin()
    token = app.sign_in(user).access
    creates = len(whop.calls("accounts.create"))
    in_parallel(app.health, app.health)
    whop.add_fault(Fault("accounts.create", "delay", seconds=0.8))

    def second() -> int:
        assert wait_until(lambda: len(whop.calls("accounts.create")) > creates, 5)
        return app.mint(token).status_code

    assert in_parallel(lambda: app.mint(token).status_code, second) == [200, 200]
    assert len(accounts_of(whop, user)) == 1
    assert len(whop.calls("accounts.create")) == creates + 1


def test_an_address_has_to_be_verified_and_counts_a_minute_later(
    cloud: LocalStack, stack: Deployment, app: TeamApp, whop: SimulatorControl
) -> None:
    user = app.create_by_admin(verified=False)
    token = app.sign_in(user).access
    assert_problem(app.mint(token), "no_verified_email")
    record = cloud.user_record(stack, user.sub)
    assert (record["status"], record["reason"]) == ("blocked", "no_verified_email")
    assert 50 < int(record["retry_at"]) - time.time() <= 60

    app.verify_email(user)
    assert_problem(app.mint(token), "no_verified_email")
    assert accounts_of(whop, user) == []

    change_record(cloud, stack, user, retry_at=int(time.time()))
    assert app.mint(token).status_code == 200
    assert len(accounts_of(whop, user)) == 1


def test_an_address_that_is_another_users_at_whop_gets_no_token(
    cloud: LocalStack, own_pool: OwnPool, whop: SimulatorControl
) -> None:
    app, names = own_pool.apps[0], (made_up_username(), made_up_username())
    first = app.create_by_admin(username=names[0])
    second = app.create_by_admin(first.email, username=names[1])
    assert app.mint(app.sign_in(first, username=names[0]).access).status_code == 200
    owner = cloud.user_record(own_pool.deployment, first.sub)["whop_user_id"]

    assert_problem(app.mint(app.sign_in(second, username=names[1]).access), "identity_conflict")

    assert cloud.user_record(own_pool.deployment, first.sub)["whop_user_id"] == owner
    assert "whop_user_id" not in cloud.user_record(own_pool.deployment, second.sub)


def test_an_answer_about_another_account_gives_no_token(
    app: TeamApp, cloud: LocalStack, stack: Deployment, member: User, whop: SimulatorControl
) -> None:
    user = app.create_by_admin()
    (other,) = accounts_of(whop, member)
    answer = {
        "id": other["id"],
        "email": member.email,
        "owner": {"id": other["owner_id"]},
        "parent_account": {"id": other["parent_id"]},
    }
    whop.add_fault(Fault("accounts.create", "malformed", body=json.dumps(answer)))
    assert_problem(app.mint(app.sign_in(user).access), "identity_mismatch")
    assert "whop_user_id" not in cloud.user_record(stack, user.sub)


def test_who_is_denied_gets_no_token(cloud: LocalStack, stack: Deployment, app: TeamApp) -> None:
    user = app.create_by_admin()
    change_record(cloud, stack, user, status="denied")
    assert_problem(app.mint(app.sign_in(user).access), "user_denied")


def test_a_claim_that_another_worker_holds_is_waited_for_and_then_told(
    cloud: LocalStack, stack: Deployment, app: TeamApp, whop: SimulatorControl
) -> None:
    user = app.create_by_admin()
    change_record(cloud, stack, user, status="pending", version="another", lease_until=int(time.time()) + 10)
    assert_problem(app.mint(app.sign_in(user).access), "enrolment_in_progress")
    assert accounts_of(whop, user) == []
