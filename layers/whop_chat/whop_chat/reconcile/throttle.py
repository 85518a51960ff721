"""The throttle of a run's ListUsers calls."""

import time
from collections.abc import Callable

# A sixth of the account's 30 calls a second for listing users (Cognito, "Quotas"). Other callers need the rest.
_SECONDS_PER_LISTING = 0.2


class ListingThrottle:
    """Spaces ListUsers calls by at least `_SECONDS_PER_LISTING`. ``clock`` returns seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep) -> None:
        self._clock = clock
        self._sleep = sleep
        self._listed_at = 0.0

    def run[T](self, listing: Callable[[], T]) -> T:
        """The result of ``listing``, called as soon as the time since the last call allows it."""
        wait = self._listed_at + _SECONDS_PER_LISTING - self._clock()
        if wait > 0:
            self._sleep(min(wait, _SECONDS_PER_LISTING))
        self._listed_at = self._clock()
        return listing()
