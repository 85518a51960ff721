"""The dead-letter queue as an operator works on it.

Not by StartMessageMoveTask: that sends everything back, also what is not ours and returns at once, says nothing of
single messages, and goes as fast as it can, so that sign-ups wait behind it. A message is sent before it is deleted:
whoever is killed in between leaves it on both queues, and to handle one twice does no harm.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from manage.console import Refused
from manage.deployment import Deployment
from manage.errors import PATIENT
from whop_chat.sync.queue import MAX_BATCH, SyncMessage, UnreadableMessage, decode

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# Longer than it takes to look at all there are; after that, a command that was killed is forgotten.
_HIDDEN_SECONDS = 120
# SQS then asks all of its servers (AWS, "Long polling"): an empty answer means an empty queue.
_WAIT_SECONDS = 1


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message; ``about`` is None for one that is not ours. ``sent_at`` is in epoch seconds."""

    id: str
    receipt: str
    body: str
    sent_at: float
    about: SyncMessage | None


class DeadLetterQueue:
    """The one of a stack. Every method raises botocore's errors."""

    def __init__(self, deployment: Deployment) -> None:
        self._client: SQSClient = deployment.stack.session.client("sqs", config=PATIENT)
        self._pool_id = deployment.pool_id
        self._dead, self._queue = (
            deployment.stack.output("SyncDeadLetterQueueUrl"),
            deployment.stack.output("SyncQueueUrl"),
        )

    def count(self) -> int:
        """About how many messages there are."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self._client.get_queue_attributes(QueueUrl=self._dead, AttributeNames=names)["Attributes"]
        return sum(map(int, counts.values()))

    def sweep(
        self, handle: Callable[[Sequence[DeadLetter]], Sequence[DeadLetter]], *, limit: int | None = None
    ) -> None:
        """Hand out all that were there at the beginning, or some ``limit`` of them, each once and ten at a time.

        Those that ``handle`` returns stay, and can be received by others when the sweep is over.
        """
        begun, stay = time.time(), dict[str, str]()
        try:
            while (limit is None or len(stay) < limit) and (letters := self._receive()):
                # What has come back meanwhile would make this endless.
                new = [each for each in letters if each.id not in stay and each.sent_at <= begun]
                handled = {each.id for each in new} - {each.id for each in handle(new)}
                stay |= {each.id: each.receipt for each in letters if each.id not in handled}
        finally:
            self._show(list(stay.values()))

    def send_back(self, letters: Sequence[DeadLetter]) -> None:
        """To the queue that they come from, then away from here."""
        entries: Any = [{"Id": str(number), "MessageBody": each.body} for number, each in enumerate(letters)]
        _require_all(self._client.send_message_batch(QueueUrl=self._queue, Entries=entries))
        self.discard(letters)

    def discard(self, letters: Sequence[DeadLetter]) -> None:
        """Delete them, for good."""
        entries: Any = [{"Id": str(number), "ReceiptHandle": each.receipt} for number, each in enumerate(letters)]
        _require_all(self._client.delete_message_batch(QueueUrl=self._dead, Entries=entries))

    def _receive(self) -> list[DeadLetter]:
        answer = self._client.receive_message(
            QueueUrl=self._dead,
            MaxNumberOfMessages=MAX_BATCH,
            VisibilityTimeout=_HIDDEN_SECONDS,
            WaitTimeSeconds=_WAIT_SECONDS,
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        return [self._letter(each) for each in answer.get("Messages", [])]

    def _letter(self, message: Any) -> DeadLetter:
        try:
            about = decode(message["Body"])
        except UnreadableMessage:
            about = None
        if about and about.user.pool_id != self._pool_id:
            about = None
        sent_at = int(message["Attributes"]["SentTimestamp"]) / 1000
        return DeadLetter(message["MessageId"], message["ReceiptHandle"], message["Body"], sent_at, about)

    def _show(self, receipts: Sequence[str]) -> None:
        """Let others receive them at once. Who is visible already is none the worse."""
        for some in itertools.batched(receipts, MAX_BATCH, strict=False):
            entries: Any = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for number, receipt in enumerate(some)
            ]
            self._client.change_message_visibility_batch(QueueUrl=self._dead, Entries=entries)


def _require_all(answer: Any) -> None:
    """Each message of a batch succeeds or fails by itself (AWS, SendMessageBatch)."""
    for failure in answer.get("Failed", []):
        raise Refused(f"SQS: {failure.get('Code')}. Nothing is lost; run it again.", outcome="failed")
