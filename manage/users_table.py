"""What a users table must be before a stack uses it, and how to find the tables that have been used.

This module knows boto3 only, so that tools without `whop_chat` can import it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TTL_ATTRIBUTE = "ttl"
_KEY = {("pk", "HASH", "S")}


def tags(stack: str, pool_id: str) -> Mapping[str, str]:
    """The tags of a table that ``stack`` uses for the users of ``pool_id``, as the template sets them."""
    return {"whop-chat:stack": stack, "whop-chat:user-pool": pool_id}


def names(tagging: Any, stack: str, pool_id: str) -> list[str]:
    """The tables with these `tags`: the one in use, and those that were. Sorted.

    ``tagging`` is a client of the Resource Groups Tagging API. Raises botocore's errors.
    """
    pages = tagging.get_paginator("get_resources").paginate(
        ResourceTypeFilters=["dynamodb:table"],
        TagFilters=[{"Key": key, "Values": [value]} for key, value in tags(stack, pool_id).items()],
    )
    arns = [each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"]]
    return sorted(arn.partition(":table/")[2] for arn in arns)


@dataclass(frozen=True, slots=True)
class UsersTable:
    """A table as DynamoDB describes it."""

    name: str
    arn: str
    status: str
    has_schema: bool
    """Whether its key is that of the template's table."""
    ttl: str
    """``ENABLED``, ``DISABLED``, ``ENABLING`` or ``DISABLING``."""
    ttl_attribute: str
    """Empty without TTL."""
    is_recoverable: bool
    """Whether point-in-time recovery is on."""
    is_protected: bool
    """Whether deletion protection is on."""
    tags: Mapping[str, str]

    @property
    def has_ttl(self) -> bool:
        """Whether expired items of ours are deleted, now or within the hour."""
        return self.ttl in ("ENABLED", "ENABLING") and self.ttl_attribute == TTL_ATTRIBUTE

    @property
    def missing(self) -> list[str]:
        """The safeguards that are off. A restored table has none of them."""
        safeguards = {
            "time to live": self.has_ttl,
            "point-in-time recovery": self.is_recoverable,
            "deletion protection": self.is_protected,
        }
        return [name for name, is_on in safeguards.items() if not is_on]


def describe(dynamodb: "DynamoDBClient", name: str) -> UsersTable | None:
    """The table ``name``, or None if there is none. Raises botocore's errors."""
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:
        return None
    types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    key = {(each["AttributeName"], each["KeyType"], types[each["AttributeName"]]) for each in table["KeySchema"]}
    ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    pages = dynamodb.get_paginator("list_tags_of_resource").paginate(ResourceArn=table["TableArn"])
    return UsersTable(
        name=name,
        arn=table["TableArn"],
        status=table["TableStatus"],
        has_schema=key == _KEY,
        ttl=ttl["TimeToLiveStatus"],
        ttl_attribute=ttl.get("AttributeName", ""),
        is_recoverable=backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") == "ENABLED",
        is_protected=table.get("DeletionProtectionEnabled", False),
        tags={tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]},
    )


def secure(dynamodb: "DynamoDBClient", table: UsersTable, wanted_tags: Mapping[str, str]) -> None:
    """Turn on what is `UsersTable.missing`, and set the tags. A second call after an error does the rest.

    The deletion protection is last, because the table is not ACTIVE while it changes. Raises botocore's errors.
    """
    if not table.has_ttl:
        dynamodb.update_time_to_live(
            TableName=table.name, TimeToLiveSpecification={"AttributeName": TTL_ATTRIBUTE, "Enabled": True}
        )
    if not table.is_recoverable:
        dynamodb.update_continuous_backups(
            TableName=table.name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    if not wanted_tags.items() <= table.tags.items():
        dynamodb.tag_resource(
            ResourceArn=table.arn, Tags=[{"Key": key, "Value": value} for key, value in wanted_tags.items()]
        )
    if not table.is_protected:
        dynamodb.update_table(TableName=table.name, DeletionProtectionEnabled=True)
