"""A circuit breaker (Nygard, "Release It!") for each of Whop's operations. All instances share its state.

A few calls in a row without an answer open the circuit: for some seconds, nobody calls the operation. Then one instance
of all tries. An answer closes the circuit, and a refusal is an answer too. Without one, the next try is after twice the
time. A 429 also holds back an operation, for as long as Whop says.
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

# In a row. Each of them has been retried once already.
_FAILURES = 3
_FIRST_SECONDS = 5.0
# The one try has twice the first time. That is more than a call may take, so there is never a second try meanwhile.
_LONGEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why the operation is not to be called now, and for how many more seconds."""

    reason: Reason
    seconds: float


class CircuitBreaker:
    """The circuits of Whop's operations, as one instance sees them. No method raises."""

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
        """Why not to call now, or None. When an open circuit's time is over, one caller of all gets None and tries."""
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
        """Whop answered. This closes a circuit that was open because it had not."""
        self._failures.pop(operation, None)
        state = self._states.cached(operation)
        if state is None or state.reason is not Reason.UNAVAILABLE:
            return
        if self._states.replace(operation, None, expected=state, deadline=deadline):
            self._telemetry.event("CircuitClosed", "circuit closed", operation=operation)

    def record_rate_limit(self, operation: str, seconds: float, *, deadline: Deadline) -> None:
        """Whop answered 429: nobody calls the operation for ``seconds``."""
        self.record_success(operation, deadline=deadline)
        self._states.extend(operation, CircuitState(self._in(seconds), Reason.LIMITED), deadline=deadline)
        self._telemetry.event("WhopLimited", "rate limited by Whop", operation=operation, seconds=seconds)

    def record_failure(self, operation: str, *, deadline: Deadline) -> None:
        """A call and its retry had no answer."""
        self._failures[operation] += 1
        state = self._states.cached(operation)
        if self._failures[operation] < _FAILURES or (state is not None and self._holds(state)):
            return
        opened = self._tripped(1)
        if self._states.replace(operation, opened, expected=state, deadline=deadline):
            self._telemetry.event("CircuitOpened", "circuit opened", operation=operation)

    def _holds(self, state: CircuitState) -> bool:
        """Whether ``state`` stays: the circuit is open already, or Whop named a time that is not over."""
        return state.reason is Reason.UNAVAILABLE or state.until > self._clock()

    def _tripped(self, trips: int) -> CircuitState:
        seconds = min(_FIRST_SECONDS * 2 ** min(trips - 1, 10), _LONGEST_SECONDS)
        return CircuitState(self._in(seconds * (1 + self._jitter() / 4)), Reason.UNAVAILABLE, trips)

    def _in(self, seconds: float) -> float:
        """The epoch time in ``seconds``, in whole milliseconds, so that a written value equals the one read back."""
        return int((self._clock() + seconds) * 1000) / 1000
