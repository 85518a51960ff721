"""What a reconcile run remembers between its invocations, beside the records in the users table.

``RECONCILE#<pool>`` is the checkpoint of the last run, ``REPORT#<pool>#<run>`` what came of a run, and
``LISTED#<pool>#<run>#<page>`` the fingerprints of the users on one page of the pool. The last two expire.
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
    """What a run is at."""

    LISTING = "listing"
    """Page by page through the pool."""
    ORPHANS = "orphans"
    """Through the records, for users who are not in the pool any more."""
    FINISHED = "finished"


class Superseded(Exception):
    """Another invocation has taken the run further, or another run has begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How far a run has come. All times are epoch seconds."""

    run: str
    backfill: bool
    dry_run: bool
    started_at: float
    phase: Phase = Phase.LISTING
    version: str = ""
    """Renewed by every write; of two invocations that go on from one checkpoint, one loses."""
    lease_until: float = 0
    """Until then the run is in the hands of an invocation."""
    moved_at: float = 0
    """When the run last came a step further, or held back because the queue had enough."""
    page: int = 0
    """Pages of the pool that are done."""
    token: str | None = field(default=None, repr=False)
    """Where the pool's next page is."""
    relisted: int = 0
    """How often the pool has been listed from the beginning again."""
    place: str | None = None
    """Where the table's next records are."""
    next_slot: float = 0
    """When the next message may be delivered."""
    counts: Mapping[str, int] = field(default_factory=dict)
    finished_at: float | None = None
    outcome: str | None = None
    """How the run ended: ``completed``, ``stopped``, ``replaced`` or ``gave_up``."""
    reported: str | None = None
    """The run of the last report."""


class CheckpointStore:
    """The ledger of one pool in DynamoDB.

    Every method raises `AwsError` and `DeadlineExceeded`.
    """

    def __init__(self, aws: AwsClients, table: str, pool_id: str, *, clock: Callable[[], float] = time.time) -> None:
        self._aws = aws
        self._table = table
        self._pool_id = pool_id
        self._clock = clock

    def load(self, *, deadline: Deadline) -> Checkpoint | None:
        """The checkpoint of the last run."""
        item = self._get(f"RECONCILE#{self._pool_id}", deadline)
        if item is None:
            return None
        with validating("GetItem"):
            values = json.loads(item["checkpoint"]["S"])
            return Checkpoint(**{**values, "phase": Phase(values["phase"])})

    def save(self, checkpoint: Checkpoint, *, expected: Checkpoint | None, deadline: Deadline) -> Checkpoint:
        """Replace ``expected`` (None: no checkpoint) and return what was written; raises `Superseded`."""
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
            # The write may have been repeated after it had arrived; then it is ours that stands there.
            current = self.load(deadline=deadline)
            if current is None or current.version != written.version:
                raise Superseded from None
        return written

    def save_listed(self, run: str, page: int, fingerprints: bytes, *, deadline: Deadline) -> None:
        """Remember who was on a page; a page that is listed again replaces what was noted of it."""
        item = {"prints": {"B": base64.b64encode(fingerprints).decode()}, **self._expiring(_LISTED_DAYS)}
        self._put(self._listed_key(run, page), item, deadline)

    def load_listed(self, run: str, pages: int, *, seconds: float) -> Iterator[bytes]:
        """The fingerprints of the first ``pages`` pages; ``seconds`` is the time of one call to DynamoDB."""
        for start in range(0, pages, MAX_READ):
            numbers = range(start, min(start + MAX_READ, pages))
            keys = [self._listed_key(run, number) for number in numbers]
            for item in read_many(self._aws.dynamodb, self._table, keys, deadline=Deadline(seconds)):
                with validating("BatchGetItem"):
                    fingerprints = base64.b64decode(item["prints"]["B"])
                yield fingerprints

    def save_report(self, run: str, report: Mapping[str, Any], *, deadline: Deadline) -> None:
        """Keep what came of a run, for 90 days."""
        item = {"report": {"S": json.dumps(report)}, **self._expiring(_REPORT_DAYS)}
        self._put(f"REPORT#{self._pool_id}#{run}", item, deadline)

    def latest_report(self, *, deadline: Deadline) -> dict[str, Any] | None:
        """What came of the last run that ended, as `whop_chat.reconcile.report.report_of` wrote it."""
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
        asked = {"TableName": self._table, "Item": {"pk": {"S": key}, **item}, **condition}
        with aws_call(deadline):
            self._aws.dynamodb.put_item(**asked)
