"""Idempotency-Key: the answer to a key is stored for 24 hours, per caller."""

import hashlib
from dataclasses import dataclass, replace

from local.whop_simulator import rules
from local.whop_simulator.rules import implements
from local.whop_simulator.wire import ApiError, Request, Response, error_response

KEPT_SECONDS = 24 * 3600
MAX_BYTES = 255


@dataclass(slots=True)
class Reservation:
    """A key in use. Without a response, its request is in flight or its outcome is unknown."""

    caller: str
    key: str
    fingerprint: str
    since: float
    response: Response | None = None


class IdempotencyKeys:
    """The keys of all callers. Not thread-safe."""

    def __init__(self) -> None:
        self._reservations: dict[tuple[str, str], Reservation] = {}

    @implements(rules.IDEMPOTENT_REPLAY, rules.IDEMPOTENT_MISMATCH, rules.IDEMPOTENT_IN_FLIGHT)
    def reserve(self, caller: str, key: str, request: Request, now: float) -> Reservation | Response:
        """Reserve the key for this request, or return the answer that the key already has."""
        if len(key.encode()) > MAX_BYTES:
            raise ApiError(400, "Idempotency-Key must be at most 255 bytes.", code="parameter_invalid")
        fingerprint = _fingerprint(request)
        known = self._reservations.get((caller, key))
        if known is None or now >= known.since + KEPT_SECONDS:
            fresh = Reservation(caller, key, fingerprint, now)
            self._reservations[caller, key] = fresh
            return fresh
        if known.fingerprint != fingerprint:
            return error_response(
                400, "Idempotency-Key was used for a different request.", code="idempotency_key_mismatch"
            )
        if known.response is None:
            return error_response(409, "A request with this Idempotency-Key is in progress.")
        return replace(known.response, headers=(*known.response.headers, ("idempotent-replayed", "true")))

    def release(self, reservation: Reservation) -> None:
        """Forget the key, so that the next request with it runs."""
        place = (reservation.caller, reservation.key)
        if self._reservations.get(place) is reservation:
            del self._reservations[place]


def key_hash(key: str) -> str:
    """The hash by which the call log names a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _fingerprint(request: Request) -> str:
    parts = (request.method, request.path, repr(request.query), request.header("api-version-date") or "")
    return hashlib.sha256("\0".join(parts).encode() + b"\0" + request.body).hexdigest()
