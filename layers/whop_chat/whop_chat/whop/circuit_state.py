"""Until when an operation of a vendor is not to be called, known to every instance of every function.

One item of the users table, ``WAIT#<name>``, has an attribute for each operation that was told to wait. Whoever learns
of a wait writes it there; whoever is about to call reads the item, once a second at most. What is known counts when
the table does not answer: a wait that cannot be shared is better than no call at all.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from whop_chat.runtime.aws import AwsClients, AwsError, aws_call, update_if, validating
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.prefetch import HeadStart

_FRESH_SECONDS = 1.0
_READ_SECONDS = 0.5
# A wait becomes known when a call has just used up its time, so it may take this long beyond the deadline.
_WRITE_SECONDS = 0.2
_KEPT_SECONDS = 86400


class Why(StrEnum):
    """Why an operation waits."""

    LIMITED = "limited"
    """The vendor said so."""
    UNAVAILABLE = "unavailable"
    """The vendor did not answer."""


@dataclass(frozen=True, slots=True)
class Wait:
    """``until`` is in epoch seconds; ``openings`` counts the times that an unavailable operation was given up."""

    until: float
    why: Why
    openings: int = 0


class WaitStore(Protocol):
    """What all instances know: `WaitItem`, or a store in memory.

    Every method raises `AwsError` and `DeadlineExceeded`.
    """

    def load(self, *, deadline: Deadline) -> dict[str, Wait]:
        """The waits by operation, also those that have ended."""

    def prolong(self, operation: str, wait: Wait, *, deadline: Deadline) -> None:
        """Write ``wait`` unless a later one stands there."""

    def replace(self, operation: str, wait: Wait | None, *, seen: Wait | None, deadline: Deadline) -> bool:
        """Write ``wait`` (None: take it away) if what stands there is still ``seen`` (None: nothing)."""


class WaitItem:
    """The waits in DynamoDB, in one item."""

    def __init__(self, aws: AwsClients, table: str, name: str, *, clock: Callable[[], float] = time.time) -> None:
        self._aws = aws
        self._table = table
        self._key = {"pk": {"S": f"WAIT#{name}"}}
        self._clock = clock

    def load(self, *, deadline: Deadline) -> dict[str, Wait]:
        """See `WaitStore.load`. What is a day old is nothing: DynamoDB deletes the item then, or some days later."""
        with aws_call(deadline):
            answer: Any = self._aws.dynamodb.get_item(TableName=self._table, Key=self._key, ConsistentRead=True)
        with validating("GetItem"):
            item = answer.get("Item", {})
            waits = {name: _wait(typed["M"]) for name, typed in item.items() if "M" in typed}
        return {name: wait for name, wait in waits.items() if wait.until > self._past()}

    def prolong(self, operation: str, wait: Wait, *, deadline: Deadline) -> None:
        """See `WaitStore.prolong`."""
        condition = "attribute_not_exists(#operation) OR #operation.#until < :until"
        self._write(operation, wait, condition, wait, deadline)

    def replace(self, operation: str, wait: Wait | None, *, seen: Wait | None, deadline: Deadline) -> bool:
        """See `WaitStore.replace`."""
        nothing = "attribute_not_exists(#operation) OR #operation.#until <= :past"
        return self._write(operation, wait, "#operation.#until = :until" if seen else nothing, seen, deadline)

    def _write(
        self, operation: str, wait: Wait | None, condition: str, compared: Wait | None, deadline: Deadline
    ) -> bool:
        """Whether ``condition`` held, in which ``:until`` is that of ``compared``."""
        names = {"#operation": operation, "#until": "until", "#ttl": "ttl"}
        values: dict[str, Any] = {":ttl": {"N": str(int(self._clock()) + _KEPT_SECONDS)}}
        update = "SET #ttl = :ttl REMOVE #operation"
        if wait is not None:
            update = "SET #ttl = :ttl, #operation = :wait"
            values[":wait"] = {"M": _attributes(wait)}
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
        return self._clock() - _KEPT_SECONDS


def _until(wait: Wait) -> dict[str, str]:
    return {"N": f"{wait.until:.3f}"}


def _attributes(wait: Wait) -> dict[str, Any]:
    return {"until": _until(wait), "why": {"S": wait.why.value}, "openings": {"N": str(wait.openings)}}


def _wait(item: Mapping[str, Mapping[str, str]]) -> Wait:
    return Wait(float(item["until"]["N"]), Why(item["why"]["S"]), int(item["openings"]["N"]))


class Waits:
    """What one instance knows of the waits; for any number of threads. Nothing here fails."""

    def __init__(self, store: WaitStore, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.RLock()
        self._known: dict[str, Wait] = {}
        # By the vendor to this very instance, which holds whether or not the table took it.
        self._told: dict[str, Wait] = {}
        self._read_at: float | None = None

    @property
    def _stale(self) -> bool:
        """Whether they were not read within the last second."""
        return self._read_at is None or not 0 <= self._clock() - self._read_at < _FRESH_SECONDS

    def refresh(self, *, deadline: Deadline) -> None:
        """Read the waits if they are stale; whoever asks meanwhile waits for the answer."""
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
    def read_meanwhile(self) -> Iterator[None]:
        """Have them read beside what is done in the block, if they are stale; then nothing is under way any more."""
        reads = [lambda deadline: self.refresh(deadline=deadline)] if self._stale else []
        read = HeadStart(*reads, seconds=_READ_SECONDS)
        try:
            yield
        finally:
            read.wait()

    def of(self, operation: str, *, deadline: Deadline) -> Wait | None:
        """The wait of ``operation``, or the last one it had; not older than a second if the table answers."""
        self.refresh(deadline=deadline)
        return self._known.get(operation)

    def known(self, operation: str) -> Wait | None:
        """As `of`, without asking."""
        return self._known.get(operation)

    def prolong(self, operation: str, wait: Wait, *, deadline: Deadline) -> None:
        """Let everybody wait until then, unless they wait longer."""
        deadline = _for_writing(deadline)
        with self._lock, contextlib.suppress(AwsError, DeadlineExceeded):
            known = self._known.get(operation)
            if known is None or known.until < wait.until:
                self._known[operation] = self._told[operation] = wait
            self._store.prolong(operation, wait, deadline=deadline)

    def replace(self, operation: str, wait: Wait | None, *, seen: Wait | None, deadline: Deadline) -> bool:
        """Put ``wait`` in the place of ``seen``; False if somebody else was first, and then what they put is known.

        True also if the table does not answer.
        """
        deadline = _for_writing(deadline)
        with self._lock:
            try:
                if not self._store.replace(operation, wait, seen=seen, deadline=deadline):
                    # The answer to a write that arrived may have been lost, and the repetition refused.
                    self._load(deadline)
                    return self._known.get(operation) == wait
            except (AwsError, DeadlineExceeded):
                pass
            if wait is None:
                self._known.pop(operation, None)
            else:
                self._known[operation] = wait
            return True

    def _load(self, deadline: Deadline) -> None:
        try:
            loaded = self._store.load(deadline=deadline)
        except (AwsError, DeadlineExceeded):
            return
        now = self._clock()
        self._told = {name: wait for name, wait in self._told.items() if wait.until > now}
        later = {n: wait for n, wait in self._told.items() if n not in loaded or loaded[n].until < wait.until}
        self._known = {**loaded, **later}


def _for_writing(deadline: Deadline) -> Deadline:
    return Deadline(max(_WRITE_SECONDS, deadline.at_most(_READ_SECONDS).remaining()))
