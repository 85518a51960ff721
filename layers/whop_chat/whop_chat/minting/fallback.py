"""When a user is answered with the token they were given last, in place of a new one (TokenReuse).

The token is looked for beside the count of the mint, so it is in hand when Whop fails and costs no time when it does
not. Whoever asks has been verified, and their record read, in this very request: a token is answered only to a linked
user, and only if it was minted for the Whop user who is theirs now.
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

# A token that ends sooner helps nobody: it has to get to the client and be used.
MARGIN_SECONDS = 60
# Whoever got a token because Whop failed comes back after this at the earliest, and up to as much later by chance.
_AGAIN_SECONDS = 60
_READ_SECONDS = 0.3
_KEEP_SECONDS = 0.2
_FAILURES = (AwsError, DeadlineExceeded, UnusableDataKey)


@dataclass(frozen=True, slots=True)
class TokenFallback:
    """Where tokens are kept and when they are answered: if Whop fails, ``always`` also in the first half of a life."""

    cache: TokenCache
    telemetry: Telemetry
    _: KW_ONLY
    always: bool
    ttl: timedelta
    """The longest life by the settings of now; a token that has more of it left is from other settings, and is none."""
    clock: Callable[[], float] = time.time
    jitter: Callable[[], float] = random.random

    @contextmanager
    def lookup(self, user: UserRef, scopes: tuple[str, ...], *, deadline: Deadline) -> Iterator["TokenLookup"]:
        """Look for the user's last token meanwhile; at the end of the block nothing is under way any more."""
        last = TokenLookup(self, CacheKey(user, scopes), deadline.at_most(_READ_SECONDS))
        try:
            yield last
        finally:
            last.wait()


class TokenLookup:
    """The last token that a user was given for one purpose, as far as it is found in time, by a thread of its own."""

    def __init__(self, fallback: TokenFallback, cache_key: CacheKey, deadline: Deadline) -> None:
        self._reuse, self._purpose, self._deadline = fallback, cache_key, deadline
        self._found: CacheEntry | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._load, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until the look is over, which is soon after its deadline at the latest."""
        self._thread.join(self._deadline.remaining() + _READ_SECONDS)

    def fresh(self, whop_user_id: str) -> ChatToken | None:
        """The token, if it will do without asking Whop."""
        token = self._decrypted(whop_user_id)
        if token is None or not self._reuse.always or self._is_old(token):
            return None
        return self._reused(token, usual_refresh(token.minted_at, token.expires_at), "fresh")

    def fallback(self, whop_user_id: str, *, wait: int, reason: str) -> ChatToken | None:
        """The token, if it will do while Whop fails, which is not to be called for ``wait`` seconds.

        Whoever gets it refreshes it when it would be refreshed in any case; if that is past, in one to two minutes and
        not within the wait, but before half of what is left is over.
        """
        token = self._decrypted(whop_user_id)
        if token is None or self._left(token) < timedelta(seconds=MARGIN_SECONDS):
            return None
        soon = timedelta(seconds=max(_AGAIN_SECONDS, wait) + self._reuse.jitter() * _AGAIN_SECONDS)
        refresh_after = self._now() + min(soon, self._left(token) / 2)
        return self._reused(token, max(usual_refresh(token.minted_at, token.expires_at), refresh_after), reason)

    def replace(self, whop_user_id: str, new: ChatToken, minted_at: datetime) -> None:
        """Keep ``new`` unless what was found is in the first half of its life; a failure costs its time only.

        As long as nobody knows what is kept, it stays.
        """
        if self._looked_up() is None:
            return
        before = self._decrypted(whop_user_id)
        if before is not None and not self._is_old(before):
            return
        token = CachedToken(new.token, minted_at, new.expires_at)
        try:
            self._reuse.cache.store(self._purpose, whop_user_id, token, deadline=Deadline(_KEEP_SECONDS))
        except _FAILURES as error:
            self._reuse.telemetry.warning("token not cached", error, metric="TokenNotCached")

    def _load(self) -> None:
        try:
            self._found = self._reuse.cache.load(self._purpose, deadline=self._deadline)
        except Exception as error:
            self._error = error

    def _looked_up(self) -> CacheEntry | None:
        """What was found; that it could not be read is told once."""
        self.wait()
        error, self._error = self._error, None
        if error is not None:
            self._reuse.telemetry.warning("cached token not read", error, metric="TokenCacheNotRead")
        return self._found

    def _decrypted(self, whop_user_id: str) -> CachedToken | None:
        found = self._looked_up()
        token = found.decrypt(whop_user_id) if found else None
        return token if token and self._left(token) <= self._reuse.ttl else None

    def _is_old(self, token: CachedToken) -> bool:
        return self._left(token) < max(timedelta(seconds=MARGIN_SECONDS), (token.expires_at - token.minted_at) / 2)

    def _left(self, token: CachedToken) -> timedelta:
        return token.expires_at - self._now()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._reuse.clock(), UTC)

    def _reused(self, token: CachedToken, refresh_after: datetime, reason: str) -> ChatToken:
        return ChatToken(token.token, token.expires_at, refresh_after, self._purpose.scopes, reused=reason)
