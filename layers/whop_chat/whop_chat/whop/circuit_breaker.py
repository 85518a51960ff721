"""When not to call: while a vendor has told an operation to wait, and while it does not answer.

A circuit breaker (Nygard, "Release It!") whose state all instances share. A few calls in a row without an answer open
the circuit of their operation: nobody calls it for some seconds. Then one of all tries. If there is an answer the
circuit is closed, if not the next one tries after twice the time. A refusal is an answer.
"""

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.telemetry import Observer
from whop_chat.whop.circuit_state import Wait, Waits, Why

# Each of them has been repeated once already.
_FAILURES = 3
_FIRST_SECONDS = 5.0
# The one who tries has twice the first: more than a call may take, so that there is never a second one.
_LONGEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why there is to be no call now, and for how many seconds more."""

    why: Why
    seconds: float


class Circuit:
    """The circuits of one vendor's operations, as one instance sees them. Nothing here fails."""

    def __init__(
        self,
        waits: Waits,
        observer: Observer,
        *,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._waits = waits
        self._observer = observer
        self._clock = clock
        self._jitter = jitter
        self._failures: Counter[str] = Counter()

    def prefetch(self) -> contextlib.AbstractContextManager[None]:
        """Read the state concurrently with the block, if it is not fresh."""
        return self._waits.read_meanwhile()

    def obstacle(self, operation: str, *, deadline: Deadline) -> Obstacle | None:
        """What forbids a call now. When an open circuit has had its time, nothing does for one caller of all."""
        wait = self._waits.of(operation, deadline=deadline)
        if wait is not None and wait.why is Why.UNAVAILABLE and wait.until <= self._clock():
            trying = self._opened(wait.openings + 1)
            if self._waits.replace(operation, trying, seen=wait, deadline=deadline):
                return None
            wait = self._waits.known(operation)
        left = 0.0 if wait is None else wait.until - self._clock()
        if wait is None or left <= 0:
            return None
        self._failures.pop(operation, None)
        return Obstacle(wait.why, left)

    def answered(self, operation: str, *, deadline: Deadline) -> None:
        """There was an answer: whoever waits because there was none may go on."""
        self._failures.pop(operation, None)
        wait = self._waits.known(operation)
        if wait is None or wait.why is not Why.UNAVAILABLE:
            return
        if self._waits.replace(operation, None, seen=wait, deadline=deadline):
            self._observer.counted("CircuitClosed", "circuit closed", operation=operation)

    def limited(self, operation: str, seconds: float, *, deadline: Deadline) -> None:
        """The answer was to wait so long."""
        self.answered(operation, deadline=deadline)
        self._waits.prolong(operation, Wait(self._in(seconds), Why.LIMITED), deadline=deadline)
        self._observer.counted("WhopLimited", "limited by Whop", operation=operation, seconds=seconds)

    def unanswered(self, operation: str, *, deadline: Deadline) -> None:
        """A call, with its repetition, had no answer."""
        self._failures[operation] += 1
        wait = self._waits.known(operation)
        if self._failures[operation] < _FAILURES or (wait is not None and self._holds(wait)):
            return
        opened = self._opened(1)
        if self._waits.replace(operation, opened, seen=wait, deadline=deadline):
            self._observer.counted("CircuitOpened", "circuit opened", operation=operation)

    def _holds(self, wait: Wait) -> bool:
        """Whether ``wait`` stays: the circuit is open already, or the vendor has told a time, which is not over."""
        return wait.why is Why.UNAVAILABLE or wait.until > self._clock()

    def _opened(self, openings: int) -> Wait:
        seconds = min(_FIRST_SECONDS * 2 ** min(openings - 1, 10), _LONGEST_SECONDS)
        return Wait(self._in(seconds * (1 + self._jitter() / 4)), Why.UNAVAILABLE, openings)

    def _in(self, seconds: float) -> float:
        """The moment in so many seconds, in whole milliseconds: what is written compares equal to what is read."""
        return int((self._clock() + seconds) * 1000) / 1000
