"""What becomes of the users of a reconcile run: how many are enrolled, and whether the run is stopped.

``RUN#<pool>#<run>`` has the counts of a run and the time at which it was stopped. ``RUN#<pool>#<run>#<sub>`` has the
state of one of its users. The state and the counts change in one transaction, so a message that SQS delivers twice is
counted once, and a worker that is killed after its work loses no count. All of these items expire.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from whop_chat.runtime.aws import AwsError, aws_call, read_many, validating
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline

_RUN = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}")
# As long as the report of a run. A dead letter can be sent back until then, and its run must still be known as stopped.
_KEPT_SECONDS = 90 * 86400
# Each of two workers and reconcile changes the counts of a run. DynamoDB cancels one of two concurrent transactions.
_ATTEMPTS = 5
_CONFLICTS = ("TransactionCanceledException", "TransactionConflictException")


class State(StrEnum):
    """The state of a user in a run. Every user starts in one of the first two, and ends in one of the others."""

    TO_ENROL = "to_enrol"
    TO_UPDATE = "to_update"
    ENROLLED = "enrolled"
    """The user has a Whop user."""
    UPDATED = "updated"
    LEFT = "left"
    """The user cannot be enrolled: blocked, denied, disabled or gone."""
    STOPPED = "stopped"
    """The run was stopped before the user was enrolled."""
    UNKNOWN = "unknown"
    """As `STOPPED`, but an earlier create had no answer. Whop may have an account, and may have sent the e-mail."""


HANDED_ON = (State.TO_ENROL, State.TO_UPDATE)
SETTLED = tuple(state for state in State if state not in HANDED_ON)


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far the users of a run are.

    The two states in `HANDED_ON` count all users that started in them. Each other state counts the users in it now.
    """

    counts: Mapping[State, int]
    stopped: bool

    @property
    def handed_on(self) -> int:
        """How many users have a message."""
        return sum(self.counts[state] for state in HANDED_ON)

    @property
    def settled(self) -> int:
        """How many of them are done with."""
        return sum(self.counts[state] for state in SETTLED)

    @property
    def waiting(self) -> int:
        """How many of them still wait for `sync_user`, on the queue or as dead letters."""
        return self.handed_on - self.settled


def is_run(text: str) -> bool:
    """Whether ``text`` has the form of a run's id, as `whop_chat.reconcile.run.new_run` makes them."""
    return _RUN.fullmatch(text) is not None


class Runs(Protocol):
    """The runs of one pool: `DynamoDBRuns`, or ones in memory."""

    def stop(self, run: str, *, deadline: Deadline) -> None:
        """See `DynamoDBRuns.stop`."""

    def is_stopped(self, run: str, *, deadline: Deadline) -> bool:
        """See `DynamoDBRuns.is_stopped`."""

    def progress(self, run: str, *, deadline: Deadline) -> RunProgress:
        """See `DynamoDBRuns.progress`."""

    def advance(self, run: str, subs: Collection[str], state: State, *, deadline: Deadline) -> None:
        """See `DynamoDBRuns.advance`."""


