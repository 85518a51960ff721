"""How often a vendor's operation is called, counted by all instances together, so that its limit is never met.

Time is cut into slots. Before each request a place in the current slot is taken, in one conditional write to the item
``BUDGET#<operation>#<slot>`` of the users table; a slot with no place left is over, and the caller is told when the
next one begins.
"""

import time
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from whop_chat.runtime.aws import AwsClients, AwsError, update_if
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.telemetry import Observer

# Whop, "Rate limits": for each operation and key.
CALLS = 600
WINDOW_SECONDS = 60
SLOT_SECONDS = 5
# From taking a place until the vendor counts the request: sync_user gives a user 8 s, mint_token 3 s, in all; the rest
# is for clocks that differ.
DELAY_SECONDS = 10
_SECONDS = 0.5
_KEPT_SECONDS = 3600


class Share(Enum):
    """How much of each slot may be taken before a caller of this kind has to wait."""

    FOREGROUND = 1.0
    """Somebody waits for the answer."""
    BACKGROUND = 2 / 3
    """Nobody does: a third is left to those for whom somebody waits, and more if they were first."""


def ceiling(share: Share, *, calls: int = CALLS, window: int = WINDOW_SECONDS) -> int:
    """The places of one slot, such that a vendor who allows ``calls`` in any ``window`` seconds never sees more.

    What it counts within the window took its places within that and the `DELAY_SECONDS` before it. So long a time,
    wherever it begins, touches as many slots as it is long, and one more: 15 of 40 places each, for 600 calls in 60 s.
    """
    touched = -(-(window + DELAY_SECONDS) // SLOT_SECONDS) + 1
    return int(calls // touched * share.value)


class Slots(Protocol):
    """Where places are taken: `SharedSlots` or `LocalSlots`."""

    def take(self, operation: str, slot: int, places: int, *, deadline: Deadline) -> bool:
        """Take one of ``places`` in a slot of an operation; False if there is none left.

        Raises `AwsError` and `DeadlineExceeded`; a place may be taken then.
        """


class SharedSlots:
    """The slots in DynamoDB."""

    def __init__(self, aws: AwsClients, table: str, *, clock: Callable[[], float] = time.time) -> None:
        self._aws = aws
        self._table = table
        self._clock = clock

    def take(self, operation: str, slot: int, places: int, *, deadline: Deadline) -> bool:
        """See `Slots.take`. A repetition after a lost answer may take a second place, never none."""
        asked = {
            "TableName": self._table,
            "Key": {"pk": {"S": f"BUDGET#{operation}#{slot}"}},
            "UpdateExpression": "ADD #used :one SET #ttl = :ttl",
            "ConditionExpression": "attribute_not_exists(#used) OR #used < :places",
            "ExpressionAttributeNames": {"#used": "used", "#ttl": "ttl"},
            "ExpressionAttributeValues": {
                ":one": {"N": "1"},
                ":places": {"N": str(places)},
                ":ttl": {"N": str(int(self._clock()) + _KEPT_SECONDS)},
            },
        }
        return update_if(self._aws.dynamodb, asked, deadline=deadline)


class LocalSlots:
    """The slots of one process; of the past only the last one is remembered."""

    def __init__(self) -> None:
        self._used: Counter[tuple[str, int]] = Counter()

    def take(self, operation: str, slot: int, places: int, *, deadline: Deadline | None = None) -> bool:
        """See `Slots.take`."""
        if (operation, slot) not in self._used:
            self._used = Counter({place: used for place, used in self._used.items() if place[1] >= slot - 1})
        if self._used[operation, slot] >= places:
            return False
        self._used[operation, slot] += 1
        return True


class Budget:
    """The calls that one kind of caller may make.

    When the table does not answer in half a second, calls are counted by this instance alone: then the limit is no hard
    bound any more, and the vendor's own refusal is what is left.
    """

    def __init__(
        self,
        slots: Slots,
        places: int,
        observer: Observer,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._slots = slots
        self._places = places
        self._observer = observer
        self._clock = clock
        self._alone = LocalSlots()

    def take(self, operation: str, *, deadline: Deadline) -> float | None:
        """None if the call may be made, and then at once; else the seconds until the next slot."""
        now = self._clock()
        slot = int(now // SLOT_SECONDS)
        try:
            taken = self._slots.take(operation, slot, self._places, deadline=deadline.at_most(_SECONDS))
        except (AwsError, DeadlineExceeded) as error:
            self._observer.failed("call not counted", error, metric="CallNotCounted")
            taken = self._alone.take(operation, slot, self._places)
        if taken:
            return None
        self._observer.counted("BudgetUsedUp", "budget used up", operation=operation)
        return (slot + 1) * SLOT_SECONDS - now
