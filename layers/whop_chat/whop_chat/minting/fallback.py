"""When a user gets their cached token in place of a new one (the parameter ``TokenReuse``).

The cache is read concurrently with the count of the mint. So the token is there when Whop fails, and the read costs no
time when Whop works. The same request verifies the caller and reads their record. Only a linked user gets a cached
token, and only one that was minted for their present Whop user.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime, timedelta

from whop_chat.cognito.user import UserRef
from whop_chat.minting.chat_token import ChatToken, usual_refresh
from whop_chat.minting.token_cache import CachedToken, CacheEntry, CacheKey, TokenCache
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.sealed import UnusableDataKey
from whop_chat.runtime.telemetry import Telemetry

# A token that expires sooner is of no use: the client has to receive it and use it.
MARGIN_SECONDS = 60
# A client that got a cached token because Whop failed refreshes it after this, plus as much again as jitter.
_RETRY_SECONDS = 60
_READ_SECONDS = 0.3
_STORE_SECONDS = 0.2
_FAILURES = (AwsError, DeadlineExceeded, UnusableDataKey)


@dataclass(frozen=True, slots=True)
class TokenFallback:
    """Decides when a cached token is used: if Whop fails and, with ``always``, in the first half of its lifetime."""

    cache: TokenCache
    telemetry: Telemetry
    _: KW_ONLY
    always: bool
    ttl: timedelta
    """The longest lifetime by the present settings. A token that expires later is from other settings, so not used."""
    clock: Callable[[], float] = time.time
    jitter: Callable[[], float] = random.random

    @contextmanager
    def lookup(self, user: UserRef, scopes: tuple[str, ...], *, deadline: Deadline) -> Iterator["TokenLookup"]:
        """Read the user's cached token while the block runs. The read is over when the block ends."""
        lookup = TokenLookup(self, CacheKey(user, scopes), deadline.at_most(_READ_SECONDS))
        try:
            yield lookup
        finally:
            lookup.wait()


class TokenLookup:
    """One read of the token cache, in a thread of its own. A token that arrives too late counts as missing."""

    def __init__(self, fallback: TokenFallback, cache_key: CacheKey, deadline: Deadline) -> None:
        self._settings, self._cache_key, self._deadline = fallback, cache_key, deadline
        self._entry: CacheEntry | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._load, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the read is over, which is soon after its deadline at the latest."""
        self._thread.join(self._deadline.remaining() + _READ_SECONDS)

    def fresh(self, whop_user_id: str) -> ChatToken | None:
        """The cached token, if it may be used without a call to Whop."""
        if not self._settings.always:
            return None  # And without a wait for the read: Whop is called in any case.
        token = self._decrypted(whop_user_id)
        if token is None or self._is_old(token):
            return None
        return self._reused(token, usual_refresh(token.minted_at, token.expires_at), "fresh")

    def fallback(self, whop_user_id: str, *, wait: int, reason: str) -> ChatToken | None:
        """The cached token, if it may be used while Whop fails. Whop is not to be called for ``wait`` seconds.

        ``refresh_after`` is the usual time. If that has passed: in 60-120 s, but not before `wait` is over and not
        after half of the remaining lifetime.
        """
        token = self._decrypted(whop_user_id)
        if token is None or self._remaining(token) < timedelta(seconds=MARGIN_SECONDS):
            return None
        soon = timedelta(seconds=max(_RETRY_SECONDS, wait) + self._settings.jitter() * _RETRY_SECONDS)
        refresh_after = self._now() + min(soon, self._remaining(token) / 2)
        return self._reused(token, max(usual_refresh(token.minted_at, token.expires_at), refresh_after), reason)

    def replace(self, whop_user_id: str, new: ChatToken, minted_at: datetime) -> None:
        """Cache ``new``, unless the cached token is in the first half of its lifetime. A failure is only logged.

        If the cached token could not be read, it stays.
        """
        if self._read_entry() is None:
            return
        cached = self._decrypted(whop_user_id)
        if cached is not None and not self._is_old(cached):
            return
        token = CachedToken(new.token, minted_at, new.expires_at)
        try:
            self._settings.cache.store(self._cache_key, whop_user_id, token, deadline=Deadline(_STORE_SECONDS))
        except _FAILURES as error:
            self._settings.telemetry.warning("token not cached", error)

    def _load(self) -> None:
        try:
            self._entry = self._settings.cache.load(self._cache_key, deadline=self._deadline)
        except Exception as error:
            self._error = error

    def _read_entry(self) -> CacheEntry | None:
        """The cache entry, or None if it could not be read. A failure is logged once."""
        self.wait()
        error, self._error = self._error, None
        if error is not None:
            self._settings.telemetry.warning("cached token not read", error)
        return self._entry

    def _decrypted(self, whop_user_id: str) -> CachedToken | None:
        entry = self._read_entry()
        token = entry.decrypt(whop_user_id) if entry else None
        return token if token and self._remaining(token) <= self._settings.ttl else None

    def _is_old(self, token: CachedToken) -> bool:
        return self._remaining(token) < max(timedelta(seconds=MARGIN_SECONDS), (token.expires_at - token.minted_at) / 2)

    def _remaining(self, token: CachedToken) -> timedelta:
        return token.expires_at - self._now()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._settings.clock(), UTC)

    def _reused(self, token: CachedToken, refresh_after: datetime, reason: str) -> ChatToken:
        return ChatToken(token.token, token.expires_at, refresh_after, self._cache_key.scopes, reused=reason)
