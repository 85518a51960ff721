"""Who did what to whom by a command: kept in the users table, beside the records that it is about.

``AUDIT#<pool>#<sub>`` has what was done to a user, ``AUDIT#<pool>#<year>-<month>`` what was done to all: an item has
room for some 1,800 acts, which a command that runs every hour would fill. The table outlives the stack and its logs,
has backups, and is what the commands can write anyway. Each act is one attribute of the item, so that a write that is
repeated leaves one entry. It is written before the act, without an outcome, and again after it: an act that was
interrupted is known, too.
"""

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from manage.aws import ERRORS
from whop_chat.aws import DYNAMODB, Aws
from whop_chat.deadline import Deadline

_SECONDS = 10.0


@dataclass(slots=True)
class Act:
    """What an operator does; ``outcome`` is None until it is done."""

    at: str
    by: str
    """The ARN of the operator."""
    action: str
    outcome: str | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(4))

    def as_data(self) -> dict[str, Any]:
        """As it is told."""
        return {"at": self.at, "by": self.by, "action": self.action, "outcome": self.outcome}


class Audit:
    """The acts on one pool. Every method raises `whop_chat.aws.AwsError` and `whop_chat.deadline.DeadlineExceeded`."""

    def __init__(
        self, aws: Aws, table: str, pool_id: str, operator: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._aws = aws
        self._table = table
        self._pool_id = pool_id
        self._operator = operator
        self._clock = clock

    @contextlib.contextmanager
    def act(self, action: str, sub: str | None = None) -> Iterator[Act]:
        """Do ``action`` in the block, to the user ``sub`` or to all; the block says the outcome."""
        at = f"{self._now():%Y-%m-%dT%H:%M:%S.%fZ}"
        act = Act(at, self._operator, action)
        self._write(act, sub)
        try:
            yield act
        except Exception as error:
            act.outcome = f"failed: {type(error).__name__}"
            with contextlib.suppress(*ERRORS):
                self._write(act, sub)
            raise
        self._write(act, sub)

    def acts(self, sub: str | None = None) -> list[dict[str, Any]]:
        """What was done to the user ``sub``, or to all in this month and the last one; the newest last."""
        if sub is not None:
            return self._read(sub)
        this = self._now()
        last = this.replace(day=1) - timedelta(days=1)
        return [*self._read(f"{last:%Y-%m}"), *self._read(f"{this:%Y-%m}")]

    def _read(self, what: str) -> list[dict[str, Any]]:
        asked = {"TableName": self._table, "Key": self._key(what), "ConsistentRead": True}
        item = self._aws.call(DYNAMODB, "GetItem", asked, deadline=Deadline(_SECONDS)).get("Item", {})
        return [json.loads(value["S"]) for name, value in sorted(item.items()) if name != "pk"]

    def _write(self, act: Act, sub: str | None) -> None:
        asked = {
            "TableName": self._table,
            "Key": self._key(sub or act.at[: len("2026-01")]),
            "UpdateExpression": "SET #act = :act",
            "ExpressionAttributeNames": {"#act": f"{act.at} {act.id}"},
            "ExpressionAttributeValues": {":act": {"S": json.dumps(act.as_data())}},
        }
        self._aws.call(DYNAMODB, "UpdateItem", asked, deadline=Deadline(_SECONDS))

    def _key(self, what: str) -> dict[str, Any]:
        return {"pk": {"S": f"AUDIT#{self._pool_id}#{what}"}}

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
