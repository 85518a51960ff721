"""The sync queue and its messages: "bring this user up to date at Whop"."""

import json
from collections.abc import Collection
from enum import StrEnum
from typing import Any, NamedTuple

from whop_chat.cognito.user import UserRef, is_sub
from whop_chat.runtime.aws import AwsError, aws_call, validating
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline

MAX_BATCH = 10  # AWS, SendMessageBatch

_VERSION = 1


class UnreadableMessage(Exception):
    """The text is not a sync message. A retry cannot change that."""


class Source(StrEnum):
    """Why a message was sent: what suggests that the user has to be brought up to date."""

    SIGN_UP = "sign_up"
    SIGN_IN = "sign_in"
    FIRST_TOKEN = "first_token"  # noqa: S105 - not a password
    REQUEST = "request"
    """Of the signed-in user themself, such as after a change of their name."""
    CHANGE = "change"
    """An event of CloudTrail: attributes, disabled, enabled, deleted. It never starts a first enrolment."""
    RECONCILE = "reconcile"
    PASSWORDLESS = "passwordless"
    """As `RECONCILE`, of a backfill that also enrols users whose password is due."""
    COMMAND = "command"


class SyncMessage(NamedTuple):
    """One message: the user, and why it was sent. ``client_id`` is the app client of a sign-up or a sign-in, if any."""

    user: UserRef
    source: Source
    client_id: str | None = None


class QueueDepth(NamedTuple):
    """Messages that wait to be received, and messages that are being handled or back off."""

    visible: int
    hidden: int


def encode(user: UserRef, source: Source, client_id: str | None = None) -> str:
    """The text of a message. It has the user's names and no attributes: the handler reads those from the pool."""
    names = {"pool": user.pool_id, "username": user.username, "sub": user.sub}
    client = {} if client_id is None else {"client": client_id}
    return json.dumps({"version": _VERSION, **names, "source": source, **client})


def decode(body: str) -> SyncMessage:
    """The message in ``body``. Raises `UnreadableMessage`."""
    try:
        message = json.loads(body)
        version, pool, username, sub = (message[key] for key in ("version", "pool", "username", "sub"))
        # A sender that does not say why proves as little about the user as a run of reconcile.
        source = Source(message.get("source", Source.RECONCILE))
        client_id = message.get("client")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UnreadableMessage("not a sync message") from None
    if type(version) is not int or version != _VERSION:
        raise UnreadableMessage("an unknown version")
    if not all(isinstance(value, str) and value for value in (pool, username, sub)):
        raise UnreadableMessage("a member is not a text")
    if not is_sub(sub):
        raise UnreadableMessage("the sub is not one of Cognito's")
    if not isinstance(client_id, str | None):
        raise UnreadableMessage("the client is not a text")
    return SyncMessage(UserRef(pool_id=pool, sub=sub, username=username), source, client_id)


class SyncQueue:
    """One SQS queue. Every method raises `AwsError` and `DeadlineExceeded`."""

    def __init__(self, aws: AwsClients, url: str) -> None:
        self._aws = aws
        self._url = url

    def send(self, user: UserRef, source: Source, client_id: str | None = None, *, deadline: Deadline) -> None:
        """Enqueue a message about ``user``."""
        self.send_raw(encode(user, source, client_id), deadline=deadline)

    def send_many(
        self, users: Collection[UserRef], source: Source, *, delay_seconds: int = 0, deadline: Deadline
    ) -> None:
        """Enqueue one message for each of 1 to `MAX_BATCH` users, with a delay in seconds (SQS: 0 to 900).

        After an error some of the messages may be on the queue.
        """
        entries: Any = [
            {"Id": str(number), "MessageBody": encode(user, source), "DelaySeconds": delay_seconds}
            for number, user in enumerate(users)
        ]
        with aws_call(deadline):
            answer: Any = self._aws.sqs.send_message_batch(QueueUrl=self._url, Entries=entries)
        # Each message succeeds or fails by itself (AWS, SendMessageBatch).
        with validating("SendMessageBatch"):
            for failure in answer.get("Failed", []):
                raise AwsError(str(failure.get("Code")), operation="SendMessageBatch")

    def send_raw(self, body: str, *, deadline: Deadline) -> None:
        """Put ``body`` on the queue as it is."""
        with aws_call(deadline):
            answer = self._aws.sqs.send_message(QueueUrl=self._url, MessageBody=body)
        with validating("SendMessage"):
            _ = answer["MessageId"]  # Without it nothing proves that the message is on the queue.

    def depth(self, *, deadline: Deadline) -> QueueDepth:
        """About how many messages are on the queue. Delayed messages count after their delay."""
        names: list[Any] = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        with aws_call(deadline):
            answer = self._aws.sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)
        with validating("GetQueueAttributes"):
            attributes: Any = answer["Attributes"]
            return QueueDepth(*(int(attributes[name]) for name in names))

    def postpone(self, receipt_handle: str, seconds: int, *, deadline: Deadline) -> None:
        """Hide a received message for ``seconds`` (SQS: 0 to 43,200) before it is delivered again."""
        with aws_call(deadline):
            self._aws.sqs.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
            )
