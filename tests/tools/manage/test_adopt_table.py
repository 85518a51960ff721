"""adopt-table: a restored table becomes a users table again, and any other table is refused."""

from collections.abc import Iterator
from typing import Any

import pytest
from moto.dynamodb.models.table import Table

from manage import users_table
from tests.fakes import moto_aws
from tests.fakes.moto_aws import REGION
from tests.tools.manage.deployment import ACCOUNT, OPERATOR, DeployedStack, restored_table

ALL = ["time to live", "point-in-time recovery", "deletion protection", "tags"]


@pytest.fixture
def restored(run: DeployedStack) -> Iterator[str]:
    """A restored table with the records of two users of the pool, and other items."""
    pool = run.cloud.pool_id
    with restored_table(run, f"USER#{pool}#ann", f"USER#{pool}#bob", "WHOP#user_1", f"AUDIT#{pool}#2026-01") as name:
        yield name


def described(name: str) -> users_table.UsersTable:
    """The table as DynamoDB describes it."""
    table = users_table.describe(moto_aws.client("dynamodb"), name)
    assert table
    return table


def audit(run: DeployedStack, name: str) -> list[str]:
    """What the audit in this table says."""
    items = moto_aws.client("dynamodb").scan(TableName=name)["Items"]
    prefix = f"AUDIT#{run.cloud.pool_id}#"
    found = [item for item in items if item["pk"]["S"].startswith(prefix)]
    return [value["S"] for item in found for key, value in item.items() if key != "pk"]


def test_a_restored_table_gets_its_safeguards_and_its_tags(run: DeployedStack, restored: str) -> None:
    done = run("--json", "adopt-table", restored)

    assert (done.status, done.json["outcome"], done.json["changes"]) == (0, "adopted", ALL)
    assert done.json["records"] == {run.cloud.pool_id: 2}
    table = described(restored)
    assert (table.has_ttl, table.is_recoverable, table.is_protected, table.missing) == (True, True, True, [])
    assert table.tags == {"whop-chat:stack": "chat", "whop-chat:user-pool": run.cloud.pool_id}
    (entry,) = audit(run, restored)
    assert '"adopt-table"' in entry
    assert '"adopted"' in entry
    assert OPERATOR in entry


def test_a_second_run_finds_nothing_to_do(run: DeployedStack, restored: str) -> None:
    run("adopt-table", restored)
    run.asked.clear()
    done = run("--json", "adopt-table", restored)

    assert (done.status, done.json["outcome"], done.json["changes"]) == (0, "already_adopted", [])
    assert not {each for each in run.asked if each.startswith(("dynamodb:Update", "dynamodb:Tag"))}


def test_what_an_interruption_left_is_set_by_the_next_run(run: DeployedStack, restored: str) -> None:
    moto_aws.client("dynamodb").update_time_to_live(
        TableName=restored, TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": True}
    )

    assert run("--json", "adopt-table", restored).json["changes"] == ALL[1:]
    assert described(restored).missing == []


def test_a_dry_run_writes_nothing(run: DeployedStack, restored: str) -> None:
    before = described(restored)
    done = run("--json", "adopt-table", restored, "--dry-run")

    assert (done.status, done.json["outcome"], done.json["changes"]) == (0, "dry_run", ALL)
    assert described(restored) == before
    assert audit(run, restored) == []


def test_it_works_without_the_stack(run: DeployedStack, restored: str) -> None:
    done = run("--json", "adopt-table", restored, "--pool", run.cloud.pool_id)

    assert (done.status, done.json["outcome"], described(restored).missing) == (0, "adopted", [])
    assert "cloudformation:DescribeStacks" not in run.asked


