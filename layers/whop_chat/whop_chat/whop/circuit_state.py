"""The state of the circuit breaker, which every instance of every function shares.

The item ``CIRCUIT#<company>`` of the users table has an attribute for each operation that is not to be called. The
instance that learns of it writes it there. Every instance reads the item before a call, once a second at most. If the
table does not answer, the last known state counts, so that Whop can still be called.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from whop_chat.runtime.aws import AwsError, aws_call, update_if, validating
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.prefetch import Prefetch

_FRESH_SECONDS = 1.0
_READ_SECONDS = 0.5
# A state is often known only when a call has used up its time. So the write may take this long beyond the deadline.
_WRITE_SECONDS = 0.2
_TTL_SECONDS = 86400


class Reason(StrEnum):
    """Why an operation is not to be called."""

    LIMITED = "limited"
    """Whop answered 429."""
    UNAVAILABLE = "unavailable"
    """Whop did not answer."""


@dataclass(frozen=True, slots=True)
class CircuitState:
    """One operation's state. ``until`` is in epoch seconds. ``trips`` counts how often the circuit opened in a row."""

    until: float
    reason: Reason
    trips: int = 0


class CircuitStore(Protocol):
    """What all instances share: `DynamoDBCircuitStore`, or a store in memory.

    Every method raises `AwsError` and `DeadlineExceeded`.
    """

    def load(self, *, deadline: Deadline) -> dict[str, CircuitState]:
        """The states by operation, also those that have ended."""

    def extend(self, operation: str, state: CircuitState, *, deadline: Deadline) -> None:
        """Write ``state``, unless the stored one ends later."""

    def replace(
        self, operation: str, state: CircuitState | None, *, expected: CircuitState | None, deadline: Deadline
    ) -> bool:
        """Write ``state`` (None: delete it) if the stored one is still ``expected`` (None: there is none)."""


