"""A quota of mints for each user, so that one broken client cannot use up the rate limit of all users at Whop."""

import math
import time
from collections.abc import Callable
from typing import Protocol

from whop_chat.cognito.user import UserRef
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import Retryable
from whop_chat.users.record import QuotaExceeded, Record
from whop_chat.users.repository import MINT_WINDOW_SECONDS

MAX_REMEMBERED = 1000


class TooManyRequests(Retryable):
    """The user has used up their mints of this minute. ``retry_after`` is the wait in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"again in {retry_after} s")
        self.retry_after = retry_after


class Counter(Protocol):
    """Where mints are counted: `whop_chat.users.repository.DynamoDBUserRepository`, or one in memory."""

    def count_mint(self, user: UserRef, *, limit: int, now: int, deadline: Deadline) -> Record | None:
        """See `whop_chat.users.repository.DynamoDBUserRepository.count_mint`."""


class UserQuota:
    """At most ``per_minute`` mints of each user. ``clock`` returns epoch seconds.

    A refused user is remembered until they may mint again, and refused without a call. At most `MAX_REMEMBERED` users
    are remembered. The quota does not identify or authorize a user.
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

    def count(self, user: UserRef, *, deadline: Deadline) -> Record | None:
        """Count this mint and return the user's record, in one call.

        Returns None, without counting, if there is no record. Call `require_not_refused` first.

        Raises `TooManyRequests`, `whop_chat.runtime.aws.AwsError` and
        `whop_chat.runtime.deadline.DeadlineExceeded`.
        """
        now = self._clock()
        try:
            return self._users.count_mint(user, limit=self._per_minute, now=int(now), deadline=deadline)
        except QuotaExceeded as exceeded:
            self._remember(user, exceeded.until)
            raise self._refusal(exceeded.until - now) from None

    def require_not_refused(self, user: UserRef) -> None:
        """Raise `TooManyRequests` if the user was refused here in this minute. It makes no call."""
        now = self._clock()
        until = self._refused_until.get(user, 0)
        # A time further ahead than a window is long comes from before the clock was set back. It does not count.
        if now < until <= now + MINT_WINDOW_SECONDS:
            raise self._refusal(until - now)
        self._refused_until.pop(user, None)

    def _refusal(self, seconds: float) -> TooManyRequests:
        return TooManyRequests(max(1, math.ceil(seconds)))

    def _remember(self, user: UserRef, until: int) -> None:
        """Remember a refused user. The one remembered longest makes room: their window ends first, or nearly."""
        if len(self._refused_until) >= MAX_REMEMBERED:
            del self._refused_until[next(iter(self._refused_until))]
        self._refused_until[user] = until
