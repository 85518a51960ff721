"""Reading many items of a table at once."""

from collections.abc import Sequence
from typing import Any

from whop_chat.aws import DYNAMODB, Aws, understood
from whop_chat.deadline import Deadline

MAX_READ = 100  # AWS, BatchGetItem


@understood("BatchGetItem")
def read_many(aws: Aws, table: str, keys: Sequence[str], *, deadline: Deadline) -> list[dict[str, Any]]:
    """The items of at most `MAX_READ` different keys, in no order; what is not there is left out.

    Raises `whop_chat.aws.AwsError` and `whop_chat.deadline.DeadlineExceeded`.
    """
    items: list[dict[str, Any]] = []
    wanted: Any = [{"pk": {"S": key}} for key in keys]
    # What did not fit into an answer is named in it; a call that gets nowhere is an error (AWS, BatchGetItem).
    while wanted:
        asked = {"RequestItems": {table: {"Keys": wanted, "ConsistentRead": True}}}
        answer = aws.call(DYNAMODB, "BatchGetItem", asked, deadline=deadline)
        items += answer.get("Responses", {}).get(table, [])
        wanted = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys")
    return items
