"""The users that the pool refused a moment ago: a client that keeps trying costs the team's Cognito quota one call.

AdminGetUser is limited to 120 calls a second, which all of the team's apps share (Cognito, "Quotas"). A refusal is
stored for all instances, as ``REFUSED#<pool>#<sub>``. It holds the user's status and nothing else, and it expires.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any, Protocol

from whop_chat.cognito.pool import NotActive, PoolStatus, PoolUser, not_active
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.aws import AwsError, aws_call, validating
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded

REMEMBERED_SECONDS = 60


class SignedInReader(Protocol):
    """Reads users who just signed in: `RememberingPool`, or a pool itself."""

    def admin_get(self, user: UserRef, *, deadline: Deadline) -> PoolUser:
        """See `whop_chat.cognito.pool.UserPool.admin_get`."""


class Refusals:
    """The refusals in DynamoDB. ``clock`` returns epoch seconds.

    Every method raises `AwsError` and `DeadlineExceeded`.
    """

    def __init__(self, aws: AwsClients, table: str, *, clock: Callable[[], float] = time.time) -> None:
        self._aws = aws
        self._table = table
        self._clock = clock

    def get(self, user: UserRef, *, deadline: Deadline) -> PoolStatus | None:
        """The status for which the user was refused in the last `REMEMBERED_SECONDS`, or None."""
        with aws_call(deadline):
            answer: Any = self._aws.dynamodb.get_item(TableName=self._table, Key=_key(user), ConsistentRead=True)
        with validating("GetItem"):
            item = answer.get("Item")
            if not item:
                return None
            # TTL deletes late. A time further ahead than a refusal lasts comes from a wrong clock.
            is_fresh = 0 < int(item["ttl"]["N"]) - self._clock() <= REMEMBERED_SECONDS + 1
            return PoolStatus(item["status"]["S"]) if is_fresh else None

    def remember(self, user: UserRef, status: PoolStatus, *, deadline: Deadline) -> None:
        """Remember that the user was refused for ``status``."""
        expiry = {"N": str(int(self._clock()) + REMEMBERED_SECONDS)}
        with aws_call(deadline):
            self._aws.dynamodb.put_item(
                TableName=self._table, Item={**_key(user), "status": {"S": status.value}, "ttl": expiry}
            )

    def forget(self, user: UserRef, *, deadline: Deadline) -> None:
        """Forget a refusal of the user, if there is one."""
        with aws_call(deadline):
            self._aws.dynamodb.delete_item(TableName=self._table, Key=_key(user))


class RememberingPool:
    """A pool that asks Cognito at most once in `REMEMBERED_SECONDS` about a user whom it refuses."""

    def __init__(self, pool: SignedInReader, refusals: Refusals) -> None:
        self._pool = pool
        self._refusals = refusals

    def admin_get(self, user: UserRef, *, deadline: Deadline) -> PoolUser:
        """See `whop_chat.cognito.pool.UserPool.admin_get`. Another user with the same user name is not refused."""
        status = self._refusals.get(user, deadline=deadline)
        if status is not None:
            raise not_active(status)
        try:
            return self._pool.admin_get(user, deadline=deadline)
        except NotActive as refusal:
            # The answer is certain. That it could not be stored changes nothing about it.
            with contextlib.suppress(AwsError, DeadlineExceeded):
                self._refusals.remember(user, refusal.status, deadline=deadline)
            raise


def _key(user: UserRef) -> dict[str, Any]:
    return {"pk": {"S": f"REFUSED#{user.pool_id}#{user.sub}"}}
