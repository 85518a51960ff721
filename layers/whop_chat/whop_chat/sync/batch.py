"""One delivery from the queue: which messages come again, and when."""

import random
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.errors import Retryable
from whop_chat.runtime.telemetry import Observer
from whop_chat.sync.queue import SyncQueue, UnreadableMessage, decode
from whop_chat.sync.worker import Syncing
from whop_chat.whop.errors import BudgetUsedUp

_SECONDS_PER_USER = 8.0


# For giving a claim back and telling the queue, after the time of a user is up.
_SECONDS_TO_SETTLE = 2.0


_QUEUE_SECONDS = 1.0


_MAX_BACKOFF_SECONDS = 900


class Batch:
    """Handles one delivery from the queue (AWS, "Reporting batch item failures")."""

    def __init__(
        self,
        syncing: Syncing,
        queue: SyncQueue,
        dead_letters: SyncQueue,
        observer: Observer,
        *,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._syncing = syncing
        self._queue = queue
        self._dead_letters = dead_letters
        self._observer = observer
        self._jitter = jitter
        self._sleep = sleep

    def handle(self, records: Iterable[Mapping[str, Any]], remaining_seconds: Callable[[], float]) -> dict[str, Any]:
        """Each message by itself; the answer names those to be delivered again."""
        failed = [record["messageId"] for record in records if not self._done(record, remaining_seconds())]
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}

    def _done(self, record: Mapping[str, Any], remaining: float) -> bool:
        self._observer.concerns(None)
        # A user who is begun is finished; the rest is left to the next delivery.
        if remaining < _SECONDS_PER_USER + _SECONDS_TO_SETTLE:
            return self._postponed(record, 1)
        try:
            self._syncing.sync(decode(_text(record, "body")), deadline=Deadline(_SECONDS_PER_USER))
        except UnreadableMessage as error:
            return self._set_aside(record, error)
        except Retryable as error:
            self._observer.failed("sync postponed", error, metric="SyncPostponed")
            self._postponed(record, max(self._known_wait(error), self._backoff(record)))
            self._wait_for_places(error, remaining)
            return False
        except Exception:
            self._observer.broke("unexpected error")
            return self._postponed(record, self._backoff(record))
        return True

    def _set_aside(self, record: Mapping[str, Any], error: UnreadableMessage) -> bool:
        """Waiting would not make it readable; a person has to look at it."""
        try:
            self._dead_letters.send_raw(_text(record, "body"), deadline=Deadline(_QUEUE_SECONDS))
        except (AwsError, DeadlineExceeded) as failure:
            self._observer.failed("unreadable message not set aside", failure)
            return self._postponed(record, self._backoff(record))
        self._observer.failed("unreadable message set aside", error, metric="MessageUnreadable")
        return True

    def _postponed(self, record: Mapping[str, Any], seconds: int) -> bool:
        try:
            self._queue.postpone(_text(record, "receiptHandle"), seconds, deadline=Deadline(_QUEUE_SECONDS))
        except (AwsError, DeadlineExceeded) as error:
            # Then the queue's own visibility timeout is the wait.
            self._observer.failed("message not postponed", error)
        return False

    def _wait_for_places(self, error: Retryable, remaining: float) -> None:
        """Another message would find none either, and ask the pool and the table for nothing."""
        if not isinstance(error, BudgetUsedUp):
            return
        if remaining >= _SECONDS_PER_USER + _SECONDS_TO_SETTLE + error.retry_after:
            self._sleep(error.retry_after)

    def _known_wait(self, error: Retryable) -> int:
        """The wait that the error names, plus up to half of it as jitter: not all messages return at once."""
        return round(error.retry_after * (1 + self._jitter() / 2))

    def _backoff(self, record: Mapping[str, Any]) -> int:
        """Doubling with the deliveries so far, at most 15 minutes, with up to a half taken off by chance."""
        ceiling = min(_MAX_BACKOFF_SECONDS, 1 << min(_deliveries(record), 10))
        return max(1, round(ceiling * (1 - self._jitter() / 2)))


def _text(record: Mapping[str, Any], name: str) -> str:
    """A member of what SQS delivered; one that is missing is empty, and so as unreadable as one that says nothing."""
    value = record.get(name)
    return value if isinstance(value, str) else ""


def _deliveries(record: Mapping[str, Any]) -> int:
    match record.get("attributes"):
        case {"ApproximateReceiveCount": str(count)} if re.fullmatch(r"[0-9]{1,9}", count):
            return int(count)
    return 1
