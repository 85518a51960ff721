"""A stack is deleted and deployed again with the users table that stayed, and later with a restored one."""

import json
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from local.demo.chat_app import User
from local.sam import FAKE_KEYS, REGION
from local.stack import Deployment, LocalStack
from local.whop_simulator.control import SimulatorControl
from manage import users_table
from manage.table_change import OtherTable, require_same_table
from tests.e2e.confidential import Confidential
from tests.e2e.harness import (
    TeamApp,
    accounts_of,
    assert_problem,
    deploy_again,
    deploy_with,
    make_key,
    manage,
    record_with_status,
    update,
)
from tools import delete_stack

NAME = "kept"
ALL = ["time to live", "point-in-time recovery", "deletion protection", "tags"]


@dataclass(frozen=True, slots=True)
class Kept:
    """What outlived a stack: its table and its pool, with a linked, a denied and a deleted user."""

    pool_id: str
    client_id: str
    table: str
    linked: User
    denied: User
    gone: User
    whop_user_id: str
    """Of ``linked``."""

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of a stack that uses it all."""
        return {"UserPoolId": self.pool_id, "UserPoolClientIds": self.client_id, "UsersTableName": self.table}


def told(cloud: LocalStack, *arguments: str, status: int = 0) -> Any:
    """What a command answers as JSON, when it ends with ``status``."""
    done = manage(cloud, NAME, *arguments)
    assert done.returncode == status, done.stderr or done.stdout
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def kept(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> Kept:
    """The remains of a deleted stack."""
    app = deploy_with(cloud, stack, confidential, NAME)
    linked, denied, gone = (app.sign_up() for _ in range(3))
    records = [record_with_status(cloud, app.deployment, user, "linked") for user in (linked, denied, gone)]
    told(cloud, "deny", denied.sub, "--reason", "spam")
    cloud.cognito.admin_delete_user(UserPoolId=app.pool_id, Username=app.username(gone))
    told(cloud, "sync", gone.sub)
    record_with_status(cloud, app.deployment, gone, "deleted")
    table, whop_user_id = app.deployment["UsersTableName"], records[0]["whop_user_id"]
    delete(cloud)
    return Kept(app.pool_id, app.client_id, table, linked, denied, gone, whop_user_id)


def delete(cloud: LocalStack) -> None:
    """Delete the stack as ``make delete`` does."""
    delete_stack.detach(cloud.cloudformation, cloud.cognito, NAME)
    delete_stack.allow_deletion(cloud.cloudformation, NAME)
    cloud.cloudformation.delete_stack(StackName=NAME)
    cloud.cloudformation.get_waiter("stack_delete_complete").wait(
        StackName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )


@pytest.fixture(scope="module")
def app(cloud: LocalStack, stack: Deployment, kept: Kept, confidential: Confidential) -> TeamApp:
    """An app on the stack that was deployed again, with the API key stored once more."""
    assert told(cloud, "adopt-table", kept.table, "--pool", kept.pool_id)["outcome"] == "already_adopted"
    deployment = deploy_again(cloud, stack, NAME, kept.parameters)
    cloud.put_api_key(deployment, make_key(cloud, confidential))
    assert told(cloud, "attach", kept.pool_id, "--yes")["outcome"] == "attached"
    return TeamApp(cloud, deployment, confidential, pool_id=kept.pool_id, client_id=kept.client_id)


@pytest.fixture
def session(cloud: LocalStack, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    """What ``make deploy`` looks with."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.emulator_url)
    return boto3.Session(FAKE_KEYS["AWS_ACCESS_KEY_ID"], FAKE_KEYS["AWS_SECRET_ACCESS_KEY"], region_name=REGION)


def test_the_table_stays_as_safe_as_it_was(cloud: LocalStack, kept: Kept) -> None:
    table = users_table.describe(cloud.dynamodb, kept.table)

    assert table
    assert table.missing == []
    assert users_table.tags(NAME, kept.pool_id).items() <= table.tags.items()


def test_a_deployment_that_overlooks_the_kept_table_is_refused(kept: Kept, session: boto3.Session) -> None:
    """This comes before the first deployment on the kept table."""
    with pytest.raises(OtherTable, match=kept.table):
        require_same_table(session, NAME, kept.parameters | {"UsersTableName": ""})
    require_same_table(session, NAME, kept.parameters)


