"""The commands about users, runs and dead letters, run as an operator runs them."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from local.demo.chat_app import User
from local.sam import REGION
from local.stack import Deployment, LocalStack
from tests.e2e.confidential import Confidential
from tests.e2e.harness import (
    OwnPool,
    SyncLane,
    TeamApp,
    assert_problem,
    deploy_again,
    made_up_username,
    make_key,
    manage,
    message,
    record_with_status,
)


def told(cloud: LocalStack, stack: Deployment, *arguments: str, status: int = 0) -> dict[str, Any]:
    """What a command answers as JSON, when it ends with ``status``."""
    done = manage(cloud, stack.name, *arguments)
    assert done.returncode == status, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture
def user(cloud: LocalStack, stack: Deployment, app: TeamApp, lane: SyncLane) -> User:
    """Somebody who is linked."""
    user = app.sign_up()
    record_with_status(cloud, stack, user, "linked")
    lane.settle()
    return user


def test_a_user_is_denied_and_let_in_again(cloud: LocalStack, stack: Deployment, app: TeamApp, user: User) -> None:
    token = app.sign_in(user).access

    assert told(cloud, stack, "deny", user.email)["outcome"] == "denied"
    assert_problem(app.mint(token), "user_denied")
    assert told(cloud, stack, "allow", user.sub)["outcome"] == "allowed"
    assert app.mint(token).status_code == 200
    known = told(cloud, stack, "status", user.email)
    assert (known["sub"], known["pool_status"], known["record"]["status"]) == (user.sub, "active", "linked")
    assert [(act["action"], act["outcome"]) for act in known["acts"]] == [("deny", "denied"), ("allow", "allowed")]


def test_sync_follows_the_pool_and_relink_restores_a_link(
    cloud: LocalStack, stack: Deployment, app: TeamApp, lane: SyncLane, user: User
) -> None:
    pool_user = {"UserPoolId": app.pool_id, "Username": app.username(user)}
    before = cloud.user_record(stack, user.sub)["whop_user_id"]
    cloud.cognito.admin_disable_user(**pool_user)
    told(cloud, stack, "sync", user.email)
    record_with_status(cloud, stack, user, "disabled")
    cloud.cognito.admin_enable_user(**pool_user)
    told(cloud, stack, "sync", user.sub)
    record_with_status(cloud, stack, user, "linked")
    cloud.cognito.admin_delete_user(**pool_user)
    assert told(cloud, stack, "sync", user.email, status=1)["outcome"] == "unknown_user"
    told(cloud, stack, "sync", user.sub)
    record_with_status(cloud, stack, user, "deleted")
    lane.settle()

    again = app.create_by_admin(user.email)
    token = app.sign_in(again).access
    assert_problem(app.mint(token), "identity_conflict")
    assert told(cloud, stack, "relink", user.email, "--yes")["outcome"] == "relinked"
    assert app.mint(token).status_code == 200
    assert cloud.user_record(stack, again.sub)["whop_user_id"] == before


@dataclass(frozen=True, slots=True)
class Migrated:
    """A stack whose people were imported into its pool anew: ``before`` are their old records, ``now`` they, in order.

    Nobody has told the stack that the old users are gone.
    """

    deployment: Deployment
    lane: SyncLane
    before: list[dict[str, str]]
    now: list[User]


@pytest.fixture(scope="module")
def migrated(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> Migrated:
    pool_id = cloud.cognito.create_user_pool(PoolName="people")["UserPool"]["Id"]
    client = cloud.cognito.create_user_pool_client(UserPoolId=pool_id, ClientName="web")["UserPoolClient"]["ClientId"]
    deployment = deploy_again(cloud, stack, "migrated", {"UserPoolId": pool_id, "UserPoolClientIds": client})
    cloud.put_api_key(deployment, make_key(cloud, confidential))
    app = TeamApp(cloud, deployment, confidential, pool_id=pool_id, client_id=client)
    names = [made_up_username() for _ in range(2)]
    people = [app.create_by_admin(username=name) for name in names]
    answer = told(cloud, deployment, "reconcile", "--backfill", "--yes", "--wait")
    assert (answer["outcome"], answer["run"]["counts"]["enqueued_create"]) == ("completed", 2)
    before = [record_with_status(cloud, deployment, user, "linked") for user in people]
    for name in names:
        cloud.cognito.admin_delete_user(UserPoolId=pool_id, Username=name)
    now = [app.create_by_admin(user.email, username=made_up_username()) for user in people]
    return Migrated(deployment, SyncLane(cloud, deployment), before, now)


def test_people_who_were_migrated_get_their_whop_users_back(cloud: LocalStack, migrated: Migrated) -> None:
    stack = migrated.deployment
    for user in migrated.now:
        told(cloud, stack, "sync", user.email)
        assert record_with_status(cloud, stack, user, "blocked")["reason"] == "identity_conflict"
    migrated.lane.settle()

    would = told(cloud, stack, "relink", "--by-verified-email", "--dry-run")
    assert (would["outcome"], would["counts"]["relink"]) == ("dry_run", 2)
    done = told(cloud, stack, "relink", "--by-verified-email", "--yes")
    assert (done["outcome"], done["done"]) == ("completed", {"relinked": 2})
    now = [record_with_status(cloud, stack, user, "linked") for user in migrated.now]
    assert [each["whop_user_id"] for each in now] == [each["whop_user_id"] for each in migrated.before]


def test_the_report_of_a_run_is_told(cloud: LocalStack, migrated: Migrated) -> None:
    report = told(cloud, migrated.deployment, "report")

    assert (report["report"]["counts"]["missing"], report["report"]["backfill"], report["under_way"]) == (2, True, None)


def test_dead_letters_are_listed_sent_back_and_discarded(cloud: LocalStack, migrated: Migrated) -> None:
    stack, (user, _) = migrated.deployment, migrated.now
    readable = message(stack["UserPoolId"], "somebody@example.test", user.sub, source="change")
    for body in (readable, "not ours"):
        cloud.sqs.send_message(QueueUrl=stack["SyncDeadLetterQueueUrl"], MessageBody=body)

    listed = told(cloud, stack, "dead-letters", "list")
    assert sorted((each["sub"], each["ours"]) for each in listed["messages"] if each["ours"]) == [(user.sub, True)]
    assert (listed["count"], "example.test" in json.dumps(listed)) == (2, False)
    done = told(cloud, stack, "dead-letters", "redrive")
    assert (done["sent"], done["left"]) == (1, 1)
    migrated.lane.settle()
    assert told(cloud, stack, "dead-letters", "discard", "--yes")["deleted"] == 1
    assert not migrated.lane.has_dead_letter("not ours", seconds=0)


def test_doctor_shows_each_list_as_the_function_got_it(cloud: LocalStack, own_pool: OwnPool) -> None:
    findings = told(cloud, own_pool.deployment, "doctor")["findings"]

    assert [each for each in findings if each["code"] in {"not_checked", "settings_unusable"}] == []
    clients = ", ".join(f'"{client}"' for client in own_pool.deployment["UserPoolClientId"].split(","))
    assert f"UserPoolClientIds: {clients}." in [each["meaning"] for each in findings if each["code"] == "list"]


def test_a_stack_of_another_region_or_account_is_not_worked_on(cloud: LocalStack, stack: Deployment) -> None:
    elsewhere = manage(cloud, stack.name, "--region", "eu-west-1", "report")
    assert (elsewhere.returncode, f"no stack {stack.name} in eu-west-1" in elsewhere.stderr) == (1, True)

    theirs = f"arn:aws:cloudformation:{REGION}:999999999999:stack/{stack.name}/1"
    refused = manage(cloud, theirs, "report")
    assert (refused.returncode, "of account 999999999999, but the credentials are for" in refused.stderr) == (1, True)
