"""Who did what to whom by a command: kept in the users table, beside the records that it is about.

``AUDIT#<pool>#<sub>#<year>-<month>`` has what was done to a user in a month, ``AUDIT#<pool>#<year>-<month>`` what was
done to all: an item has room for some 1,800 acts, which a command that runs every hour would fill in time. The table
outlives the stack and its logs, has backups, and is what the commands can write anyway. Each act is one attribute of
the item, so that a write that is repeated leaves one entry. It is written before the act, without an outcome, and again
after it: an act that was interrupted is known, too.
"""

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from manage.errors import ERRORS
from whop_chat.runtime.aws import DYNAMODB, Aws
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.dynamodb import read_many

_SECONDS = 10.0
_MONTHS = 12


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
    """The acts on one pool. Every method raises `AwsError` and `DeadlineExceeded`."""

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
        """What was done to the user ``sub``, or to all, in this month and the eleven before; the newest last."""
        months, month = list[str](), self._now()
        while len(months) < _MONTHS:
            months.append(f"{month:%Y-%m}")
            month = month.replace(day=1) - timedelta(days=1)
        keys = [self._key(month, sub) for month in months]
        items = read_many(self._aws, self._table, keys, deadline=Deadline(_SECONDS))
        acts = {name: value for item in items for name, value in item.items() if name != "pk"}
        return [json.loads(acts[name]["S"]) for name in sorted(acts)]

    def _write(self, act: Act, sub: str | None) -> None:
        asked = {
            "TableName": self._table,
            "Key": {"pk": {"S": self._key(act.at[: len("2026-01")], sub)}},
            "UpdateExpression": "SET #act = :act",
            "ExpressionAttributeNames": {"#act": f"{act.at} {act.id}"},
            "ExpressionAttributeValues": {":act": {"S": json.dumps(act.as_data())}},
        }
        self._aws.call(DYNAMODB, "UpdateItem", asked, deadline=Deadline(_SECONDS))

    def _key(self, month: str, sub: str | None) -> str:
        return "#".join(["AUDIT", self._pool_id, *([sub] if sub else []), month])

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
