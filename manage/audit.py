"""The audit log: which operator did what by a command.

It is kept in the users table. That table outlives the stack and its logs and has backups, and everyone who can run the
commands can write it.

``AUDIT#<pool>#<sub>#<year>-<month>`` has what was done to one user in one month. ``AUDIT#<pool>#<year>-<month>`` has
what was done to all. The month is in the key because an item has room for about 1,800 entries: without it, a command
that runs every hour would fill an item.

Each entry is one attribute of the item, so a repeated write leaves one entry. It is written before the act, without an
outcome, and again after the act. So an entry without an outcome is an act that was interrupted.
"""

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from manage.errors import AWS_ERRORS
from whop_chat.runtime.aws import aws_call, read_many
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline

_SECONDS = 10.0
_MONTHS = 12


@dataclass(slots=True)
class Entry:
    """What an operator does. ``outcome`` is None until it is done."""

    at: str
    by: str
    """The ARN of the operator."""
    action: str
    reason: str | None = None
    outcome: str | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(4))

    def as_data(self) -> dict[str, Any]:
        """The entry as it is stored and shown."""
        reason = {"reason": self.reason} if self.reason else {}
        return {"at": self.at, "by": self.by, "action": self.action, **reason, "outcome": self.outcome}


class Audit:
    """The audit log of one pool. Every method raises `AwsError` and `DeadlineExceeded`."""

    def __init__(
        self, aws: AwsClients, table: str, pool_id: str, operator: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._aws = aws
        self._table = table
        self._pool_id = pool_id
        self._operator = operator
        self._clock = clock

    @contextlib.contextmanager
    def entry(self, action: str, sub: str | None = None, *, reason: str | None = None) -> Iterator[Entry]:
        """Log ``action`` around the block that does it, to the user ``sub`` or to all. The block sets the outcome.

        ``reason`` is what the operator gave as one.
        """
        at = f"{self._now():%Y-%m-%dT%H:%M:%S.%fZ}"
        entry = Entry(at, self._operator, action, reason)
        self._write(entry, sub)
        try:
            yield entry
        except Exception as error:
            entry.outcome = f"failed: {type(error).__name__}"
            # The operator needs the first error, not the one of the log.
            with contextlib.suppress(*AWS_ERRORS):
                self._write(entry, sub)
            raise
        self._write(entry, sub)

    def entries(self, sub: str | None = None) -> list[dict[str, Any]]:
        """What was done to the user ``sub``, or to all, in this month and the eleven before. The newest is the last."""
        months, month = list[str](), self._now()
        while len(months) < _MONTHS:
            months.append(f"{month:%Y-%m}")
            month = month.replace(day=1) - timedelta(days=1)
        keys = [self._key(month, sub) for month in months]
        items = read_many(self._aws.dynamodb, self._table, keys, deadline=Deadline(_SECONDS))
        entries = {name: value for item in items for name, value in item.items() if name != "pk"}
        return [json.loads(entries[name]["S"]) for name in sorted(entries)]

    def _write(self, entry: Entry, sub: str | None) -> None:
        with aws_call(Deadline(_SECONDS)):
            self._aws.dynamodb.update_item(
                TableName=self._table,
                Key={"pk": {"S": self._key(entry.at[: len("2026-01")], sub)}},
                UpdateExpression="SET #entry = :entry",
                ExpressionAttributeNames={"#entry": f"{entry.at} {entry.id}"},
                ExpressionAttributeValues={":entry": {"S": json.dumps(entry.as_data())}},
            )

    def _key(self, month: str, sub: str | None) -> str:
        return "#".join(["AUDIT", self._pool_id, *([sub] if sub else []), month])

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def as_text(entry: dict[str, Any]) -> str:
    """One line about an entry."""
    reason = f" because {entry['reason']}" if entry.get("reason") else ""
    return f"{entry['at']} {entry['action']}{reason}: {entry['outcome'] or 'no outcome'} ({entry['by']})"
