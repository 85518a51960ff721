"""What becomes of users after their sign-up: a new name, disabled and enabled, deleted, and back again."""

import pytest
from botocore.exceptions import ClientError

from local.demo.chat_app import User
from local.stack import Deployment, LocalStack
from local.whop_simulator import DEFAULT_COMPANY
from local.whop_simulator.control import SimulatorControl
from tests.e2e.harness import SyncLane, TeamApp, accounts_of, assert_problem, change_record, message, record_with_status

NEUTRAL = "Deleted user"


@pytest.fixture
def user(cloud: LocalStack, stack: Deployment, app: TeamApp, lane: SyncLane) -> User:
    """Somebody who is linked and has a name."""
    return signed_up(cloud, app, lane)


def signed_up(cloud: LocalStack, app: TeamApp, lane: SyncLane, email: str | None = None) -> User:
    user = app.sign_up(email, confirm=False)
    app.give_name(user, "Ada Lovelace")
    app.confirm(user)
    record_with_status(cloud, app.deployment, user, "linked")
    lane.settle()
    return user


def name_at_whop(cloud: LocalStack, app: TeamApp, whop: SimulatorControl, user: User) -> str | None:
    """The name that the user's Whop user has in the company."""
    whop_user = cloud.user_record(app.deployment, user.sub)["whop_user_id"]
    names = {(each["account_id"], each["user_id"]): each.get("name") for each in whop.state()["profiles"]}
    return names.get((DEFAULT_COMPANY, whop_user))


def changed(app: TeamApp, lane: SyncLane, user: User) -> None:
    """A message about a change, as CloudTrail's events become one: without the user name."""
    lane.send(message(app.pool_id, user.sub, user.sub, source="change"))
    lane.settle()


def pool_user(app: TeamApp, user: User) -> dict[str, str]:
    return {"UserPoolId": app.pool_id, "Username": app.username(user)}


def linked_to_a_stranger(cloud: LocalStack, app: TeamApp, user: User) -> str:
    """Link ``user`` to a Whop user that Whop does not know, as if Whop had removed it; its id."""
    gone = f"user_{user.sub.replace('-', '')[:13]}"
    change_record(cloud, app.deployment, user, whop_user_id=gone)
    reservation = {"pk": {"S": f"WHOP#{gone}"}, "pool": {"S": app.pool_id}, "sub": {"S": user.sub}}
    cloud.dynamodb.put_item(TableName=app.deployment["UsersTableName"], Item=reservation)
    return gone


def is_reserved(cloud: LocalStack, app: TeamApp, whop_user: str) -> bool:
    key = {"pk": {"S": f"WHOP#{whop_user}"}}
    return "Item" in cloud.dynamodb.get_item(TableName=app.deployment["UsersTableName"], Key=key)


@pytest.mark.parametrize("through", ["a token", "the queue"])
def test_who_whop_no_longer_knows_is_linked_anew_and_the_old_reservation_released(
    cloud: LocalStack, app: TeamApp, lane: SyncLane, whop: SimulatorControl, user: User, through: str
) -> None:
    token = app.sign_in(user).access
    before = cloud.user_record(app.deployment, user.sub)["whop_user_id"]
    gone = linked_to_a_stranger(cloud, app, user)

    if through == "a token":
        answer = app.mint(token)
        assert answer.status_code == 200, answer.text
    else:
        app.give_name(user, "Ada King")
        changed(app, lane, user)
        assert name_at_whop(cloud, app, whop, user) == "Ada King"

    assert cloud.user_record(app.deployment, user.sub)["whop_user_id"] == before
    assert not is_reserved(cloud, app, gone)
    assert is_reserved(cloud, app, before)


def test_a_new_name_arrives_with_the_next_message_and_costs_nothing_until_it_changes(
    cloud: LocalStack, app: TeamApp, lane: SyncLane, whop: SimulatorControl, user: User
) -> None:
    app.give_name(user, "Ada King")
    changed(app, lane, user)
    assert name_at_whop(cloud, app, whop, user) == "Ada King"

    calls = len(whop.calls())
    changed(app, lane, user)
    assert len(whop.calls()) == calls


