"""The ceiling of calls per operation and credential, and the counts that show whether it was ever met."""

import math
from collections import deque
from dataclasses import dataclass

from local.whop_simulator import rules
from local.whop_simulator.rules import keeps

DEFAULT_CALLS = 600
DEFAULT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """At most ``calls`` in ``seconds``, per operation and credential."""

    calls: int = DEFAULT_CALLS
    seconds: float = DEFAULT_SECONDS

    def __post_init__(self) -> None:
        if self.calls < 1 or self.seconds <= 0:
            raise ValueError("calls and seconds are positive")


@dataclass(frozen=True, slots=True)
class Count:
    """Calls of one operation: all, those refused for the ceiling, and the most that came in one window."""

    calls: int = 0
    refused: int = 0
    peak: int = 0


class RateLimiter:
    """Sliding windows. Not thread-safe by itself."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._arrived: dict[tuple[str, str], deque[float]] = {}
        self._admitted: dict[tuple[str, str], deque[float]] = {}
        self._counts: dict[str, Count] = {}

    @keeps(rules.RATE_LIMIT, rules.RATE_WINDOW)
    def wait(self, operation: str, credential: str, now: float) -> int | None:
        """Count a call; None lets it pass, a number refuses it for that many seconds."""
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
        """What each operation saw so far."""
        return dict(self._counts)


def _forget(times: deque[float], now: float, seconds: float) -> None:
    while times and times[0] <= now - seconds:
        times.popleft()


def _note(times: deque[float], now: float, seconds: float) -> int:
    _forget(times, now, seconds)
    times.append(now)
    return len(times)
