"""The JWKS of a user pool: its public keys, parsed strictly, cached, and fetched by one thread at a time.

The rules of the cache:

- `JwkSet` returns a key younger than `MAX_AGE_SECONDS` without a lock and without a fetch.
- After that, it fetches the JWKS again. From then on it refuses a key that Cognito withdrew.
- If the fetch fails, it uses the keys for at most `MAX_STALE_SECONDS` longer. Attempts back off: the pause doubles from
  `FIRST_BACKOFF_SECONDS` to `COOLDOWN_SECONDS`. Between attempts, a caller does not wait.
- A caller whose key is still usable waits for at most `REFRESH_SECONDS`, any other for at most `FETCH_SECONDS`.
- An unknown key id may be a new key, so it causes a fetch. All unknown ids together cause at most one fetch in
  `COOLDOWN_SECONDS`, however many of them an attacker invents.
- An id is refused only after a fetch that began after the id was first seen. Until then nobody knows whether the key
  exists. At most `MAX_REMEMBERED_KIDS` ids are remembered.
- Threads that need the same fetch share it. Each waits until its own deadline at most.
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
REFRESH_SECONDS = 0.5
MAX_AGE_SECONDS = 3600.0
MAX_STALE_SECONDS = 3600.0
COOLDOWN_SECONDS = 30.0
FIRST_BACKOFF_SECONDS = 1.0
MAX_REMEMBERED_KIDS = 256

MIN_MODULUS_BITS = 2048  # RFC 7518 section 3.3
MAX_MODULUS_BITS = 4096  # a verification with a larger key takes too much time

_NO_TIME = "no time left to fetch"


class JwksError(Exception):
    """The fetch failed, or the document is not a JWKS. The message contains no input, so it may be logged."""


class UnknownKey(Exception):
    """There is no key with this id: a JWKS that was fetched after the id was first seen does not have it."""


class JwksUnavailable(Retryable):
    """The key cannot be looked up now. ``retry_after`` is in seconds, and ``detail`` is for the log."""

    def __init__(self, *, retry_after: int, detail: str) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.detail = detail


def read_jwk_set(document: bytes) -> Mapping[str, RSAPublicKey]:
    """The keys of a JWKS (RFC 7517) that may sign a Cognito token, by key id.

    Keys of other kinds and purposes are ignored, as RFC 7517 section 5 says. An id of two different keys is left out,
    because either could be meant. Raises `JwksError` if no key is left, or if the document is not a JWKS.
    """
    if len(document) > MAX_DOCUMENT_BYTES:
        raise JwksError("larger than 64 KiB")
    try:
        content = read_json(document)
    except Malformed:
        raise JwksError("not strict JSON") from None
    entries = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise JwksError("not a key set")
    keys: dict[str, RSAPublicKey] = {}
    ambiguous: set[str] = set()
    for entry in entries:
        if not isinstance(entry, dict) or not _is_for_signatures(entry):
            continue
        public_key = _public_key(entry)
        if public_key is None:
            continue
        if keys.setdefault(entry["kid"], public_key) != public_key:
            ambiguous.add(entry["kid"])
    for kid in ambiguous:
        del keys[kid]
    if not keys:
        raise JwksError("no usable key")
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
    """The number in a Base64urlUInt (RFC 7518 section 2). Anything else gives 0, which is no valid part of a key."""
    if not isinstance(value, str):
        return 0
    try:
        return int.from_bytes(read_base64url(value))
    except Malformed:
        return 0


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The result of one fetch. It is immutable, so readers need no lock."""

    keys: Mapping[str, RSAPublicKey]
    started_at: float