def test_a_new_name_arrives_with_the_next_sign_in(
    cloud: LocalStack, eager: TeamApp, eager_lane: SyncLane, whop: SimulatorControl
) -> None:
    user = signed_up(cloud, eager, eager_lane)
    eager.give_name(user, "Countess of Lovelace")
    eager.sign_in(user)
    eager_lane.settle()

    assert name_at_whop(cloud, eager, whop, user) == "Countess of Lovelace"


def test_a_name_is_cut_between_characters(
    cloud: LocalStack, app: TeamApp, lane: SyncLane, whop: SimulatorControl, user: User
) -> None:
    app.give_name(user, "e\u0301" * 70)
    changed(app, lane, user)

    assert name_at_whop(cloud, app, whop, user) == "e\u0301" * 50


def test_a_disabled_user_is_denied_and_let_in_again_with_the_same_identity(
    cloud: LocalStack, stack: Deployment, app: TeamApp, lane: SyncLane, whop: SimulatorControl, user: User
) -> None:
    token = app.sign_in(user).access
    before = cloud.user_record(stack, user.sub)
    assert app.mint(token).status_code == 200

    cloud.cognito.admin_disable_user(**pool_user(app, user))
    changed(app, lane, user)
    assert_problem(app.mint(token), "user_disabled")

    cloud.cognito.admin_enable_user(**pool_user(app, user))
    assert_problem(app.mint(token), "user_disabled")
    changed(app, lane, user)
    assert app.mint(token).status_code == 200
    after = cloud.user_record(stack, user.sub)
    assert {name for name in after if after[name] != before[name]} <= {"version", "mints_since", "mints"}
    assert after.keys() == before.keys()
    assert len(accounts_of(whop, user)) == 1


def test_a_deleted_user_leaves_a_tombstone_and_a_neutral_name(
    cloud: LocalStack, stack: Deployment, app: TeamApp, lane: SyncLane, whop: SimulatorControl, user: User
) -> None:
    token = app.sign_in(user).access
    before = cloud.user_record(stack, user.sub)
    cloud.cognito.admin_delete_user(**pool_user(app, user))
    changed(app, lane, user)

    assert_problem(app.mint(token), "user_gone")
    after = cloud.user_record(stack, user.sub)
    assert after["status"] == "deleted"
    assert after["cleaned_at"]
    kept = ("whop_user_id", "whop_account_id", "generation", "sub", "pool")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert not {"profile_digest", "email_digest", "idempotency_key", "synced_at"} & after.keys()
    assert name_at_whop(cloud, app, whop, user) == NEUTRAL
    assert len(accounts_of(whop, user)) == 1


def test_cloudtrail_tells_of_a_name_a_block_and_a_deletion(
    cloud: LocalStack, watching: TeamApp, watching_lane: SyncLane, whop: SimulatorControl
) -> None:
    user = signed_up(cloud, watching, watching_lane)
    watching.give_name(user, "Ada Byron")
    watching_lane.settle()
    assert name_at_whop(cloud, watching, whop, user) == "Ada Byron"

    named = pool_user(watching, user)
    cloud.cognito.admin_disable_user(**named)
    record_with_status(cloud, watching.deployment, user, "disabled")
    cloud.cognito.admin_enable_user(**named)
    record_with_status(cloud, watching.deployment, user, "linked")
    cloud.cognito.admin_delete_user(**named)
    record_with_status(cloud, watching.deployment, user, "deleted")


def test_cloudtrail_tells_of_one_who_deletes_themselves_by_a_token_that_does_not_name_the_pool(
    cloud: LocalStack, watching: TeamApp, watching_lane: SyncLane
) -> None:
    user = signed_up(cloud, watching, watching_lane)
    cloud.cognito.delete_user(AccessToken=watching.sign_in(user).access)

    record_with_status(cloud, watching.deployment, user, "deleted")