def test_a_linked_user_is_not_enrolled_again(
    cloud: LocalStack, whop: SimulatorControl, app: TeamApp, kept: Kept
) -> None:
    assert app.mint(app.sign_in(kept.linked).access).status_code == 200

    assert cloud.user_record(app.deployment, kept.linked.sub)["whop_user_id"] == kept.whop_user_id
    assert len(accounts_of(whop, kept.linked)) == 1


def test_the_denial_and_the_audit_are_still_there(cloud: LocalStack, app: TeamApp, kept: Kept) -> None:
    assert app.deployment["UsersTableName"] == kept.table
    assert_problem(app.mint(app.sign_in(kept.denied).access), "user_denied")

    acts = told(cloud, "status", kept.denied.sub)["acts"]
    assert [(act["action"], act["reason"], act["outcome"]) for act in acts] == [("deny", "spam", "denied")]


def test_the_tombstone_still_keeps_its_whop_user(cloud: LocalStack, app: TeamApp, kept: Kept) -> None:
    assert cloud.user_record(app.deployment, kept.gone.sub)["status"] == "deleted"

    again = app.create_by_admin(kept.gone.email)
    assert_problem(app.mint(app.sign_in(again).access), "identity_conflict")


def test_sign_ups_are_synced_into_the_kept_table(cloud: LocalStack, app: TeamApp) -> None:
    record_with_status(cloud, app.deployment, app.sign_up(), "linked")


def test_a_restored_table_is_adopted_and_deployed(
    cloud: LocalStack, app: TeamApp, kept: Kept, session: boto3.Session
) -> None:
    """Restored from the point-in-time recovery, which brings back the items and no setting."""
    cloud.dynamodb.restore_table_to_point_in_time(
        SourceTableName=kept.table, TargetTableName="restored", UseLatestRestorableTime=True
    )
    assert told(cloud, "adopt-table", "restored", "--dry-run")["changes"] == ALL
    with pytest.raises(OtherTable, match=kept.table):
        require_same_table(session, NAME, {"UsersTableName": "restored"})

    assert told(cloud, "adopt-table", "restored")["outcome"] == "adopted"
    update(cloud, NAME, UsersTableName="restored")

    assert cloud.describe(NAME)["UsersTableName"] == "restored"
    assert_problem(app.mint(app.sign_in(kept.denied).access), "user_denied")
    assert app.mint(app.sign_in(kept.linked).access).status_code == 200
    assert [act["action"] for act in told(cloud, "status", kept.denied.sub)["acts"]] == ["deny"]
    assert _findings(cloud) == [("warning", "other_users_table")]


def test_a_restored_table_that_was_not_adopted_is_a_problem(cloud: LocalStack, app: TeamApp, kept: Kept) -> None:
    backup = cloud.dynamodb.create_backup(TableName=kept.table, BackupName="kept")["BackupDetails"]["BackupArn"]
    cloud.dynamodb.restore_table_from_backup(BackupArn=backup, TargetTableName="from-backup")

    update(cloud, NAME, UsersTableName="from-backup")

    assert ("problem", "users_table_unsafe") in _findings(cloud, status=1)
    assert_problem(app.mint(app.sign_in(kept.denied).access), "user_denied")


def test_a_name_that_was_cleared_is_a_problem(cloud: LocalStack, app: TeamApp, kept: Kept) -> None:
    update(cloud, NAME, UsersTableName="")

    assert cloud.describe(NAME)["UsersTableName"] not in {kept.table, "restored", "from-backup"}
    assert ("problem", "other_users_table") in _findings(cloud, status=1)
    assert cloud.dynamodb.describe_table(TableName=kept.table)["Table"]["TableStatus"] == "ACTIVE"


def _findings(cloud: LocalStack, *, status: int = 0) -> list[tuple[str, str]]:
    """What doctor finds about users tables: severity and code."""
    found = told(cloud, "doctor", status=status)["findings"]
    return [(each["severity"], each["code"]) for each in found if "users_table" in each["code"]]
