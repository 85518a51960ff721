"""A circuit breaker (Nygard, "Release It!") for each of Whop's operations. All instances share its state.

Three calls in a row without an answer open the circuit. Then no instance calls the operation for some seconds. After
that, one instance makes a call: the probe. An answer closes the circuit, and a refusal is an answer too. If the probe
has no answer, the time doubles. After a 429, no instance calls the operation for as long as Whop says.
"""

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.metrics import WAITS_TOLD
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.whop.circuit_state import CircuitState, CircuitStates, Reason

# In a row. Each of them has been retried once already.
_FAILURES = 3
_FIRST_SECONDS = 5.0
# A probe has at least twice the first time. No call may take longer, so there is never a second probe meanwhile.
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
        """Why a call is not allowed now, or None.

        When an open circuit times out, exactly one caller, across all instances, gets None: the probe.
        """
        state = self._states.get(operation, deadline=deadline)
        if state is not None and state.reason is Reason.UNAVAILABLE and state.until <= self._clock():
            probing = self._tripped(state.trips + 1)
            if self._states.replace(operation, probing, expected=state, deadline=deadline):
                return None
            state = self._states.cached(operation)
        rejection = self._rejection(state)
        if rejection is not None:
            self._failures.pop(operation, None)
        return rejection

    def peek(self, operation: str, *, deadline: Deadline) -> Rejection | None:
        """As `check`, for a caller that makes no call now. It is never the probe."""
        return self._rejection(self._states.get(operation, deadline=deadline))

    def record_success(self, operation: str, *, deadline: Deadline) -> None:
        """Whop answered. This closes a circuit that was open because it had not."""
        self._failures.pop(operation, None)
        state = self._states.cached(operation)
        if state is None or state.reason is not Reason.UNAVAILABLE:
            return
        if self._states.replace(operation, None, expected=state, deadline=deadline):
            self._telemetry.event("circuit closed", operation=operation)

    def record_rate_limit(self, operation: str, seconds: float, *, deadline: Deadline) -> None:
        """Whop answered 429: nobody calls the operation for ``seconds``."""
        self.record_success(operation, deadline=deadline)
        self._states.extend(operation, CircuitState(self._in(seconds), Reason.LIMITED), deadline=deadline)
        self._telemetry.event("rate limited by Whop", operation=operation, seconds=seconds)
        self._telemetry.count(WAITS_TOLD)

    def record_failure(self, operation: str, *, deadline: Deadline) -> None:
        """A call and its retry had no answer."""
        self._failures[operation] += 1
        state = self._states.cached(operation)
        if self._failures[operation] < _FAILURES or (state is not None and self._is_effective(state)):
            return
        opened = self._tripped(1)
        if self._states.replace(operation, opened, expected=state, deadline=deadline):
            self._telemetry.event("circuit opened", operation=operation)

    def _rejection(self, state: CircuitState | None) -> Rejection | None:
        left = 0.0 if state is None else state.until - self._clock()
        return None if state is None or left <= 0 else Rejection(state.reason, left)

    def _is_effective(self, state: CircuitState) -> bool:
        """Whether the circuit is open already, or Whop's rate limit is not over."""
        return state.reason is Reason.UNAVAILABLE or state.until > self._clock()

    def _tripped(self, trips: int) -> CircuitState:
        seconds = min(_FIRST_SECONDS * 2 ** min(trips - 1, 10), _LONGEST_SECONDS)
        return CircuitState(self._in(seconds * (1 + self._jitter() / 4)), Reason.UNAVAILABLE, trips)

    def _in(self, seconds: float) -> float:
        """The epoch time in ``seconds``, in whole milliseconds, so that a written value equals the one read back."""
        return int((self._clock() + seconds) * 1000) / 1000