def test_what_is_of_another_pool_or_was_refused_is_nobody_s_change(
    cloud: LocalStack, app: TeamApp, watching: TeamApp, watching_lane: SyncLane, user: User
) -> None:
    token = app.sign_in(user).access
    with watching_lane.paused():
        waiting = watching_lane.waiting()
        app.give_name(user, "Ada Elsewhere")
        with pytest.raises(ClientError):
            cloud.cognito.admin_disable_user(UserPoolId=watching.pool_id, Username="nobody")
        assert watching_lane.waiting() == waiting
        # A call by a token might be about anybody; whoever is not of this pool is left alone.
        cloud.cognito.delete_user(AccessToken=token)
        assert watching_lane.waiting() == waiting + 1
    watching_lane.settle()
    assert cloud.user_record(watching.deployment, user.sub) == {}


def test_the_account_is_deleted_where_that_is_the_policy(
    cloud: LocalStack, eager: TeamApp, eager_lane: SyncLane, whop: SimulatorControl
) -> None:
    user = signed_up(cloud, eager, eager_lane)
    assert len(accounts_of(whop, user)) == 1
    cloud.cognito.admin_delete_user(**pool_user(eager, user))
    changed(eager, eager_lane, user)

    record = record_with_status(cloud, eager.deployment, user, "deleted")
    assert accounts_of(whop, user) == []
    assert record["cleaned_at"]
    assert "reason" not in record
    assert name_at_whop(cloud, eager, whop, user) == NEUTRAL


def test_an_account_that_whop_keeps_is_on_record_and_not_asked_for_for_ever(
    cloud: LocalStack, eager: TeamApp, eager_lane: SyncLane, whop: SimulatorControl
) -> None:
    user = signed_up(cloud, eager, eager_lane)
    (account,) = accounts_of(whop, user)
    whop.block_deletion(account["id"], "This account has a balance.")
    cloud.cognito.admin_delete_user(**pool_user(eager, user))
    deletes = len(whop.calls("accounts.delete"))
    changed(eager, eager_lane, user)

    record = record_with_status(cloud, eager.deployment, user, "deleted")
    assert record["reason"].startswith("delete_account: 400")
    assert record["cleaned_at"]
    assert len(accounts_of(whop, user)) == 1
    assert len(whop.calls("accounts.delete")) == deletes + 1
    assert name_at_whop(cloud, eager, whop, user) == NEUTRAL


def test_who_signs_up_again_with_the_address_of_a_deleted_user_is_refused(
    cloud: LocalStack, stack: Deployment, app: TeamApp, lane: SyncLane, user: User
) -> None:
    cloud.cognito.admin_delete_user(**pool_user(app, user))
    changed(app, lane, user)
    again = app.create_by_admin(user.email)

    assert_problem(app.mint(app.sign_in(again).access), "identity_conflict")
    assert "whop_user_id" not in cloud.user_record(stack, again.sub)


def test_or_inherits_the_whop_user_where_the_team_says_so(
    cloud: LocalStack, eager: TeamApp, eager_lane: SyncLane, whop: SimulatorControl
) -> None:
    user = signed_up(cloud, eager, eager_lane)
    before = cloud.user_record(eager.deployment, user.sub)["whop_user_id"]
    cloud.cognito.admin_delete_user(**pool_user(eager, user))
    changed(eager, eager_lane, user)
    again = eager.create_by_admin(user.email)
    eager.give_name(again, "Ada the Second")

    assert eager.mint(eager.sign_in(again).access).status_code == 200
    eager_lane.settle()
    assert cloud.user_record(eager.deployment, again.sub)["whop_user_id"] == before
    assert "whop_user_id" not in cloud.user_record(eager.deployment, user.sub)
    assert name_at_whop(cloud, eager, whop, again) == "Ada the Second"
