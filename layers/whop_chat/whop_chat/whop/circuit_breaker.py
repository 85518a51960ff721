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
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.whop.circuit_state import CircuitState, CircuitStates, Reason

# Each of them has been repeated once already.
_FAILURES = 3
_FIRST_SECONDS = 5.0
# The one who tries has twice the first: more than a call may take, so that there is never a second one.
_LONGEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why there is to be no call now, and for how many seconds more."""

    reason: Reason
    seconds: float


class CircuitBreaker:
    """The circuits of one vendor's operations, as one instance sees them. Nothing here fails."""

    def __init__(
        self,
        states: CircuitStates,
        telemetry: Telemetry,
        *,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._states = states
        self._telemetry = telemetry
        self._clock = clock
        self._jitter = jitter
        self._failures: Counter[str] = Counter()

    def prefetch(self) -> contextlib.AbstractContextManager[None]:
        """Read the state concurrently with the block, if it is not fresh."""
        return self._states.prefetch()

    def check(self, operation: str, *, deadline: Deadline) -> Rejection | None:
        """What forbids a call now. When an open circuit has had its time, nothing does for one caller of all."""
        state = self._states.get(operation, deadline=deadline)
        if state is not None and state.reason is Reason.UNAVAILABLE and state.until <= self._clock():
            trying = self._tripped(state.trips + 1)
            if self._states.replace(operation, trying, expected=state, deadline=deadline):
                return None
            state = self._states.cached(operation)
        left = 0.0 if state is None else state.until - self._clock()
        if state is None or left <= 0:
            return None
        self._failures.pop(operation, None)
        return Rejection(state.reason, left)

    def record_success(self, operation: str, *, deadline: Deadline) -> None:
        """There was an answer: whoever waits because there was none may go on."""
        self._failures.pop(operation, None)
        state = self._states.cached(operation)
        if state is None or state.reason is not Reason.UNAVAILABLE:
            return
        if self._states.replace(operation, None, expected=state, deadline=deadline):
            self._telemetry.event("CircuitClosed", "circuit closed", operation=operation)

    def record_rate_limit(self, operation: str, seconds: float, *, deadline: Deadline) -> None:
        """The answer was to wait so long."""
        self.record_success(operation, deadline=deadline)
        self._states.extend(operation, CircuitState(self._in(seconds), Reason.LIMITED), deadline=deadline)
        self._telemetry.event("WhopLimited", "rate limited by Whop", operation=operation, seconds=seconds)

    def record_failure(self, operation: str, *, deadline: Deadline) -> None:
        """A call, with its repetition, had no answer."""
        self._failures[operation] += 1
        state = self._states.cached(operation)
        if self._failures[operation] < _FAILURES or (state is not None and self._holds(state)):
            return
        opened = self._tripped(1)
        if self._states.replace(operation, opened, expected=state, deadline=deadline):
            self._telemetry.event("CircuitOpened", "circuit opened", operation=operation)

    def _holds(self, state: CircuitState) -> bool:
        """Whether ``state`` stays: the circuit is open already, or the vendor has told a time, which is not over."""
        return state.reason is Reason.UNAVAILABLE or state.until > self._clock()

    def _tripped(self, trips: int) -> CircuitState:
        seconds = min(_FIRST_SECONDS * 2 ** min(trips - 1, 10), _LONGEST_SECONDS)
        return CircuitState(self._in(seconds * (1 + self._jitter() / 4)), Reason.UNAVAILABLE, trips)

    def _in(self, seconds: float) -> float:
        """The moment in so many seconds, in whole milliseconds: what is written compares equal to what is read."""
        return int((self._clock() + seconds) * 1000) / 1000