def test_the_answer_says_how_to_deploy(run: DeployedStack, restored: str) -> None:
    assert f"UsersTableName=restored and UserPoolId={run.cloud.pool_id}" in run("adopt-table", restored).out


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no-such-table", "There is no table no-such-table in eu-west-1"),
        (f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/restored", "is not the name of a DynamoDB table"),
    ],
)
def test_a_name_of_no_table_is_refused(run: DeployedStack, name: str, why: str) -> None:
    refused = run("--json", "adopt-table", name)

    assert (refused.status, refused.json["outcome"], why in refused.err) == (1, "no_table", True)


def key(*parts: tuple[str, str, str]) -> dict[str, Any]:
    """A key schema from name, type and role of each part."""
    return {
        "KeySchema": [{"AttributeName": name, "KeyType": role} for name, _, role in parts],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind, _ in parts],
    }


@pytest.mark.parametrize(
    "schema",
    [
        key(("pk", "S", "HASH"), ("sk", "S", "RANGE")),
        key(("id", "S", "HASH")),
        key(("pk", "B", "HASH")),
    ],
)
def test_a_table_with_another_key_is_refused(run: DeployedStack, schema: dict[str, Any]) -> None:
    dynamodb = moto_aws.client("dynamodb")
    dynamodb.create_table(TableName="other", BillingMode="PAY_PER_REQUEST", **schema)
    refused = run("--json", "adopt-table", "other")
    dynamodb.delete_table(TableName="other")

    assert (refused.status, refused.json["outcome"]) == (1, "other_schema")


def test_a_table_that_is_not_restored_yet_is_refused(
    run: DeployedStack, restored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = Table.describe

    def creating(table: Table, base_key: str = "TableDescription") -> dict[str, Any]:
        answer = stock(table, base_key)
        answer[base_key]["TableStatus"] = "CREATING"
        return answer

    monkeypatch.setattr(Table, "describe", creating)

    refused = run("--json", "adopt-table", restored)
    assert (refused.status, refused.json["outcome"]) == (1, "not_active")


def test_time_to_live_for_another_attribute_is_refused(run: DeployedStack, restored: str) -> None:
    moto_aws.client("dynamodb").update_time_to_live(
        TableName=restored, TimeToLiveSpecification={"AttributeName": "expires", "Enabled": True}
    )

    refused = run("--json", "adopt-table", restored)
    assert (refused.status, refused.json["outcome"], "expires" in refused.err) == (1, "other_ttl", True)


def test_a_table_without_a_record_is_refused(run: DeployedStack) -> None:
    with restored_table(run, "WHOP#user_1", f"AUDIT#{run.cloud.pool_id}#2026-01") as name:
        refused = run("--json", "adopt-table", name)
        missing = described(name).missing

    assert (refused.status, refused.json["outcome"], missing) == (1, "no_records", ALL[:3])


@pytest.mark.parametrize("of_ours", [0, 1])
def test_a_table_with_records_of_another_pool_is_refused(run: DeployedStack, of_ours: int) -> None:
    ours = [f"USER#{run.cloud.pool_id}#ann"] * of_ours
    with restored_table(run, "USER#eu-west-1_Other#ann", *ours) as name:
        refused = run("--json", "adopt-table", name)
        missing = described(name).missing

    assert (refused.status, refused.json["outcome"], missing) == (1, "other_pool", ALL[:3])
    assert "eu-west-1_Other" in refused.err


def test_a_stack_that_was_moved_to_another_pool_can_keep_its_table(run: DeployedStack) -> None:
    with restored_table(run, "USER#eu-west-1_Other#ann", f"USER#{run.cloud.pool_id}#ann") as name:
        done = run("--json", "adopt-table", name, "--other-pools")

    assert (done.status, done.json["records"]) == (0, {"eu-west-1_Other": 1, run.cloud.pool_id: 1})


def test_no_option_makes_a_table_without_records_of_the_pool_right(run: DeployedStack) -> None:
    with restored_table(run, "USER#eu-west-1_Other#ann") as name:
        assert run("--json", "adopt-table", name, "--other-pools").json["outcome"] == "other_pool"
