"""Time that passes only when somebody waits, so that a run takes none and is the same each time.

Imported before the package, whose classes take their clocks when they are defined.
"""

import time

NOW = 1_800_000_000.0


class VirtualTime:
    """Stands in for the clocks and the sleep of `time`."""

    def __init__(self) -> None:
        self._passed = 0.0

    def time(self) -> float:
        """Epoch seconds."""
        return NOW + self._passed

    def monotonic(self) -> float:
        """Seconds, from anywhere."""
        return 1_000.0 + self._passed

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._passed += max(0.0, seconds)

    def begin_again(self) -> None:
        """Be where it all began: what is tried next finds the same time whatever went before."""
        self._passed = 0.0

    def install(self) -> None:
        """Be the time of every module that is imported from now on."""
        time.time, time.monotonic = self.time, self.monotonic
        time.sleep = self.sleep  # type: ignore[assignment]


TIME = VirtualTime()
