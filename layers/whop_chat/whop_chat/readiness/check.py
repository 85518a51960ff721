"""The check behind ``GET /health/ready`` and the alarm of a stack that is not ready.

It makes the calls that a mint depends on, so an idle stack with a dead key is noticed before its users notice. The
results are fixed words, because anybody may read them.
"""

import time
from collections.abc import Callable

from whop_chat.cognito.jwks import JwksError, read_jwk_set
from whop_chat.readiness.store import OK, Readiness, ReadinessStore
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.metrics import NOT_READY
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.sync.backlog import Backlog
from whop_chat.whop.api_key import NotConfigured
from whop_chat.whop.client import Whop
from whop_chat.whop.errors import (
    NoTimeForAnotherKey,
    WhopError,
    WhopForbidden,
    WhopRateLimited,
    WhopUnauthorized,
    WhopUnavailable,
)

_SECONDS = 5.0
# No user has this external id, so the look-up finds nothing. It shows that Whop answers and accepts the key.
_EXTERNAL_ID = "readiness-check"
_LATE_SECONDS = 3600
_UNKNOWN = "unknown"


class ReadinessCheck:
    """Checks the parts that a mint needs. ``whop`` is None without an API key.

    ``fetch_keys`` gets the key set of the pool. ``clock`` returns epoch seconds.
    """

    def __init__(
        self,
        whop: Whop | None,
        fetch_keys: Callable[[Deadline], bytes],
        backlog: Backlog,
        store: ReadinessStore,
        telemetry: Telemetry,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._whop = whop
        self._fetch_keys = fetch_keys
        self._backlog = backlog
        self._store = store
        self._telemetry = telemetry
        self._clock = clock

    def run(self) -> Readiness:
        """Check each part once, store the result, and return it. Counts `NOT_READY` if a part failed."""
        checks = {**self._check_whop(), "key_set": self._check_key_set(), **self._check_table()}
        readiness = Readiness(int(self._clock()), checks)
        try:
            self._store.save(readiness, deadline=Deadline(_SECONDS))
        except (AwsError, DeadlineExceeded) as error:
            self._telemetry.warning("readiness not stored", error)
            readiness = Readiness(readiness.checked_at, {**checks, "table": "unavailable"})
        self._telemetry.event("readiness checked", ready=readiness.is_ready, checks=readiness.checks)
        if not readiness.is_ready:
            self._telemetry.count(NOT_READY)
        return readiness

    def _check_whop(self) -> dict[str, str]:
        """The API key, and whether Whop answers. Without an answer, nobody knows about the key."""
        if self._whop is None:
            return {}
        try:
            self._whop.find_accounts(_EXTERNAL_ID, deadline=Deadline(_SECONDS))
        except Exception as error:
            key, whop = _meaning(error)
            if (key, whop) != (OK, OK):
                self._telemetry.warning("Whop is not ready", error)
            return {"api_key": key, "whop": whop}
        return {"api_key": OK, "whop": OK}

    def _check_key_set(self) -> str:
        try:
            read_jwk_set(self._fetch_keys(Deadline(_SECONDS)))
        except (JwksError, DeadlineExceeded) as error:
            self._telemetry.warning("key set is not ready", error)
            return "unavailable"
        return OK

    def _check_table(self) -> dict[str, str]:
        """The users table, and how long the oldest message of the sync queue waits, which the table knows."""
        try:
            age = self._backlog.age(deadline=Deadline(_SECONDS))
        except (AwsError, DeadlineExceeded) as error:
            self._telemetry.warning("table is not ready", error)
            return {"table": "unavailable", "queue": _UNKNOWN}
        return {"table": OK, "queue": "late" if age >= _LATE_SECONDS else OK}


def _meaning(error: Exception) -> tuple[str, str]:
    """What an error says about the API key, and about Whop. Raises an error that nobody expects."""
    match error:
        case NotConfigured():
            return "not_configured", _UNKNOWN
        case WhopUnauthorized() | NoTimeForAnotherKey():
            return "refused", OK
        case WhopForbidden():
            return "forbidden", OK
        case WhopRateLimited():  # Whop answers, and the wait passes by itself.
            return OK, OK
        case WhopUnavailable():
            return _UNKNOWN, "unavailable"
        case WhopError():
            return OK, "unexpected_answer"
        case AwsError() | DeadlineExceeded():
            return "unreadable", _UNKNOWN
    raise error
