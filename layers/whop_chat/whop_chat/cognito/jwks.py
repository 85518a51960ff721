"""The public keys of a user pool: read strictly, kept for a while, fetched by one thread at a time.

The rules of the cache, for whoever has to reason about it:

- A key younger than `MAX_AGE_SECONDS` is answered without a lock and without a fetch, whatever else is going on.
- After that the set is fetched anew: a key that Cognito withdrew is refused from then on.
- If the fetch fails, keys are used for at most `MAX_STALE_SECONDS` longer. Attempts back off, from
  `FIRST_BACKOFF_SECONDS` doubling to `COOLDOWN_SECONDS`; between attempts a failure costs nothing.
- A key id that a fresh set does not hold may be a new key: it causes a fetch, but the whole set at most one in
  `COOLDOWN_SECONDS`, however many ids an attacker makes up.
- Threads that need the same fetch share it, each waiting no longer than its own deadline.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.encoding import Malformed, read_base64url, read_json
from whop_chat.runtime.errors import Retryable, TransportError
from whop_chat.runtime.http import HttpClient, Request

MAX_DOCUMENT_BYTES = 64 * 1024
FETCH_SECONDS = 2.0
MAX_AGE_SECONDS = 3600.0
MAX_STALE_SECONDS = 3600.0
COOLDOWN_SECONDS = 30.0
FIRST_BACKOFF_SECONDS = 1.0

MIN_MODULUS_BITS = 2048  # RFC 7518 section 3.3
MAX_MODULUS_BITS = 4096  # beyond this a verification costs more than a caller is worth

_NO_TIME = "no time left to fetch"


class KeySetError(Exception):
    """The document could not be had, or is not a key set. The message is ours and fit for a log."""


class UnknownKey(Exception):
    """A key set that is up to date does not hold this key id."""


class KeySetUnavailable(Retryable):
    """Whether the key is good cannot be told now. ``retry_after`` is in seconds, ``detail`` is for the log."""

    def __init__(self, *, retry_after: int, detail: str) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.detail = detail


def read_key_set(document: bytes) -> Mapping[str, RSAPublicKey]:
    """The keys of a JWK set (RFC 7517) that may sign a Cognito token, by key id.

    Keys of other kinds and purposes are passed over, as RFC 7517 section 5 asks. Raises `KeySetError` if nothing is
    left, if two keys share an id, or if the document is not a JWK set.
    """
    if len(document) > MAX_DOCUMENT_BYTES:
        raise KeySetError("larger than 64 KiB")
    try:
        content = read_json(document)
    except Malformed:
        raise KeySetError("not strict JSON") from None
    entries = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise KeySetError("not a key set")
    keys: dict[str, RSAPublicKey] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not _is_for_signatures(entry):
            continue
        public_key = _public_key(entry)
        if public_key is None:
            continue
        kid = entry["kid"]
        if kid in keys:
            raise KeySetError("two keys with one id")
        keys[kid] = public_key
    if not keys:
        raise KeySetError("no usable key")
    return MappingProxyType(keys)


def _is_for_signatures(entry: Mapping[str, object]) -> bool:
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("kty") == "RSA"
        and entry.get("use") == "sig"
        and entry.get("alg", "RS256") == "RS256"
        and isinstance(operations, list)
        and "verify" in operations
        and isinstance(entry.get("kid"), str)
        and entry["kid"] != ""
    )


def _public_key(entry: Mapping[str, object]) -> RSAPublicKey | None:
    modulus, exponent = _integer(entry.get("n")), _integer(entry.get("e"))
    if not MIN_MODULUS_BITS <= modulus.bit_length() <= MAX_MODULUS_BITS:
        return None
    if not 3 <= exponent < modulus or not exponent & modulus & 1:
        return None
    return RSAPublicNumbers(exponent, modulus).public_key()


def _integer(value: object) -> int:
    """A Base64urlUInt (RFC 7518 section 2), or 0, which no rule lets pass."""
    if not isinstance(value, str):
        return 0
    try:
        return int.from_bytes(read_base64url(value))
    except Malformed:
        return 0


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What one fetch brought. Never changed, so that readers need no lock."""

    keys: Mapping[str, RSAPublicKey]
    asked_at: float


