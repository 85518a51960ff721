"""One total deadline for a request, which every call that it makes gets."""

import threading
import time
from collections.abc import Callable

from whop_chat.runtime.errors import Retryable


class DeadlineExceeded(Retryable):
    """The time for this request is used up."""


class Deadline:
    """A point in time after which no more work is started.

    ``seconds`` counts from the construction, on a monotonic ``clock``.
    """

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._end - self._clock())

    def at_most(self, seconds: float) -> "Deadline":
        """A deadline for a part of the work: in ``seconds``, or this one if it is earlier."""
        return Deadline(min(seconds, self.remaining()), clock=self._clock)

    def require(self) -> float:
        """The seconds left. Raises `DeadlineExceeded` if there are none."""
        left = self.remaining()
        if not left:
            raise DeadlineExceeded
        return left


def run_within[T](seconds: float, work: Callable[[], T]) -> T:
    """What ``work`` returns or raises within ``seconds``. Raises `DeadlineExceeded` if it takes longer.

    For work that nothing else can interrupt. It runs in a thread of its own, which is abandoned if it is late.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise DeadlineExceeded
    return results[0]
