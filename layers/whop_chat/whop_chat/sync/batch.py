"""One delivery from the queue: which messages the queue delivers again, and when."""

import random
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.errors import Retryable
from whop_chat.runtime.metrics import SYNC_AGE
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.sync.backlog import Backlog
from whop_chat.sync.queue import SyncMessage, SyncQueue, UnreadableMessage, correlation_id_of, decode
from whop_chat.whop.errors import CircuitOpen, OutOfPermits, WhopRateLimited

# After a message's time is up: to release the lease and to postpone the message.
_SECONDS_TO_SETTLE = 2.0
_QUEUE_SECONDS = 1.0
_MAX_BACKOFF_SECONDS = 900
# Until a message is 32 minutes old, it backs off for a minute at most. Then for a thirty-second of its age at most.
_YOUNG_BACKOFF_SECONDS = 60
_BACKOFF_BY_AGE = 1 / 32
# The messages that a wait has held back return over this time, so the first of a batch can report the next wait.
_RETURN_SECONDS = 10


class Handler(Protocol):
    """What handles a message: `whop_chat.sync.worker.SyncUser`, or ``SyncAvatar`` for pictures."""

    def sync(self, message: SyncMessage, *, deadline: Deadline) -> None:
        """Do what ``message`` asks for. Raises `UnreadableMessage`, and `Retryable` to get it again."""


class SyncBatch:
    """Handles one delivery from the queue (AWS, "Reporting batch item failures").

    ``seconds`` is the time of each message. ``backlog`` is told how long messages wait; None: nobody asks.
    """

    def __init__(
        self,
        handler: Handler,
        queue: SyncQueue,
        dead_letters: SyncQueue,
        backlog: Backlog | None,
        telemetry: Telemetry,
        *,
        seconds: float,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._handler = handler
        self._seconds = seconds
        self._queue = queue
        self._dead_letters = dead_letters
        self._backlog = backlog
        self._telemetry = telemetry
        self._clock = clock
        self._jitter = jitter
        self._sleep = sleep

    def handle(self, records: Iterable[Mapping[str, Any]], remaining_seconds: Callable[[], float]) -> dict[str, Any]:
        """Handle each message by itself. The answer names the messages to deliver again."""
        failed = [record["messageId"] for record in records if not self._done(record, remaining_seconds)]
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}

    def _done(self, record: Mapping[str, Any], remaining_seconds: Callable[[], float]) -> bool:
        self._telemetry.bind_user(None)
        self._telemetry.bind_correlation(correlation_id_of(record))
        if self._backlog is not None:
            self._telemetry.count(SYNC_AGE, self._clock() - self._sent_at(record))
        # A sync that starts has time to finish. The next delivery handles the rest.
        if remaining_seconds() < self._seconds + _SECONDS_TO_SETTLE:
            return self._postponed(record, 1)
        try:
            self._handler.sync(decode(_text(record, "body")), deadline=Deadline(self._seconds))
        except UnreadableMessage as error:
            return self._set_aside(record, error)
        except Retryable as error:
            self._telemetry.warning("sync postponed", error)
            self._postponed(record, self._wait(error, record))
            self._wait_for_permits(error, remaining_seconds())
            return False
        except Exception:
            self._telemetry.exception("unexpected error")
            return self._postponed(record, self._backoff(record))
        return True

    def _set_aside(self, record: Mapping[str, Any], error: UnreadableMessage) -> bool:
        """Move a message to the dead-letter queue. No retry makes it readable, so an operator has to look at it."""
        try:
            self._dead_letters.send_raw(
                _text(record, "body"),
                correlation_id=self._telemetry.correlation_id,
                deadline=Deadline(_QUEUE_SECONDS),
            )
        except (AwsError, DeadlineExceeded) as failure:
            self._telemetry.warning("unreadable message not set aside", failure)
            return self._postponed(record, self._backoff(record))
        self._telemetry.warning("unreadable message set aside", error)
        return True

    def _postponed(self, record: Mapping[str, Any], seconds: int) -> bool:
        """Hide the message for ``seconds``. Returns False: the message is not done."""
        try:
            self._queue.postpone(_text(record, "receiptHandle"), seconds, deadline=Deadline(_QUEUE_SECONDS))
        except (AwsError, DeadlineExceeded) as error:
            # The queue's own visibility timeout is the wait then.
            self._telemetry.warning("message not postponed", error)
        self._report_waiting(record)
        return False

    def _report_waiting(self, record: Mapping[str, Any]) -> None:
        if self._backlog is None:
            return
        try:
            self._backlog.report(self._sent_at(record), deadline=Deadline(_QUEUE_SECONDS))
        except (AwsError, DeadlineExceeded) as error:
            self._telemetry.warning("backlog not reported", error)

    def _wait_for_permits(self, error: Retryable, remaining: float) -> None:
        """Sleep until there are permits again. The next message would read pool and table without success before."""
        if not isinstance(error, OutOfPermits):
            return
        if remaining >= self._seconds + _SECONDS_TO_SETTLE + error.retry_after:
            self._sleep(error.retry_after)

    def _sent_at(self, record: Mapping[str, Any]) -> float:
        """When the message was sent, in epoch seconds, and not later than now."""
        now = self._clock()
        return min(now, _number(record, "SentTimestamp", int(now * 1000)) / 1000)

    def _wait(self, error: Retryable, record: Mapping[str, Any]) -> int:
        """The seconds until the next delivery: at least the wait that ``error`` names, with jitter.

        A rate limit or an open circuit applies to all messages, and says when it ends. It is no failure of this
        message. So only the message's age adds to that wait.
        """
        if isinstance(error, WhopRateLimited | CircuitOpen):
            named = error.retry_after + self._jitter() * _RETURN_SECONDS
            return round(max(named, self._spread(self._backoff_by_age(record))))
        return max(round(error.retry_after * (1 + self._jitter() / 2)), self._backoff(record))

    def _backoff(self, record: Mapping[str, Any]) -> int:
        """Exponential backoff in the number of deliveries, up to what the age of the message allows."""
        longest = max(_YOUNG_BACKOFF_SECONDS, self._backoff_by_age(record))
        return max(1, round(self._spread(min(longest, 1 << min(_number(record, "ApproximateReceiveCount", 1), 10)))))

    def _backoff_by_age(self, record: Mapping[str, Any]) -> float:
        """A thirty-second of the time since the first delivery, and 15 minutes at most.

        So after an outage of an hour each message returns within two minutes. A day takes fewer than 500 deliveries.
        """
        now = self._clock()
        age = now - _number(record, "ApproximateFirstReceiveTimestamp", int(now * 1000)) / 1000
        return min(_MAX_BACKOFF_SECONDS, max(0.0, age) * _BACKOFF_BY_AGE)

    def _spread(self, seconds: float) -> float:
        return seconds * (1 - self._jitter() / 2)


def _text(record: Mapping[str, Any], name: str) -> str:
    """A text of an SQS record. A missing one is returned as empty, which is as unreadable."""
    value = record.get(name)
    return value if isinstance(value, str) else ""


def _number(record: Mapping[str, Any], name: str, default: int) -> int:
    """A whole number among SQS's attributes of a record. ``default`` if it is missing."""
    attributes = record.get("attributes")
    value = attributes.get(name) if isinstance(attributes, Mapping) else None
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value) else default
