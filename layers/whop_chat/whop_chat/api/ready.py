"""``GET /health/ready``: the result of the last readiness check. It calls no service but the table."""

import time
from collections.abc import Callable
from typing import Any

from whop_chat.api.problems import Problem
from whop_chat.api.routes import answer
from whop_chat.readiness.store import Readiness, ReadinessStore
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.telemetry import Telemetry

_CACHE_SECONDS = 10
# The check runs every 15 minutes. An older result says that it does not run.
_MAX_AGE_SECONDS = 40 * 60


class ReadyRoute:
    """Answers the route from one read in ten seconds. ``clock`` returns epoch seconds."""

    def __init__(self, store: ReadinessStore, telemetry: Telemetry, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._telemetry = telemetry
        self._clock = clock
        self._cached: Readiness | None = None
        self._read_at = 0.0

    def answer(self, *, deadline: Deadline) -> dict[str, Any]:
        """200 if the last check found everything ready, else the problem ``not_ready``, both with the result's age."""
        try:
            last = self._last(deadline)
        except (AwsError, DeadlineExceeded) as error:
            self._telemetry.warning("readiness not read", error)
            return Problem("not_ready", detail="The last readiness check cannot be read.").response()
        if last is None:
            return Problem("not_ready", detail="The readiness of this service was not checked yet.").response()
        age = max(0, int(self._clock()) - last.checked_at)
        result = {"age": age, "checks": dict(last.checks)}
        if not last.is_ready:
            return Problem("not_ready", members=result).response()
        if age > _MAX_AGE_SECONDS:
            return Problem("not_ready", detail="The last readiness check is too old.", members=result).response()
        return answer({"status": "ready", **result})

    def _last(self, deadline: Deadline) -> Readiness | None:
        now = self._clock()
        if now - self._read_at >= _CACHE_SECONDS:
            self._cached = self._store.load(deadline=deadline)
            self._read_at = now
        return self._cached
