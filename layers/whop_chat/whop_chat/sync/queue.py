"""The sync queue and its messages: "bring this user up to date at Whop"."""

import json
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from whop_chat.cognito.user import UserRef, is_sub
from whop_chat.runtime.aws import AwsError, aws_call, validating
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.runs import is_run

MAX_BATCH = 10  # AWS, SendMessageBatch

_VERSION = 1
# Ids of AWS are shorter. Anybody who may send to the queue can write more, and every line would bear it.
_MAX_CORRELATION_ID = 128


class UnreadableMessage(Exception):
    """The text is not a sync message. A retry cannot change that."""


class Source(StrEnum):
    """Why a message was sent: what suggests that the user has to be brought up to date."""

    SIGN_UP = "sign_up"
    SIGN_IN = "sign_in"
    FIRST_TOKEN = "first_token"  # noqa: S105  # nosec B105  # not a password
    REQUEST = "request"
    """Of the signed-in user themself, such as after a change of their name."""
    CHANGE = "change"
    """An event of CloudTrail: attributes, disabled, enabled, deleted. It never starts a first enrolment."""
    RECONCILE = "reconcile"
    """A run found the user out of step: another name, disabled, enabled, or gone."""
    ENROL = "enrol"
    """A run found the user without a Whop user."""
    PASSWORDLESS = "passwordless"
    """As `ENROL`, of a backfill that also enrols users whose password is due."""
    COMMAND = "command"


class SyncMessage(NamedTuple):
    """One message: the user, and why it was sent.

    ``client_id`` is the app client of a sign-up or a sign-in, if any. ``run`` is the id of the run that sent it.
    """

    user: UserRef
    source: Source
    client_id: str | None = None
    run: str | None = None

    @property
    def enrols(self) -> bool:
        """Whether a run sent it to enrol the user."""
        return self.source in (Source.ENROL, Source.PASSWORDLESS)


class QueueDepth(NamedTuple):
    """Messages that wait to be received, that are being handled or back off, and that were sent with a delay."""

    visible: int
    hidden: int
    delayed: int = 0


def encode(user: UserRef, source: Source, client_id: str | None = None, run: str | None = None) -> str:
    """The text of a message. It has the user's names and no attributes: the handler reads those from the pool."""
    names = {"pool": user.pool_id, "username": user.username, "sub": user.sub}
    optional = {"client": client_id, "run": run}
    given = {name: value for name, value in optional.items() if value is not None}
    return json.dumps({"version": _VERSION, **names, "source": source, **given})


def decode(body: str) -> SyncMessage:
    """The message in ``body``. Raises `UnreadableMessage`."""
    try:
        message = json.loads(body)
        version, pool, username, sub = (message[key] for key in ("version", "pool", "username", "sub"))
        # A sender that does not say why proves as little about the user as a run of reconcile.
        source = Source(message.get("source", Source.RECONCILE))
        client_id, run = message.get("client"), message.get("run")
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
    if run is not None and not (isinstance(run, str) and is_run(run)):
        raise UnreadableMessage("the run is not one of ours")
    return SyncMessage(UserRef(pool_id=pool, sub=sub, username=username), source, client_id, run)


def correlation_id_of(record: Mapping[str, Any]) -> str | None:
    """The correlation id of a record in Lambda's event. Without one it is the id of the message."""
    match record.get("messageAttributes"):
        case {"correlation_id": {"stringValue": str(value)}} if 0 < len(value) <= _MAX_CORRELATION_ID:
            return value
    match record.get("messageId"):
        case str(message_id):
            return message_id
    return None


def _attributes(correlation_id: str | None) -> dict[str, Any]:
    if not correlation_id:
        return {}
    return {"MessageAttributes": {"correlation_id": {"DataType": "String", "StringValue": correlation_id}}}


class SyncQueue:
    """One SQS queue. Every method raises `AwsError` and `DeadlineExceeded`."""

    def __init__(self, aws: AwsClients, url: str) -> None:
        self._aws = aws
        self._url = url

    def send(
        self,
        user: UserRef,
        source: Source,
        client_id: str | None = None,
        *,
        correlation_id: str | None = None,
        deadline: Deadline,
    ) -> None:
        """Enqueue a message about ``user``. ``correlation_id`` names the request that causes it, for the log."""
        self.send_raw(encode(user, source, client_id), correlation_id=correlation_id, deadline=deadline)

    def send_many(
        self, users: Collection[UserRef], source: Source, *, run: str, delay_seconds: int = 0, deadline: Deadline
    ) -> None:
        """Enqueue one message of ``run`` for each of 1 to `MAX_BATCH` users, with a delay in seconds (SQS: 0 to 900).

        The run is their correlation id too.
        After an error some of the messages may be on the queue.
        """
        entries: Any = [
            {
                "Id": str(number),
                "MessageBody": encode(user, source, run=run),
                "DelaySeconds": delay_seconds,
                **_attributes(run),
            }
            for number, user in enumerate(users)
        ]
        with aws_call(deadline):
            answer: Any = self._aws.sqs.send_message_batch(QueueUrl=self._url, Entries=entries)
        # Each message succeeds or fails by itself (AWS, SendMessageBatch).
        with validating("SendMessageBatch"):
            for failure in answer.get("Failed", []):
                raise AwsError(str(failure.get("Code")), operation="SendMessageBatch")

    def send_raw(self, body: str, *, correlation_id: str | None = None, deadline: Deadline) -> None:
        """Put ``body`` on the queue as it is."""
        with aws_call(deadline):
            answer = self._aws.sqs.send_message(QueueUrl=self._url, MessageBody=body, **_attributes(correlation_id))
        with validating("SendMessage"):
            _ = answer["MessageId"]  # Without it nothing proves that the message is on the queue.

    def depth(self, *, deadline: Deadline) -> QueueDepth:
        """About how many messages are on the queue."""
        kinds = ("", "NotVisible", "Delayed")
        names: list[Any] = [f"ApproximateNumberOfMessages{kind}" for kind in kinds]
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