class DynamoDBCircuitStore:
    """The states in DynamoDB, in one item."""

    def __init__(self, aws: AwsClients, table: str, name: str, *, clock: Callable[[], float] = time.time) -> None:
        self._aws = aws
        self._table = table
        self._key = {"pk": {"S": f"CIRCUIT#{name}"}}
        self._clock = clock

    def load(self, *, deadline: Deadline) -> dict[str, CircuitState]:
        """See `CircuitStore.load`. A state that is a day old does not count. DynamoDB deletes the item about then."""
        with aws_call(deadline):
            answer: Any = self._aws.dynamodb.get_item(TableName=self._table, Key=self._key, ConsistentRead=True)
        with validating("GetItem"):
            item = answer.get("Item", {})
            states = {name: _state(typed["M"]) for name, typed in item.items() if "M" in typed}
        return {name: state for name, state in states.items() if state.until > self._past()}

    def extend(self, operation: str, state: CircuitState, *, deadline: Deadline) -> None:
        """See `CircuitStore.extend`."""
        condition = "attribute_not_exists(#operation) OR #operation.#until < :until"
        self._write(operation, state, condition, state, deadline)

    def replace(
        self, operation: str, state: CircuitState | None, *, expected: CircuitState | None, deadline: Deadline
    ) -> bool:
        """See `CircuitStore.replace`."""
        unset = "attribute_not_exists(#operation) OR #operation.#until <= :past"
        return self._write(operation, state, "#operation.#until = :until" if expected else unset, expected, deadline)

    def _write(
        self,
        operation: str,
        state: CircuitState | None,
        condition: str,
        compared: CircuitState | None,
        deadline: Deadline,
    ) -> bool:
        """Write ``state``, and return whether ``condition`` was true. Its ``:until`` is that of ``compared``."""
        names = {"#operation": operation, "#until": "until", "#ttl": "ttl"}
        values: dict[str, Any] = {":ttl": {"N": str(int(self._clock()) + _TTL_SECONDS)}}
        update = "SET #ttl = :ttl REMOVE #operation"
        if state is not None:
            update = "SET #ttl = :ttl, #operation = :state"
            values[":state"] = {"M": _attributes(state)}
        if compared is None:
            values[":past"] = {"N": str(self._past())}
        else:
            values[":until"] = _until(compared)
        asked = {
            "TableName": self._table,
            "Key": self._key,
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
        return update_if(self._aws.dynamodb, asked, deadline=deadline)

    def _past(self) -> float:
        return self._clock() - _TTL_SECONDS


def _until(state: CircuitState) -> dict[str, str]:
    return {"N": f"{state.until:.3f}"}


def _attributes(state: CircuitState) -> dict[str, Any]:
    return {"until": _until(state), "reason": {"S": state.reason.value}, "trips": {"N": str(state.trips)}}


def _state(item: Mapping[str, Mapping[str, str]]) -> CircuitState:
    return CircuitState(float(item["until"]["N"]), Reason(item["reason"]["S"]), int(item["trips"]["N"]))


class CircuitStates:
    """The states as one instance knows them, for any number of threads. No method raises."""

    def __init__(self, store: CircuitStore, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.RLock()
        self._known: dict[str, CircuitState] = {}
        # What this instance learned from Whop itself. It counts even if the table did not store it.
        self._reported: dict[str, CircuitState] = {}
        self._read_at: float | None = None

    @property
    def _stale(self) -> bool:
        """Whether the last read was more than a second ago."""
        return self._read_at is None or not 0 <= self._clock() - self._read_at < _FRESH_SECONDS

    def refresh(self, *, deadline: Deadline) -> None:
        """Read the states if they are stale. Other threads that ask meanwhile wait for the same answer."""
        deadline = deadline.at_most(_READ_SECONDS)
        if not self._lock.acquire(timeout=deadline.remaining()):
            return
        try:
            if self._stale:
                self._read_at = self._clock()
                self._load(deadline)
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def prefetch(self) -> Iterator[None]:
        """Read the states concurrently with the block, if they are stale. The read is over when the block ends."""
        reads = [lambda deadline: self.refresh(deadline=deadline)] if self._stale else []
        read = Prefetch(*reads, seconds=_READ_SECONDS)
        try:
            yield
        finally:
            read.wait()

    def get(self, operation: str, *, deadline: Deadline) -> CircuitState | None:
        """The last known state of ``operation``. It is a second old at most, if the table answers."""
        self.refresh(deadline=deadline)
        return self._known.get(operation)

    def cached(self, operation: str) -> CircuitState | None:
        """As `get`, without a read."""
        return self._known.get(operation)

    def extend(self, operation: str, state: CircuitState, *, deadline: Deadline) -> None:
        """Share ``state``, unless the known one ends later."""
        deadline = _for_writing(deadline)
        with self._lock, contextlib.suppress(AwsError, DeadlineExceeded):
            known = self._known.get(operation)
            if known is None or known.until < state.until:
                self._known[operation] = self._reported[operation] = state
            self._store.extend(operation, state, deadline=deadline)
            # From here on the table is right, so that an operator can lift the wait.
            self._reported.pop(operation, None)

    def replace(
        self, operation: str, state: CircuitState | None, *, expected: CircuitState | None, deadline: Deadline
    ) -> bool:
        """Write ``state`` in place of ``expected``. False if another instance was first, and its state is known then.

        True also if the table does not answer.
        """
        deadline = _for_writing(deadline)
        with self._lock:
            try:
                if not self._store.replace(operation, state, expected=expected, deadline=deadline):
                    # The write may have arrived while its answer was lost. Then only the retry was refused.
                    self._load(deadline)
                    return self._known.get(operation) == state
            except (AwsError, DeadlineExceeded):
                pass
            if state is None:
                self._known.pop(operation, None)
            else:
                self._known[operation] = state
            return True

    def _load(self, deadline: Deadline) -> None:
        try:
            loaded = self._store.load(deadline=deadline)
        except (AwsError, DeadlineExceeded):
            return
        now = self._clock()
        self._reported = {name: state for name, state in self._reported.items() if state.until > now}
        later = {n: state for n, state in self._reported.items() if n not in loaded or loaded[n].until < state.until}
        self._known = {**loaded, **later}


def _for_writing(deadline: Deadline) -> Deadline:
    return Deadline(max(_WRITE_SECONDS, deadline.at_most(_READ_SECONDS).remaining()))
