"""The rate limit per operation and credential, and how many calls each operation received."""

import math
from collections import deque
from dataclasses import dataclass

from local.whop_simulator import rules
from local.whop_simulator.rules import implements

DEFAULT_CALLS = 600
DEFAULT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The rate limit: at most ``calls`` in ``seconds``, per operation and credential."""

    calls: int = DEFAULT_CALLS
    seconds: float = DEFAULT_SECONDS

    def __post_init__(self) -> None:
        if self.calls < 1 or self.seconds <= 0:
            raise ValueError("calls and seconds are positive")


@dataclass(frozen=True, slots=True)
class Count:
    """Calls of one operation: all, those over the rate limit, and the most in one window of one credential."""

    calls: int = 0
    refused: int = 0
    peak: int = 0


class RateLimiter:
    """A rate limiter with sliding windows. Not thread-safe."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._arrived: dict[tuple[str, str], deque[float]] = {}
        self._admitted: dict[tuple[str, str], deque[float]] = {}
        self._counts: dict[str, Count] = {}

    @implements(rules.RATE_LIMIT, rules.RATE_WINDOW)
    def wait(self, operation: str, credential: str, now: float) -> int | None:
        """Count a call. Returns None if it may pass, or the seconds to wait."""
        peak = _note(self._arrived.setdefault((operation, credential), deque()), now, self.limits.seconds)
        admitted = self._admitted.setdefault((operation, credential), deque())
        _forget(admitted, now, self.limits.seconds)
        refused = len(admitted) >= self.limits.calls
        known = self._counts.get(operation, Count())
        self._counts[operation] = Count(known.calls + 1, known.refused + refused, max(known.peak, peak))
        if refused:
            return max(1, math.ceil(admitted[0] + self.limits.seconds - now))
        admitted.append(now)
        return None

    def counts(self) -> dict[str, Count]:
        """The counts of every operation so far."""
        return dict(self._counts)


def _forget(times: deque[float], now: float, seconds: float) -> None:
    while times and times[0] <= now - seconds:
        times.popleft()


def _note(times: deque[float], now: float, seconds: float) -> int:
    _forget(times, now, seconds)
    times.append(now)
    return len(times)
