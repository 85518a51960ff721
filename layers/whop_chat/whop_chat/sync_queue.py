"""The messages between the functions: "bring this user up to date at Whop"."""

import json
from typing import TYPE_CHECKING

from whop_chat import aws
from whop_chat.identity import UserRef

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_VERSION = 1


class UnreadableMessage(Exception):
    """Not a message of ours; no number of attempts will change that."""


def encode(user: UserRef) -> str:
    """A message names the user and carries nothing about them: what is true is read when it is handled."""
    return json.dumps({"version": _VERSION, "pool": user.pool_id, "username": user.username, "sub": user.sub})


def decode(body: str) -> UserRef:
    """The user a message names; raises `UnreadableMessage`."""
    try:
        message = json.loads(body)
        version, pool, username, sub = (message[key] for key in ("version", "pool", "username", "sub"))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UnreadableMessage("not a sync message") from None
    if type(version) is not int or version != _VERSION:
        raise UnreadableMessage("an unknown version")
    if not all(isinstance(value, str) and value for value in (pool, username, sub)):
        raise UnreadableMessage("a member is not a text")
    return UserRef(pool_id=pool, sub=sub, username=username)


class SyncQueue:
    """Sends messages; every method raises `whop_chat.aws.AwsError`."""

    def __init__(self, sqs: "SQSClient", url: str) -> None:
        self._sqs = sqs
        self._url = url

    def send(self, user: UserRef) -> None:
        """Ask for ``user`` to be brought up to date."""
        self.send_raw(encode(user))

    def send_raw(self, body: str) -> None:
        """Put ``body`` on the queue as it is."""
        aws.call(self._sqs.send_message, QueueUrl=self._url, MessageBody=body)

    def postpone(self, receipt_handle: str, seconds: int) -> None:
        """Hide a received message for ``seconds`` (SQS: 0 to 43,200) before it is delivered again."""
        aws.call(
            self._sqs.change_message_visibility,
            QueueUrl=self._url,
            ReceiptHandle=receipt_handle,
            VisibilityTimeout=seconds,
        )
