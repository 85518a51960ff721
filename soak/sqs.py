"""SQS: at-least-once delivery in no order, with delays, visibility and dead letters."""

import heapq
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from soak.errors import Refused
from soak.scheduler import Scheduler

VISIBILITY_SECONDS = 360.0  # template.yaml, SyncQueue
MAX_RECEIVES = 500
_OUT_OF_ORDER_SECONDS = 0.5


@dataclass(slots=True)
class Message:
    """One copy of a message. ``due`` is when it can be received (again)."""

    id: str
    body: str
    due: float
    receives: int = 0
    first_received: float = 0.0
    hidden: bool = False


class Queue:
    """The sync queue, and what became of every message.

    ``duplicates`` is the probability that a message is copied, and that a deletion is lost. ``failed_entries`` is the
    probability that an entry of a batch fails by itself, in an answer that is a success.
    """

    def __init__(self, scheduler: Scheduler, *, duplicates: float = 0.0, failed_entries: float = 0.0) -> None:
        self._scheduler = scheduler
        self.duplicates = duplicates
        self.failed_entries = failed_entries
        self.waiting: dict[str, Message] = {}
        self.accepted = 0
        self.bodies: set[str] = set()
        self.copies = 0
        self.handled = 0
        self.dead: list[str] = []
        self.most_receives = 0
        self._due: list[tuple[float, str]] = []
        self._numbers = itertools.count()

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of SQS. Raises `Refused`."""
        match operation:
            case "SendMessage":
                return {"MessageId": self.send(request["MessageBody"], request.get("DelaySeconds", 0))}
            case "SendMessageBatch":
                return self._send_batch(request["Entries"])
            case "ChangeMessageVisibility":
                self.postpone(request["ReceiptHandle"], request["VisibilityTimeout"])
                return {}
            case "GetQueueAttributes":
                return {"Attributes": {name: str(count) for name, count in self.counts().items()}}
        raise Refused("InvalidAction", operation)

    def send(self, body: str, delay: float = 0.0) -> str:
        """Add a message, and now and then a copy of it. Returns its id."""
        self.accepted += 1
        self.bodies.add(body)
        message_id = self._add(body, delay)
        if self._scheduler.chance.random() < self.duplicates:
            self._copy(body, delay)
        return message_id

    def receive(self, most: int) -> list[Message]:
        """Messages that are visible, in any order. Each is then hidden for the visibility timeout."""
        due: list[Message] = []
        while self._due and self._due[0][0] <= self._scheduler.now and len(due) < most:
            at, message_id = heapq.heappop(self._due)
            message = self.waiting.get(message_id)
            if message is None or message.due != at:
                continue
            message.first_received = message.first_received or self._scheduler.now
            message.receives += 1
            self.most_receives = max(self.most_receives, message.receives)
            if message.receives > MAX_RECEIVES:
                self.dead.append(self.waiting.pop(message_id).body)
                continue
            message.hidden = True
            self._schedule(message, VISIBILITY_SECONDS)
            due.append(message)
        return due

    def next_due(self) -> float | None:
        """When the next message becomes visible; None if there is none."""
        return self._due[0][0] if self._due else None

    def delete(self, message: Message) -> None:
        """Delete a handled message. Now and then the deletion is lost."""
        if self.waiting.pop(message.id, None) is None:
            return
        self.handled += 1
        if self._scheduler.chance.random() < self.duplicates:
            self._copy(message.body, VISIBILITY_SECONDS)

    def _send_batch(self, entries: list[Mapping[str, Any]]) -> dict[str, Any]:
        if not 1 <= len(entries) <= 10:
            raise Refused("TooManyEntriesInBatchRequest")
        sent: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        for each in entries:
            if self._scheduler.chance.random() < self.failed_entries:
                failed.append({"Id": each["Id"], "Code": "InternalError", "SenderFault": False})
            else:
                message_id = self.send(each["MessageBody"], each.get("DelaySeconds", 0))
                sent.append({"Id": each["Id"], "MessageId": message_id})
        return {name: some for name, some in (("Successful", sent), ("Failed", failed)) if some}

    def postpone(self, receipt: str, seconds: float) -> None:
        """Hide a received message for some seconds from now."""
        message_id, _, receives = receipt.partition("/")
        message = self.waiting.get(message_id)
        # A handle of an earlier delivery may do nothing (AWS, "Receipt handle").
        if message is not None and str(message.receives) == receives:
            message.hidden = seconds > 0
            self._schedule(message, seconds)

    def counts(self) -> dict[str, int]:
        """How many can be received, how many were received and are hidden, how many are delayed; by SQS's names."""
        now = self._scheduler.now
        hidden = sum(message.hidden and message.due > now for message in self.waiting.values())
        visible = sum(message.due <= now for message in self.waiting.values())
        return {
            "ApproximateNumberOfMessages": visible,
            "ApproximateNumberOfMessagesNotVisible": hidden,
            "ApproximateNumberOfMessagesDelayed": len(self.waiting) - visible - hidden,
        }

    def _add(self, body: str, delay: float) -> str:
        message = Message(f"message-{next(self._numbers)}", body, 0.0)
        self.waiting[message.id] = message
        self._schedule(message, delay)
        return message.id

    def _copy(self, body: str, delay: float) -> None:
        self.copies += 1
        self._add(body, delay)

    def _schedule(self, message: Message, seconds: float) -> None:
        message.due = self._scheduler.now + seconds + self._scheduler.chance.uniform(0, _OUT_OF_ORDER_SECONDS)
        heapq.heappush(self._due, (message.due, message.id))