class DynamoDBRuns:
    """The runs of one pool in DynamoDB. ``clock`` returns epoch seconds.

    Every method raises `AwsError` and `DeadlineExceeded`.
    """

    def __init__(self, aws: AwsClients, table: str, pool_id: str, *, clock: Callable[[], float] = time.time) -> None:
        self._aws = aws
        self._table = table
        self._pool_id = pool_id
        self._clock = clock

    def stop(self, run: str, *, deadline: Deadline) -> None:
        """Stop the run: its messages enrol nobody from now on. A sync that is under way may still enrol its user."""
        request: dict[str, Any] = {
            "TableName": self._table,
            "Key": {"pk": {"S": self._key(run)}},
            "UpdateExpression": "SET stopped_at = if_not_exists(stopped_at, :now), #ttl = if_not_exists(#ttl, :ttl)",
            "ExpressionAttributeNames": {"#ttl": "ttl"},
            "ExpressionAttributeValues": {":now": {"N": str(int(self._clock()))}, ":ttl": self._expiry()},
        }
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                with aws_call(deadline):
                    self._aws.dynamodb.update_item(**request)
            except AwsError as error:
                if error.code not in _CONFLICTS or not attempts_left:
                    raise
            else:
                return

    def is_stopped(self, run: str, *, deadline: Deadline) -> bool:
        """Whether the run is stopped."""
        return self.progress(run, deadline=deadline).stopped

    def progress(self, run: str, *, deadline: Deadline) -> RunProgress:
        """The progress of the run. Every count is 0 for a run that is not known."""
        with aws_call(deadline):
            answer: Any = self._aws.dynamodb.get_item(
                TableName=self._table, Key={"pk": {"S": self._key(run)}}, ConsistentRead=True
            )
        with validating("GetItem"):
            item = answer.get("Item", {})
            counts = {state: int(item[state]["N"]) if state in item else 0 for state in State}
            return RunProgress(counts, stopped="stopped_at" in item)

    def advance(self, run: str, subs: Collection[str], state: State, *, deadline: Deadline) -> None:
        """Bring at most 90 users of the run to ``state``, and count them there.

        A user who is further than that stays. Only `State.ENROLLED` replaces another end: of two copies of one message,
        the other may have found the run stopped while this one enrolled the user.
        """
        for attempts_left in reversed(range(_ATTEMPTS)):
            known = self._states(run, subs, deadline)
            moved = {sub: known.get(sub) for sub in subs if _is_ahead(state, known.get(sub))}
            if not moved:
                return
            items: Any = [*(self._moved(run, sub, before, state) for sub, before in moved.items())]
            items.append(self._counted(run, _changes(moved.values(), state)))
            try:
                with aws_call(deadline):
                    self._aws.dynamodb.transact_write_items(TransactItems=items)
            except AwsError as error:
                # Another worker was first, or has the counts. The states then decide again.
                if error.code not in _CONFLICTS or not attempts_left:
                    raise
            else:
                return

    def _states(self, run: str, subs: Collection[str], deadline: Deadline) -> dict[str, State]:
        keys = {self._key(run, sub): sub for sub in subs}
        items = read_many(self._aws.dynamodb, self._table, list(keys), deadline=deadline)
        with validating("BatchGetItem"):
            return {keys[item["pk"]["S"]]: State(item["state"]["S"]) for item in items}

    def _moved(self, run: str, sub: str, before: State | None, state: State) -> dict[str, Any]:
        item = {"pk": {"S": self._key(run, sub)}, "state": {"S": state.value}, "ttl": self._expiry()}
        put: dict[str, Any] = {"TableName": self._table, "Item": item}
        if before is None:
            return {"Put": {**put, "ConditionExpression": "attribute_not_exists(pk)"}}
        unchanged = {
            "ConditionExpression": "#state = :before",
            "ExpressionAttributeNames": {"#state": "state"},
            "ExpressionAttributeValues": {":before": {"S": before.value}},
        }
        return {"Put": {**put, **unchanged}}

    def _counted(self, run: str, changes: Mapping[State, int]) -> dict[str, Any]:
        added = ", ".join(f"#{state} :{state}" for state in changes)
        update = {
            "TableName": self._table,
            "Key": {"pk": {"S": self._key(run)}},
            "UpdateExpression": f"SET #ttl = if_not_exists(#ttl, :ttl) ADD {added}",
            "ExpressionAttributeNames": {"#ttl": "ttl", **{f"#{state}": state.value for state in changes}},
            "ExpressionAttributeValues": {
                ":ttl": self._expiry(),
                **{f":{state}": {"N": str(change)} for state, change in changes.items()},
            },
        }
        return {"Update": update}

    def _key(self, run: str, *sub: str) -> str:
        return "#".join(["RUN", self._pool_id, run, *sub])

    def _expiry(self) -> dict[str, str]:
        return {"N": str(int(self._clock()) + _KEPT_SECONDS)}


def _is_ahead(state: State, before: State | None) -> bool:
    """Whether a user in ``before`` (None: not handed on yet) moves to ``state``."""
    if before is None:
        return True
    if before in HANDED_ON:
        return state in SETTLED
    return state is State.ENROLLED and before is not State.ENROLLED


def _changes(before: Collection[State | None], state: State) -> dict[State, int]:
    """The changes of the counts when users move from ``before`` to ``state``.

    A user without a state is handed on as well. Their message was handled before its sender counted it.
    """
    changes = Counter({state: len(before)})
    for each in before:
        if each is None and state in SETTLED:
            changes[State.TO_UPDATE if state is State.UPDATED else State.TO_ENROL] += 1
        elif each in SETTLED:
            changes[each] -= 1
    return dict(changes)
