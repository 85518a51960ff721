"""The state that a reconcile run stores between its invocations, in the users table.

``RECONCILE#<pool>`` is the checkpoint of the last run. ``REPORT#<pool>#<run>`` is the report of a run.
``LISTED#<pool>#<run>#<page>`` has the fingerprints of the users on one page of the pool, and in a dry run those of
their addresses. The last two expire.
"""

import base64
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from whop_chat.runtime.aws import MAX_READ, AwsError, aws_call, read_many, validating
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.record import new_version

_REPORT_DAYS, _LISTED_DAYS = 90, 7


class Phase(StrEnum):
    """The phase of a run."""

    LISTING = "listing"
    """The run lists the pool, page by page."""
    ORPHANS = "orphans"
    """The run scans the records for users that are no longer in the pool."""
    FINISHED = "finished"


class Superseded(Exception):
    """Another invocation has written the checkpoint, or another run has started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The progress of a run. All times are epoch seconds."""

    run: str
    backfill: bool
    dry_run: bool
    started_at: float
    include_passwordless: bool = False
    phase: Phase = Phase.LISTING
    version: str = ""
    """Renewed by every write. If two invocations resume from one checkpoint, one of them loses."""
    lease_until: float = 0
    """When the lease of the invocation that works on the run ends."""
    moved_at: float = 0
    """When the run last completed a step, or paused because the queue was full."""
    page: int = 0
    """How many pages of the pool are done."""
    token: str | None = field(default=None, repr=False)
    """The pagination token of the pool's next page. None: the first page."""
    relisted: int = 0
    """How often the listing was restarted."""
    next_key: str | None = None
    """The table key after which the scan of the records resumes."""
    next_slot: float = 0
    """When the queue may deliver the next message."""
    counts: Mapping[str, int] = field(default_factory=dict)
    unused_accounts: list[str] = field(default_factory=list)
    """The external ids of the first accounts that may be at Whop although no user has them."""
    finished_at: float | None = None
    outcome: str | None = None
    """How the run ended: ``completed``, ``stopped``, ``replaced`` or ``gave_up``."""
    reported: str | None = None
    """The run that the last report is about."""


class CheckpointStore:
    """The checkpoint, fingerprints and reports of one pool in DynamoDB. ``clock`` returns epoch seconds.

    Every method raises `AwsError` and `DeadlineExceeded`.
    """

    def __init__(self, aws: AwsClients, table: str, pool_id: str, *, clock: Callable[[], float] = time.time) -> None:
        self._aws = aws
        self._table = table
        self._pool_id = pool_id
        self._clock = clock

    def load(self, *, deadline: Deadline) -> Checkpoint | None:
        """The checkpoint of the last run, or None."""
        item = self._get(f"RECONCILE#{self._pool_id}", deadline)
        if item is None:
            return None
        with validating("GetItem"):
            values = json.loads(item["checkpoint"]["S"])
            return Checkpoint(**{**values, "phase": Phase(values["phase"])})

    def save(self, checkpoint: Checkpoint, *, expected: Checkpoint | None, deadline: Deadline) -> Checkpoint:
        """Replace ``expected`` (None: no checkpoint) and return what was written. Raises `Superseded`."""
        written = dataclasses.replace(checkpoint, version=new_version())
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if expected is not None:
            condition = {
                "ConditionExpression": "#version = :expected",
                "ExpressionAttributeNames": {"#version": "version"},
                "ExpressionAttributeValues": {":expected": {"S": expected.version}},
            }
        item = {
            "version": {"S": written.version},
            "checkpoint": {"S": json.dumps(dataclasses.asdict(written))},
        }
        try:
            self._put(f"RECONCILE#{self._pool_id}", item, deadline, **condition)
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise
            # A retried write may have arrived at the first try. The table has our version then.
            current = self.load(deadline=deadline)
            if current is None or current.version != written.version:
                raise Superseded from None
        return written

    def save_listed(
        self, run: str, page: int, fingerprints: bytes, addresses: Mapping[str, bytes], *, deadline: Deadline
    ) -> None:
        """Store the fingerprints of the users on one page, and of their addresses, which may be empty.

        A page that is listed again replaces the former ones.
        """
        item = {
            "fingerprints": {"B": _base64(fingerprints)},
            "addresses": {"M": {name: {"S": _base64(each)} for name, each in addresses.items()}},
            **self._expiring(_LISTED_DAYS),
        }
        self._put(self._listed_key(run, page), item, deadline)

    def load_listed(self, run: str, pages: int, *, seconds: float) -> Iterator[bytes]:
        """The fingerprints of the first ``pages`` pages; ``seconds`` is the time limit of one DynamoDB call."""
        for item in self._listed(run, pages, seconds):
            with validating("BatchGetItem"):
                fingerprints = base64.b64decode(item["fingerprints"]["B"])
            yield fingerprints

    def load_addresses(self, run: str, pages: int, *, seconds: float) -> Iterator[Mapping[str, bytes]]:
        """The fingerprints of the addresses on the first ``pages`` pages; ``seconds`` as in `load_listed`."""
        for item in self._listed(run, pages, seconds):
            with validating("BatchGetItem"):
                addresses = {name: base64.b64decode(each["S"]) for name, each in item["addresses"]["M"].items()}
            yield addresses

    def _listed(self, run: str, pages: int, seconds: float) -> Iterator[Any]:
        for start in range(0, pages, MAX_READ):
            numbers = range(start, min(start + MAX_READ, pages))
            keys = [self._listed_key(run, number) for number in numbers]
            yield from read_many(self._aws.dynamodb, self._table, keys, deadline=Deadline(seconds))

    def save_report(self, run: str, report: Mapping[str, Any], *, deadline: Deadline) -> None:
        """Store the report of a run, for 90 days."""
        item = {"report": {"S": json.dumps(report)}, **self._expiring(_REPORT_DAYS)}
        self._put(f"REPORT#{self._pool_id}#{run}", item, deadline)

    def latest_report(self, *, deadline: Deadline) -> dict[str, Any] | None:
        """The report of the last run that ended, as `whop_chat.reconcile.report.report_of` made it, or None."""
        checkpoint = self.load(deadline=deadline)
        if checkpoint is None or checkpoint.reported is None:
            return None
        item = self._get(f"REPORT#{self._pool_id}#{checkpoint.reported}", deadline)
        with validating("GetItem"):
            return json.loads(item["report"]["S"]) if item else None

    def _listed_key(self, run: str, page: int) -> str:
        return f"LISTED#{self._pool_id}#{run}#{page}"

    def _expiring(self, days: int) -> dict[str, Any]:
        return {"ttl": {"N": str(int(self._clock()) + days * 86400)}}

    def _get(self, key: str, deadline: Deadline) -> Any:
        with aws_call(deadline):
            answer = self._aws.dynamodb.get_item(TableName=self._table, Key={"pk": {"S": key}}, ConsistentRead=True)
        return answer.get("Item")

    def _put(self, key: str, item: Mapping[str, Any], deadline: Deadline, **condition: Any) -> None:
        request = {"TableName": self._table, "Item": {"pk": {"S": key}, **item}, **condition}
        with aws_call(deadline):
            self._aws.dynamodb.put_item(**request)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
