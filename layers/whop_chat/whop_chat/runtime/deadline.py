"""One total deadline for a piece of work, handed down to every call it makes."""

import time
from collections.abc import Callable

from whop_chat.runtime.errors import Retryable


class DeadlineExceeded(Retryable):
    """The time for this request is used up."""


class Deadline:
    """A point in time after which no more work is started.

    ``seconds`` is the whole budget, counted from construction on a monotonic ``clock``.
    """

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._end - self._clock())

    def at_most(self, seconds: float) -> "Deadline":
        """A deadline for a part of the work: after ``seconds``, or at this one if that is earlier."""
        return Deadline(min(seconds, self.remaining()), clock=self._clock)

    def require(self) -> float:
        """Seconds left, more than none; raises `DeadlineExceeded` otherwise."""
        left = self.remaining()
        if not left:
            raise DeadlineExceeded
        return left
