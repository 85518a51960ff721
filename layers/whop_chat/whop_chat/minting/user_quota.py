"""How often one user may ask for a token, so that one broken client does not use up what all have at Whop."""

import math
import time
from collections.abc import Callable
from typing import Protocol

from whop_chat.cognito.user import UserRef
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import Retryable
from whop_chat.users.record import MintsUsedUp, Record
from whop_chat.users.repository import MINT_WINDOW_SECONDS

MAX_REMEMBERED = 1000


class TooManyRequests(Retryable):
    """This user has had as many tokens as one may have in a minute; ``retry_after`` is the wait in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"again in {retry_after} s")
        self.retry_after = retry_after


class Counter(Protocol):
    """Where mints are counted: `whop_chat.users.repository.Users`, or a directory in memory."""

    def count_mint(self, user: UserRef, *, limit: int, now: int, deadline: Deadline) -> Record | None:
        """See `whop_chat.users.repository.Users.count_mint`."""


class MintLimit:
    """At most ``per_minute`` mints of one user.

    Whoever is refused here is remembered until they may again, and refused without a call; at most `MAX_REMEMBERED`
    are. The count says nothing about who the user is or what they may do.
    """

    def __init__(
        self,
        users: Counter,
        per_minute: int,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._users = users
        self._per_minute = per_minute
        self._clock = clock
        self._refused_until: dict[UserRef, int] = {}

    def counted(self, user: UserRef, *, deadline: Deadline) -> Record | None:
        """The user's record, read and counted in one; None for one who has none, whom nothing is counted for.

        For one whom `require_not_refused` lets pass. Raises `TooManyRequests`, `whop_chat.runtime.aws.AwsError` and
        `whop_chat.runtime.deadline.DeadlineExceeded`.
        """
        now = self._clock()
        try:
            return self._users.count_mint(user, limit=self._per_minute, now=int(now), deadline=deadline)
        except MintsUsedUp as used_up:
            self._remember(user, used_up.until)
            raise self._refusal(used_up.until - now) from None

    def require_not_refused(self, user: UserRef) -> None:
        """Raise `TooManyRequests` for one who has been refused here in this minute; costs no call."""
        now = self._clock()
        until = self._refused_until.get(user, 0)
        # Further away than a window is long, it was remembered by a clock that was put back since.
        if now < until <= now + MINT_WINDOW_SECONDS:
            raise self._refusal(until - now)
        self._refused_until.pop(user, None)

    def _refusal(self, seconds: float) -> TooManyRequests:
        return TooManyRequests(max(1, math.ceil(seconds)))

    def _remember(self, user: UserRef, until: int) -> None:
        """The one remembered longest makes room: their window is over first, or nearly."""
        if len(self._refused_until) >= MAX_REMEMBERED:
            del self._refused_until[next(iter(self._refused_until))]
        self._refused_until[user] = until
