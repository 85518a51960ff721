"""What several modules do with a table: read many items at once, and write one if a condition holds."""

from collections.abc import Mapping, Sequence
from typing import Any

from whop_chat.runtime.aws import DYNAMODB, Aws, AwsError, understood
from whop_chat.runtime.deadline import Deadline

MAX_READ = 100  # AWS, BatchGetItem


def read_many(aws: Aws, table: str, keys: Sequence[str], *, deadline: Deadline) -> list[dict[str, Any]]:
    """The items of at most `MAX_READ` different keys, in no order; what is not there is left out.

    Raises `AwsError` and `DeadlineExceeded`.
    """
    items: list[dict[str, Any]] = []
    wanted: Any = [{"pk": {"S": key}} for key in keys]
    # What did not fit into an answer is named in it; a call that gets nowhere is an error (AWS, BatchGetItem).
    while wanted:
        asked = {"RequestItems": {table: {"Keys": wanted, "ConsistentRead": True}}}
        answer = aws.call(DYNAMODB, "BatchGetItem", asked, deadline=deadline)
        with understood("BatchGetItem"):
            items += answer.get("Responses", {}).get(table, [])
            wanted = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys")
    return items


def update_if(aws: Aws, asked: Mapping[str, Any], *, deadline: Deadline) -> bool:
    """Make an UpdateItem, and say whether its condition held.

    Raises `AwsError` and `DeadlineExceeded`.
    """
    try:
        aws.call(DYNAMODB, "UpdateItem", asked, deadline=deadline)
    except AwsError as error:
        if error.code != "ConditionalCheckFailedException":
            raise
        return False
    return True
