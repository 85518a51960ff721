"""The result of the last readiness check: the item ``READY#<pool>`` of the users table."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whop_chat.runtime.aws import aws_call, validating
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline

OK = "ok"


@dataclass(frozen=True)
class Readiness:
    """The result of one check. ``checked_at`` is in epoch seconds. ``checks`` has `OK` or a reason for each part."""

    checked_at: int
    checks: Mapping[str, str]

    @property
    def is_ready(self) -> bool:
        """Whether no part failed."""
        return all(result == OK for result in self.checks.values())


class ReadinessStore:
    """The last result for one pool. Every method raises `AwsError` and `DeadlineExceeded`."""

    def __init__(self, aws: AwsClients, table: str, pool_id: str) -> None:
        self._aws = aws
        self._table = table
        self._key = {"pk": {"S": f"READY#{pool_id}"}}

    def load(self, *, deadline: Deadline) -> Readiness | None:
        """The last result, or None before the first check."""
        with aws_call(deadline):
            answer: Any = self._aws.dynamodb.get_item(TableName=self._table, Key=self._key, ConsistentRead=True)
        with validating("GetItem"):
            item = answer.get("Item")
            return item and Readiness(int(item["checked_at"]["N"]), json.loads(item["checks"]["S"]))

    def save(self, readiness: Readiness, *, deadline: Deadline) -> None:
        """Replace the last result."""
        item: Any = {
            **self._key,
            "checked_at": {"N": str(readiness.checked_at)},
            "checks": {"S": json.dumps(dict(readiness.checks))},
        }
        with aws_call(deadline):
            self._aws.dynamodb.put_item(TableName=self._table, Item=item)
