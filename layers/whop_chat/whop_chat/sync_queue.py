"""The messages between the functions: "bring this user up to date at Whop"."""

import json

from whop_chat.aws import SQS, Aws
from whop_chat.deadline import Deadline
from whop_chat.identity import UserRef

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
    """Sends messages; every method raises `whop_chat.aws.AwsError` and `whop_chat.deadline.DeadlineExceeded`."""

    def __init__(self, aws: Aws, url: str) -> None:
        self._aws = aws
        self._url = url

    def send(self, user: UserRef, *, deadline: Deadline) -> None:
        """Ask for ``user`` to be brought up to date."""
        self.send_raw(encode(user), deadline=deadline)

    def send_raw(self, body: str, *, deadline: Deadline) -> None:
        """Put ``body`` on the queue as it is."""
        self._aws.call(SQS, "SendMessage", {"QueueUrl": self._url, "MessageBody": body}, deadline=deadline)

    def postpone(self, receipt_handle: str, seconds: int, *, deadline: Deadline) -> None:
        """Hide a received message for ``seconds`` (SQS: 0 to 43,200) before it is delivered again."""
        parameters = {"QueueUrl": self._url, "ReceiptHandle": receipt_handle, "VisibilityTimeout": seconds}
        self._aws.call(SQS, "ChangeMessageVisibility", parameters, deadline=deadline)
