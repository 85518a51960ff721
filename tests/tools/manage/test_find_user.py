"""Which user a command means."""

import pytest

from tests.tools.manage.deployment import LINKED, DeployedStack, leave
from whop_chat.cognito.user import UserRef


@pytest.mark.parametrize("by", ["sub", "user name", "address"])
def test_a_user_is_named_by_sub_user_name_or_address(run: DeployedStack, ann: UserRef, by: str) -> None:
    name = {"sub": ann.sub, "user name": ann.username, "address": "ann@example.test"}[by]

    assert run("--json", "status", name).json["sub"] == ann.sub


NOBODY = ["nobody", "nobody@example.test", 'no"body\\', "0a1b2c3d-0000-4000-8000-000000000000"]


@pytest.mark.parametrize(
    ("command", "name"),
    [*(("status", name) for name in NOBODY), *((name, NOBODY[0]) for name in ("sync", "deny", "allow", "relink"))],
)
def test_an_unknown_user_changes_nothing(run: DeployedStack, command: str, name: str) -> None:
    refused = run("--json", command, name)

    assert (refused.status, refused.json["outcome"]) == (1, "unknown_user")
    assert run.items() == {}
    assert run.messages() == []


def test_a_deleted_user_is_named_by_sub_only(run: DeployedStack, ann: UserRef) -> None:
    run.write(ann, LINKED)
    leave(run.cloud, ann)

    assert run("--json", "status", ann.sub).json["pool_status"] == "gone"
    assert run("status", ann.username).status == 1


def test_a_sub_wins_over_a_user_name_of_the_same_text(run: DeployedStack, ann: UserRef) -> None:
    run.write(ann, LINKED)
    leave(run.cloud, ann)
    run.cloud.sign_up(ann.sub)

    assert run("--json", "status", ann.sub).json["record"]["whop_user_id"] == "user_Ann"


def test_an_address_of_several_users_is_refused(run: DeployedStack, ann: UserRef) -> None:
    other = run.cloud.cognito.admin_create_user(
        UserPoolId=run.cloud.pool_id,
        Username="other",
        UserAttributes=[{"Name": "email", "Value": "ann@example.test"}],
        MessageAction="SUPPRESS",
    )["User"]["Attributes"]
    refused = run("--json", "deny", "ann@example.test")

    assert (refused.status, refused.json["outcome"]) == (1, "several_users")
    assert {each["Value"] for each in other if each["Name"] == "sub"} | {ann.sub} <= set(
        refused.json["error"].replace(",", "").split()
    )
    assert run.items() == {}


def test_an_unreadable_record_is_reported_and_kept(run: DeployedStack, ann: UserRef) -> None:
    item = {"pk": {"S": f"USER#{ann.pool_id}#{ann.sub}"}, "status": {"S": "odd"}}
    run.table.put_item(TableName="users", Item=item)

    for command in ("status", "deny", "sync", "relink"):
        assert run("--json", command, ann.sub).json["outcome"] == "unreadable_record"
    assert list(run.items().values()) == [item]
