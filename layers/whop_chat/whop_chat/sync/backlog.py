"""How long the oldest message waits that `sync_user` could not finish: the item ``BACKLOG#<pool>`` of the users table.

SQS cannot say it. Its metric of the oldest message leaves out a message that was received three times (SQS, "Available
CloudWatch metrics"), and each message that waits for Whop was.
"""

import time
from collections.abc import Callable
from typing import Any

from whop_chat.runtime.aws import aws_call, update_if, validating
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline

# A younger message is not worth a write.
_REPORTED_AGE_SECONDS = 600
# The messages of an outage are delivered many times a minute, and one report will do.
_PAUSE_SECONDS = 60
# A message that waits is delivered again within 15 minutes, or after its visibility timeout. A report that nobody has
# renewed since is about a message that is done.
_FORGOTTEN_SECONDS = 1500
_TTL_SECONDS = 86400


class Backlog:
    """The oldest waiting message of one pool. ``clock`` returns epoch seconds.

    Every method raises `AwsError` and `DeadlineExceeded`.
    """

    def __init__(self, aws: AwsClients, table: str, pool_id: str, *, clock: Callable[[], float] = time.time) -> None:
        self._aws = aws
        self._table = table
        self._key = {"pk": {"S": f"BACKLOG#{pool_id}"}}
        self._clock = clock
        self._reported_at = 0.0

    def report(self, sent_at: float, *, deadline: Deadline) -> None:
        """Note that a message that was sent at ``sent_at`` waits. An older one that waits as well stays noted."""
        now = self._clock()
        if now - sent_at < _REPORTED_AGE_SECONDS or now - self._reported_at < _PAUSE_SECONDS:
            return
        self._reported_at = now
        asked = {
            "TableName": self._table,
            "Key": self._key,
            "UpdateExpression": "SET sent_at = :sent, reported_at = :now, #ttl = :ttl",
            "ConditionExpression": "attribute_not_exists(pk) OR sent_at >= :sent OR reported_at < :forgotten",
            "ExpressionAttributeNames": {"#ttl": "ttl"},
            "ExpressionAttributeValues": {
                ":sent": {"N": str(int(sent_at))},
                ":now": {"N": str(int(now))},
                ":forgotten": {"N": str(int(now) - _FORGOTTEN_SECONDS)},
                ":ttl": {"N": str(int(now) + _TTL_SECONDS)},
            },
        }
        update_if(self._aws.dynamodb, asked, deadline=deadline)

    def age(self, *, deadline: Deadline) -> float:
        """The age of the oldest waiting message in seconds. 0 if none is known to wait for ten minutes."""
        with aws_call(deadline):
            answer: Any = self._aws.dynamodb.get_item(TableName=self._table, Key=self._key, ConsistentRead=True)
        with validating("GetItem"):
            item = answer.get("Item")
            now = self._clock()
            if not item or now - int(item["reported_at"]["N"]) > _FORGOTTEN_SECONDS:
                return 0.0
            return now - int(item["sent_at"]["N"])
