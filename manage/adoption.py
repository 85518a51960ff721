"""Whether a table that a stack did not create has the records of the pool's users."""

import re
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

from manage.errors import Refused
from manage.users_table import TTL_ATTRIBUTE, UsersTable, describe

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# DynamoDB also takes an ARN for a name, which could be in another account. The template takes a name only.
_NAME = r"[A-Za-z0-9_.-]{3,255}"


def usable_table(dynamodb: "DynamoDBClient", name: str) -> UsersTable:
    """The table ``name``. Raises `Refused` if it cannot be a users table, and botocore's errors."""
    if not re.fullmatch(_NAME, name):
        raise Refused(f"{name} is not the name of a DynamoDB table.", outcome="no_table")
    table = describe(dynamodb, name)
    if table is None:
        raise Refused(f"There is no table {name} in {dynamodb.meta.region_name}.", outcome="no_table")
    if table.status != "ACTIVE":
        raise Refused(f"Table {name} is {table.status}: try again when it is ACTIVE.", outcome="not_active")
    if not table.has_schema:
        raise Refused(
            f"Table {name} is no users table: its key must be the text pk alone, without a sort key.",
            outcome="other_schema",
        )
    if not table.has_ttl and table.ttl != "DISABLED":
        raise Refused(
            f"Time to live of table {name} is {table.ttl}, for the attribute {table.ttl_attribute}. A users table "
            f"needs it for {TTL_ATTRIBUTE}. Disable it, wait until it is DISABLED, and try again.",
            outcome="other_ttl",
        )
    return table


def count_records(dynamodb: "DynamoDBClient", table: UsersTable) -> Counter[str]:
    """How many records of users the table has, by the pool in their keys. This reads the whole table once."""
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=table.name,
        ProjectionExpression="pk",
        FilterExpression="begins_with(pk, :users)",
        ExpressionAttributeValues={":users": {"S": "USER#"}},
    )
    return Counter(item["pk"]["S"].split("#")[1] for page in pages for item in page["Items"])


def require_records(table: UsersTable, counts: Counter[str], pool_id: str, *, others: bool) -> None:
    """Raise `Refused` unless the table has records of the pool, and of no other pool unless ``others``."""
    elsewhere = sorted(set(counts) - {pool_id})
    if not counts[pool_id]:
        raise Refused(
            f"Table {table.name} has no record of a user of pool {pool_id}{_only(elsewhere)}. With it, every user "
            "would be enrolled again, and Whop would mail them.",
            outcome="other_pool" if elsewhere else "no_records",
        )
    if elsewhere and not others:
        raise Refused(
            f"Table {table.name} also has records of {' and '.join(elsewhere)}. If the stack was for another pool "
            "before, add --other-pools.",
            outcome="other_pool",
        )


def _only(pools: Collection[str]) -> str:
    return f", only of {' and '.join(pools)}" if pools else ""
