"""A rate limiter that all instances share, so that the service never calls Whop more often than Whop allows.

Time is divided into fixed windows. Each request first acquires a permit of the current window, in one conditional write
to the item ``RATE#<operation>#<window>`` of the users table. If a window has no permit left, the caller learns when the
next one begins.
"""

import time
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from whop_chat.runtime.aws import AwsError, update_if
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.telemetry import Telemetry

# Whop, "Rate limits": for each operation and key.
LIMIT_CALLS = 600
LIMIT_SECONDS = 60
WINDOW_SECONDS = 5
# The longest time from a permit until Whop counts the request. sync_user gives a user 8 s in all, mint_token 3 s. The
# rest is for clocks that differ.
DELAY_SECONDS = 10
_SECONDS = 0.5
_TTL_SECONDS = 3600


class Priority(Enum):
    """The part of each window's permits that a caller of this kind may acquire."""

    FOREGROUND = 1.0
    """Somebody waits for the answer."""
    BACKGROUND = 2 / 3
    """Nobody waits. At least a third of the permits is left for `FOREGROUND`."""


def permits_per_window(priority: Priority, *, calls: int = LIMIT_CALLS, window: int = LIMIT_SECONDS) -> int:
    """The permits of one window, so that Whop never sees more than ``calls`` in any ``window`` seconds.

    A call reaches Whop at most `DELAY_SECONDS` after it got its permit. So the calls of any 60 s have permits of at
    most 70 s, which overlap 15 windows of 5 s. 600 / 15 = 40 permits a window.
    """
    overlapping = -(-(window + DELAY_SECONDS) // WINDOW_SECONDS) + 1
    return int(calls // overlapping * priority.value)


class Windows(Protocol):
    """Where permits are counted: `SharedWindows` or `LocalWindows`."""

    def acquire(self, operation: str, window: int, permits: int, *, deadline: Deadline) -> bool:
        """Acquire one of the ``permits`` of an operation's ``window``. False if there is none left.

        Raises `AwsError` and `DeadlineExceeded`. The permit may have been acquired then.
        """


class SharedWindows:
    """The windows in DynamoDB."""

    def __init__(self, aws: AwsClients, table: str, *, clock: Callable[[], float] = time.time) -> None:
        self._aws = aws
        self._table = table
        self._clock = clock

    def acquire(self, operation: str, window: int, permits: int, *, deadline: Deadline) -> bool:
        """See `Windows.acquire`. A retry after a lost answer may acquire a second permit."""
        asked = {
            "TableName": self._table,
            "Key": {"pk": {"S": f"RATE#{operation}#{window}"}},
            "UpdateExpression": "ADD #permits :one SET #ttl = :ttl",
            "ConditionExpression": "attribute_not_exists(#permits) OR #permits < :limit",
            "ExpressionAttributeNames": {"#permits": "permits", "#ttl": "ttl"},
            "ExpressionAttributeValues": {
                ":one": {"N": "1"},
                ":limit": {"N": str(permits)},
                ":ttl": {"N": str(int(self._clock()) + _TTL_SECONDS)},
            },
        }
        return update_if(self._aws.dynamodb, asked, deadline=deadline)


class LocalWindows:
    """The windows of one process. It keeps the current and the previous one."""

    def __init__(self) -> None:
        self._used: Counter[tuple[str, int]] = Counter()

    def acquire(self, operation: str, window: int, permits: int, *, deadline: Deadline | None = None) -> bool:
        """See `Windows.acquire`."""
        if (operation, window) not in self._used:
            self._used = Counter({key: used for key, used in self._used.items() if key[1] >= window - 1})
        if self._used[operation, window] >= permits:
            return False
        self._used[operation, window] += 1
        return True


class RateLimiter:
    """Gives out permits to one kind of caller.

    If the table does not answer in half a second, this instance counts its own calls only. The limit is then no hard
    bound, and Whop's own 429 is what remains.
    """

    def __init__(
        self,
        windows: Windows,
        permits: int,
        telemetry: Telemetry,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._windows = windows
        self._permits = permits
        self._telemetry = telemetry
        self._clock = clock
        self._alone = LocalWindows()

    def acquire(self, operation: str, *, deadline: Deadline) -> float | None:
        """None if the call may be made, and then at once. Otherwise the seconds until the next window."""
        now = self._clock()
        window = int(now // WINDOW_SECONDS)
        try:
            acquired = self._windows.acquire(operation, window, self._permits, deadline=deadline.at_most(_SECONDS))
        except (AwsError, DeadlineExceeded) as error:
            self._telemetry.warning("call not counted", error)
            acquired = self._alone.acquire(operation, window, self._permits)
        if acquired:
            return None
        self._telemetry.event("out of permits", operation=operation)
        return (window + 1) * WINDOW_SECONDS - now
