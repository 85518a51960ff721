"""How often a vendor's operation is called, counted by all instances together, so that its limit is never met.

Time is cut into slots. Before each request a place in the current slot is taken, in one conditional write to the item
``RATE#<operation>#<slot>`` of the users table; a slot with no place left is over, and the caller is told when the
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
# From taking a place until the vendor counts the request: sync_user gives a user 8 s, mint_token 3 s, in all; the rest
# is for clocks that differ.
DELAY_SECONDS = 10
_SECONDS = 0.5
_KEPT_SECONDS = 3600


class Priority(Enum):
    """How much of each slot may be taken before a caller of this kind has to wait."""

    FOREGROUND = 1.0
    """Somebody waits for the answer."""
    BACKGROUND = 2 / 3
    """Nobody does: a third is left to those for whom somebody waits, and more if they were first."""


def permits_per_window(priority: Priority, *, calls: int = LIMIT_CALLS, window: int = LIMIT_SECONDS) -> int:
    """The places of one slot, such that a vendor who allows ``calls`` in any ``window`` seconds never sees more.

    What it counts within the window took its places within that and the `DELAY_SECONDS` before it. So long a time,
    wherever it begins, touches as many slots as it is long, and one more: 15 of 40 places each, for 600 calls in 60 s.
    """
    overlapping = -(-(window + DELAY_SECONDS) // WINDOW_SECONDS) + 1
    return int(calls // overlapping * priority.value)


class Windows(Protocol):
    """Where places are taken: `SharedWindows` or `LocalWindows`."""

    def acquire(self, operation: str, window: int, permits: int, *, deadline: Deadline) -> bool:
        """Take one of ``places`` in a slot of an operation; False if there is none left.

        Raises `AwsError` and `DeadlineExceeded`; a place may be taken then.
        """


class SharedWindows:
    """The slots in DynamoDB."""

    def __init__(self, aws: AwsClients, table: str, *, clock: Callable[[], float] = time.time) -> None:
        self._aws = aws
        self._table = table
        self._clock = clock

    def acquire(self, operation: str, window: int, permits: int, *, deadline: Deadline) -> bool:
        """See `Windows.acquire`. A repetition after a lost answer may take a second place, never none."""
        asked = {
            "TableName": self._table,
            "Key": {"pk": {"S": f"RATE#{operation}#{window}"}},
            "UpdateExpression": "ADD #permits :one SET #ttl = :ttl",
            "ConditionExpression": "attribute_not_exists(#permits) OR #permits < :limit",
            "ExpressionAttributeNames": {"#permits": "permits", "#ttl": "ttl"},
            "ExpressionAttributeValues": {
                ":one": {"N": "1"},
                ":limit": {"N": str(permits)},
                ":ttl": {"N": str(int(self._clock()) + _KEPT_SECONDS)},
            },
        }
        return update_if(self._aws.dynamodb, asked, deadline=deadline)


class LocalWindows:
    """The slots of one process; of the past only the last one is remembered."""

    def __init__(self) -> None:
        self._used: Counter[tuple[str, int]] = Counter()

    def acquire(self, operation: str, window: int, permits: int, *, deadline: Deadline | None = None) -> bool:
        """See `Windows.acquire`."""
        if (operation, window) not in self._used:
            self._used = Counter({place: used for place, used in self._used.items() if place[1] >= window - 1})
        if self._used[operation, window] >= permits:
            return False
        self._used[operation, window] += 1
        return True


class RateLimiter:
    """The calls that one kind of caller may make.

    When the table does not answer in half a second, calls are counted by this instance alone: then the limit is no hard
    bound any more, and the vendor's own refusal is what is left.
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
        """None if the call may be made, and then at once; else the seconds until the next slot."""
        now = self._clock()
        window = int(now // WINDOW_SECONDS)
        try:
            acquired = self._windows.acquire(operation, window, self._permits, deadline=deadline.at_most(_SECONDS))
        except (AwsError, DeadlineExceeded) as error:
            self._telemetry.warning("call not counted", error, metric="CallNotCounted")
            acquired = self._alone.acquire(operation, window, self._permits)
        if acquired:
            return None
        self._telemetry.event("OutOfPermits", "out of permits", operation=operation)
        return (window + 1) * WINDOW_SECONDS - now
