"""doctor's check of the users table: its safeguards, and whether it is the one that was in use."""

from collections.abc import Iterator

import pytest

from tests.fakes import moto_aws
from tests.tools.manage.deployment import DeployedStack, restored_table

CODES = {"users_table_missing", "users_table_unsafe", "other_users_table"}


@pytest.fixture
def restored(run: DeployedStack) -> Iterator[str]:
    """A restored table of the stack."""
    with restored_table(run, f"USER#{run.cloud.pool_id}#ann") as name:
        yield name


def findings(run: DeployedStack) -> list[tuple[str, str]]:
    """The findings of this check: severity and code."""
    found = run("--json", "doctor").json["findings"]
    return [(each["severity"], each["code"]) for each in found if each["code"] in CODES]


def test_the_table_that_the_stack_created_is_right(run: DeployedStack) -> None:
    assert findings(run) == []


def test_a_restored_table_is_a_problem_until_it_is_adopted(run: DeployedStack, restored: str) -> None:
    run.outputs["UsersTableName"] = run.parameters["UsersTableName"] = restored
    assert ("problem", "users_table_unsafe") in findings(run)

    run("adopt-table", restored)
    assert "users_table_unsafe" not in {code for _, code in findings(run)}


@pytest.mark.parametrize("safeguard", ["time to live", "point-in-time recovery", "deletion protection"])
def test_each_safeguard_that_is_off_is_named(run: DeployedStack, restored: str, safeguard: str) -> None:
    run.outputs["UsersTableName"] = restored
    run("adopt-table", restored)
    dynamodb = moto_aws.client("dynamodb")
    if safeguard == "time to live":
        dynamodb.update_time_to_live(
            TableName=restored, TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": False}
        )
    elif safeguard == "point-in-time recovery":
        dynamodb.update_continuous_backups(
            TableName=restored, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
        )
    else:
        dynamodb.update_table(TableName=restored, DeletionProtectionEnabled=False)

    (found,) = [each for each in run("--json", "doctor").json["findings"] if each["code"] == "users_table_unsafe"]
    assert found["meaning"] == f"The users table {restored} has no {safeguard}."


def test_a_table_that_is_gone_is_a_problem(run: DeployedStack) -> None:
    run.outputs["UsersTableName"] = "gone"

    assert ("problem", "users_table_missing") in findings(run)


def test_a_name_that_was_cleared_is_a_problem(run: DeployedStack, restored: str) -> None:
    """The stack uses the table that it created, and had an adopted one before."""
    run("adopt-table", restored)
    run.parameters["UsersTableName"] = ""

    done = run("--json", "doctor")
    (found,) = [each for each in done.json["findings"] if each["code"] == "other_users_table"]
    assert (done.status, found["severity"], restored in found["meaning"]) == (1, "problem", True)


def test_a_name_that_was_changed_is_a_warning(run: DeployedStack, restored: str) -> None:
    run("adopt-table", restored)
    run.outputs["UsersTableName"] = run.parameters["UsersTableName"] = restored

    assert findings(run) == [("warning", "other_users_table")]


@pytest.mark.parametrize("stack", ["chat", "other"])
def test_the_table_of_another_stack_or_pool_is_not_this_one_s(run: DeployedStack, restored: str, stack: str) -> None:
    pool = run.cloud.pool_id if stack == "other" else "eu-west-1_Other"
    dynamodb = moto_aws.client("dynamodb")
    arn = dynamodb.describe_table(TableName=restored)["Table"]["TableArn"]
    tags = {"whop-chat:stack": stack, "whop-chat:user-pool": pool}
    dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])

    assert findings(run) == []
