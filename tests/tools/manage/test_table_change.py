"""A deployment that would give a stack another users table is refused."""

import json
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from manage import users_table
from manage.table_change import OtherTable, require_same_table

POOL = "eu-west-1_AbCdEfGhI"
# The output is what CloudFormation makes of the parameter: its value, or the table that it created.
TEMPLATE = json.dumps(
    {
        "Parameters": {name: {"Type": "String", "Default": ""} for name in ("UserPoolId", "UsersTableName", "InUse")},
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {"UsersTableName": {"Value": {"Ref": "InUse"}}},
    }
)


@pytest.fixture
def session() -> Iterator[boto3.Session]:
    """An empty account."""
    with mock_aws():
        yield boto3.Session(region_name="eu-west-1")


def deploy(session: boto3.Session, in_use: str, **parameters: str) -> None:
    """A stack that uses this table."""
    values = {"InUse": in_use, **parameters}
    session.client("cloudformation").create_stack(
        StackName="chat",
        TemplateBody=TEMPLATE,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
    )


def keep(session: boto3.Session, name: str, *, stack: str = "chat", pool: str = POOL) -> None:
    """A table that outlived its stack."""
    session.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=[{"Key": key, "Value": value} for key, value in users_table.tags(stack, pool).items()],
    )


@pytest.mark.parametrize("wanted", [{}, {"UsersTableName": ""}, {"UsersTableName": "created"}])
def test_a_created_table_may_also_be_named(session: boto3.Session, wanted: dict[str, str]) -> None:
    """CloudFormation retains it, and it is in use before and after."""
    deploy(session, "created")

    require_same_table(session, "chat", wanted)


@pytest.mark.parametrize("wanted", [{}, {"UsersTableName": "kept"}, {"ChatFeatures": "dms"}])
def test_a_kept_table_stays(session: boto3.Session, wanted: dict[str, str]) -> None:
    deploy(session, "kept", UsersTableName="kept", UserPoolId=POOL)

    require_same_table(session, "chat", wanted)


def test_a_name_is_not_cleared(session: boto3.Session) -> None:
    deploy(session, "kept", UsersTableName="kept", UserPoolId=POOL)

    with pytest.raises(OtherTable, match=r"uses the users table kept, .* a new, empty table\. .*UsersTableName=kept\."):
        require_same_table(session, "chat", {"UsersTableName": ""})


@pytest.mark.parametrize("before", [{}, {"UsersTableName": "one", "UserPoolId": POOL}])
def test_a_name_is_not_changed(session: boto3.Session, before: dict[str, str]) -> None:
    deploy(session, "one", **before)

    with pytest.raises(OtherTable, match=r"uses the users table one, .* would give it the table other\."):
        require_same_table(session, "chat", {"UsersTableName": "other", "UserPoolId": POOL})


def test_a_new_stack_may_create_a_table(session: boto3.Session) -> None:
    keep(session, "of-another-stack", stack="other")
    keep(session, "of-another-pool", pool="eu-west-1_Other")

    require_same_table(session, "chat", {"UserPoolId": POOL})
    require_same_table(session, "chat", {})


def test_a_new_stack_does_not_overlook_the_table_that_it_had(session: boto3.Session) -> None:
    keep(session, "kept")

    with pytest.raises(OtherTable, match=r"had the users table kept, .*Deploy with UsersTableName=kept\."):
        require_same_table(session, "chat", {"UserPoolId": POOL})
    require_same_table(session, "chat", {"UserPoolId": POOL, "UsersTableName": "kept"})


def test_the_users_of_a_new_pool_need_no_old_table(session: boto3.Session) -> None:
    keep(session, "kept")

    require_same_table(session, "chat", {"UserPoolId": ""})