class JwkSet:
    """The current keys of one pool, for any number of threads.

    ``fetch`` returns the document within the given deadline. It may raise any exception. ``clock`` is monotonic, in
    seconds. The first call of `key` or `prefetch` fetches the JWKS.
    """

    def __init__(self, fetch: Callable[[Deadline], bytes], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._snapshot = _Snapshot({}, -math.inf)
        # When each id was first seen, by the clock: in a token while it was unknown, or in a JWKS that still had it.
        self._first_seen: dict[str, float] = {}
        # Its lock guards the attributes below. No thread fetches while it has the lock.
        self._landed = threading.Condition()
        self._in_flight = False
        self._last_ended = -math.inf
        self._backoff = 0.0
        self._detail = _NO_TIME

    def key(self, kid: str, *, deadline: Deadline) -> RSAPublicKey:
        """The public key with the id ``kid``. Raises `UnknownKey` and `JwksUnavailable`."""
        snapshot, now = self._snapshot, self._clock()
        age = now - snapshot.started_at
        if kid not in snapshot.keys:
            self._remember(kid, now)
        elif age < MAX_AGE_SECONDS:
            return snapshot.keys[kid]
        is_usable = kid in snapshot.keys and age < MAX_AGE_SECONDS + MAX_STALE_SECONDS
        self._refresh(deadline.at_most(REFRESH_SECONDS if is_usable else FETCH_SECONDS))
        return self._look_up(kid)

    def prefetch(self, *, deadline: Deadline) -> None:
        """Fetch the JWKS before the first call of `key`. A failure is not raised here: `key` raises it."""
        self._refresh(deadline.at_most(FETCH_SECONDS))

    def _remember(self, kid: str, seen_at: float) -> None:
        with self._landed:
            self._first_seen.setdefault(kid, seen_at)
            if len(self._first_seen) > MAX_REMEMBERED_KIDS:
                del self._first_seen[next(iter(self._first_seen))]

    def _refresh(self, deadline: Deadline) -> None:
        """Fetch if a fetch is due, or wait for the thread that fetches, until the deadline at most."""
        with self._landed:
            if self._in_flight:
                self._landed.wait_for(lambda: not self._in_flight, deadline.remaining())
                return
            if self._clock() < self._next_fetch() or not deadline.remaining():
                return
            self._in_flight = True
        self._fetch_once(deadline)

    def _fetch_once(self, deadline: Deadline) -> None:
        """Fetch, store the result or the failure, and wake the threads that wait, in every case."""
        snapshot, detail, started_at = None, "interrupted", self._clock()
        try:
            document = self._fetch(deadline)
            snapshot = _Snapshot(read_jwk_set(document), started_at)
        except JwksError as error:
            detail = str(error)
        except Exception as error:
            # Every failure of a fetch means the same: there are no new keys.
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
                    for kid in self._snapshot.keys.keys() - snapshot.keys.keys():
                        self._remember(kid, self._snapshot.started_at)
                    self._snapshot = snapshot
                self._landed.notify_all()

    def _look_up(self, kid: str) -> RSAPublicKey:
        with self._landed:
            snapshot, now = self._snapshot, self._clock()
            if kid not in snapshot.keys and snapshot.started_at >= self._first_seen.get(kid, math.inf):
                raise UnknownKey
            if kid in snapshot.keys and now - snapshot.started_at < MAX_AGE_SECONDS + MAX_STALE_SECONDS:
                return snapshot.keys[kid]
            wait = max(1.0, self._next_fetch() - now)
            raise JwksUnavailable(retry_after=math.ceil(wait), detail=self._detail)

    def _next_fetch(self) -> float:
        """The earliest time of the next fetch, on the monotonic clock."""
        fresh = self._clock() - self._snapshot.started_at < MAX_AGE_SECONDS
        return self._last_ended + (COOLDOWN_SECONDS if fresh else self._backoff)


def http_fetch(client: HttpClient, url: str) -> Callable[[Deadline], bytes]:
    """A ``fetch`` for `JwkSet` over HTTP. It accepts status 200 only, no redirect, and at most 64 KiB."""

    def fetch(deadline: Deadline) -> bytes:
        request = Request("GET", url, headers={"Accept": "application/json"})
        try:
            response = client.send(request, deadline=deadline, max_bytes=MAX_DOCUMENT_BYTES)
        except TransportError as error:
            raise JwksError(error.reason) from error
        if response.status_code != 200:
            raise JwksError(f"status {response.status_code}")
        return response.content

    return fetch
