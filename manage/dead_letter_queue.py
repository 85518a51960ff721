"""The dead-letter queue, with the operations that an operator needs.

SQS's own StartMessageMoveTask does not do. It also sends back messages that are not ours and return at once. It does
not report single messages. And it is so fast that sign-ups wait behind its messages.

A message is sent before it is deleted. If the command is killed in between, the message is on both queues; to handle it
twice does no harm.
"""

import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from manage.deployment import Deployment
from manage.errors import Refused
from whop_chat.sync.queue import MAX_BATCH, SyncMessage, UnreadableMessage, decode

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# Longer than it takes to look at every message. If a command is killed, SQS shows its messages again after this time.
_HIDDEN_SECONDS = 120
# With a wait, SQS asks all of its servers (AWS, "Long polling"): then an empty answer means an empty queue.
_WAIT_SECONDS = 1


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message. ``content`` is None if the message is not ours. ``sent_at`` is in epoch seconds."""

    id: str
    receipt: str
    body: str
    sent_at: float
    content: SyncMessage | None


class DeadLetterQueue:
    """The dead-letter queue of a stack. Every method raises botocore's errors."""

    def __init__(self, deployment: Deployment) -> None:
        self._client: SQSClient = deployment.stack.client("sqs")
        self._pool_id = deployment.pool_id
        self._dead = deployment.stack.output("SyncDeadLetterQueueUrl")
        self._queue = deployment.stack.output("SyncQueueUrl")
        self._receipts: dict[str, str] = {}

    def count(self) -> int:
        """The approximate number of messages."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self._client.get_queue_attributes(QueueUrl=self._dead, AttributeNames=names)["Attributes"]
        return sum(map(int, counts.values()))

    @contextlib.contextmanager
    def sweep(self, *, limit: int | None = None) -> Iterator[Iterator[list[DeadLetter]]]:
        """The messages that were there at the start, each once, in batches of at most ten; about ``limit`` in all.

        They are hidden from others during the block. After it, others can receive those that the block has not deleted.
        """
        try:
            yield self._batches(limit)
        finally:
            self._release()

    def send_back(self, letters: Sequence[DeadLetter]) -> None:
        """Move the messages to the sync queue. Raises `Refused` if SQS does not take one of them."""
        entries: Any = [{"Id": str(number), "MessageBody": each.body} for number, each in enumerate(letters)]
        _require_all(self._client.send_message_batch(QueueUrl=self._queue, Entries=entries))
        self.discard(letters)

    def discard(self, letters: Sequence[DeadLetter]) -> None:
        """Delete the messages for good. Raises `Refused` if SQS does not delete one of them."""
        entries: Any = [{"Id": str(number), "ReceiptHandle": each.receipt} for number, each in enumerate(letters)]
        _require_all(self._client.delete_message_batch(QueueUrl=self._dead, Entries=entries))
        for each in letters:
            del self._receipts[each.id]

    def _batches(self, limit: int | None) -> Iterator[list[DeadLetter]]:
        started, seen = time.time(), set[str]()
        while (limit is None or len(seen) < limit) and (letters := self._receive()):
            # A message that came back in the meantime is left out, or the sweep might never end.
            new = [each for each in letters if each.id not in seen and each.sent_at <= started]
            seen |= {each.id for each in new}
            yield new

    def _receive(self) -> list[DeadLetter]:
        answer = self._client.receive_message(
            QueueUrl=self._dead,
            MaxNumberOfMessages=MAX_BATCH,
            VisibilityTimeout=_HIDDEN_SECONDS,
            WaitTimeSeconds=_WAIT_SECONDS,
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        letters = [self._letter(each) for each in answer.get("Messages", [])]
        self._receipts |= {each.id: each.receipt for each in letters}
        return letters

    def _letter(self, message: Any) -> DeadLetter:
        try:
            content = decode(message["Body"])
        except UnreadableMessage:
            content = None
        if content and content.user.pool_id != self._pool_id:
            content = None
        sent_at = int(message["Attributes"]["SentTimestamp"]) / 1000
        return DeadLetter(message["MessageId"], message["ReceiptHandle"], message["Body"], sent_at, content)

    def _release(self) -> None:
        """Make the hidden messages visible again. For a message that is visible already this changes nothing."""
        for some in itertools.batched(self._receipts.values(), MAX_BATCH, strict=False):
            entries: Any = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for number, receipt in enumerate(some)
            ]
            self._client.change_message_visibility_batch(QueueUrl=self._dead, Entries=entries)
        self._receipts.clear()


def _require_all(answer: Any) -> None:
    """Raise `Refused` if a message of a batch failed: each one fails by itself (AWS, SendMessageBatch)."""
    for failure in answer.get("Failed", []):
        raise Refused(f"SQS: {failure.get('Code')}. Nothing is lost; run the command again.", outcome="failed")