class KeySet:
    """The current keys of one pool, for any number of threads.

    ``fetch`` brings the document within the deadline it is given, or raises; how it fails does not matter.
    ``clock`` is monotonic, in seconds. Nothing is fetched before the first key is asked for.
    """

    def __init__(self, fetch: Callable[[Deadline], bytes], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._snapshot = _Snapshot({}, -math.inf)
        # The lock guards what follows, for moments only: no fetch happens under it.
        self._landed = threading.Condition()
        self._in_flight = False
        self._last_ended = -math.inf
        self._backoff = 0.0
        self._detail = _NO_TIME

    def key(self, kid: str, *, deadline: Deadline) -> RSAPublicKey:
        """The public key with this id. Raises `UnknownKey` and `KeySetUnavailable`."""
        snapshot, now = self._snapshot, self._clock()
        if kid in snapshot.keys and now - snapshot.asked_at < MAX_AGE_SECONDS:
            return snapshot.keys[kid]
        up_to_date = self._refresh(deadline)
        return self._look_up(kid, up_to_date=up_to_date)

    def prefetch(self, *, deadline: Deadline) -> None:
        """Fetch before the first key is asked for. A failure is not told: whoever asks for a key meets it."""
        self._refresh(deadline)

    def _refresh(self, deadline: Deadline) -> bool:
        """Fetch if it is time to, or wait for the thread that does. False if the deadline came first."""
        with self._landed:
            if self._in_flight:
                return self._landed.wait_for(lambda: not self._in_flight, deadline.remaining())
            if self._clock() < self._next_fetch():
                return True
            if not deadline.remaining():
                return False
            self._in_flight = True
        self._fly(deadline)
        return True

    def _fly(self, deadline: Deadline) -> None:
        """Make the one fetch, and whatever becomes of it, let the others go on."""
        snapshot, detail, asked_at = None, "interrupted", self._clock()
        try:
            document = self._fetch(deadline.at_most(FETCH_SECONDS))
            snapshot = _Snapshot(read_key_set(document), asked_at)
        except KeySetError as error:
            detail = str(error)
        except Exception as error:
            # A fetch may fail in any way, and each means the same: there are no keys.
            detail = type(error).__name__
        finally:
            with self._landed:
                self._in_flight = False
                self._last_ended = self._clock()
                if snapshot is None:
                    self._backoff = min(COOLDOWN_SECONDS, max(FIRST_BACKOFF_SECONDS, 2 * self._backoff))
                    self._detail = detail
                else:
                    self._backoff, self._detail = 0.0, _NO_TIME
                    self._snapshot = snapshot
                self._landed.notify_all()

    def _look_up(self, kid: str, *, up_to_date: bool) -> RSAPublicKey:
        with self._landed:
            age = self._clock() - self._snapshot.asked_at
            if kid in self._snapshot.keys and age < MAX_AGE_SECONDS + MAX_STALE_SECONDS:
                return self._snapshot.keys[kid]
            # Only a key server that answers can say that there is no such key; without its word it may be a new one.
            if up_to_date and not self._backoff:
                raise UnknownKey
            wait = max(1.0, self._next_fetch() - self._clock())
            raise KeySetUnavailable(retry_after=math.ceil(wait), detail=self._detail)

    def _next_fetch(self) -> float:
        """The time before which no fetch is started."""
        fresh = self._clock() - self._snapshot.asked_at < MAX_AGE_SECONDS
        return self._last_ended + (COOLDOWN_SECONDS if fresh else self._backoff)


def http_fetch(client: HttpClient, url: str) -> Callable[[Deadline], bytes]:
    """A fetch for `KeySet` over HTTP: status 200 only, no redirects, at most 64 KiB, done by the deadline."""

    def fetch(deadline: Deadline) -> bytes:
        request = Request("GET", url, headers={"Accept": "application/json"})
        try:
            response = client.send(request, deadline=deadline, max_bytes=MAX_DOCUMENT_BYTES)
        except TransportError as error:
            raise KeySetError(error.reason) from error
        if response.status_code != 200:
            raise KeySetError(f"status {response.status_code}")
        return response.content

    return fetch
