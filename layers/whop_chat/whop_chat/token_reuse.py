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
from dataclasses import dataclass, field
from datetime import UTC, datetime

from whop_chat.aws import AwsError
from whop_chat.data_key import UnusableDataKey
from whop_chat.deadline import Deadline, DeadlineExceeded
from whop_chat.identity import UserRef
from whop_chat.kept_tokens import Found, KeptToken, KeptTokens, Purpose
from whop_chat.observability import Observer

# As after a mint: four fifths of a token's life.
_REFRESH_AFTER = 0.8
# A token that ends sooner helps nobody: it has to get to the client and be used.
MARGIN_SECONDS = 60
# Whoever got a token because Whop failed comes back after this at the earliest, and up to as much later by chance.
_AGAIN_SECONDS = 60
_READ_SECONDS = 0.3
_KEEP_SECONDS = 0.2
_FAILURES = (AwsError, DeadlineExceeded, UnusableDataKey)


@dataclass(frozen=True, slots=True)
class Reused:
    """A token from before; all times are UTC."""

    token: str = field(repr=False)
    expires_at: datetime
    refresh_after: datetime


class TokenReuse:
    """Keeps tokens, and answers with them if Whop fails; ``always`` also while half of their life is left."""

    def __init__(
        self,
        kept: KeptTokens,
        observer: Observer,
        *,
        always: bool,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._kept = kept
        self._always = always
        self._observer = observer
        self._clock = clock
        self._jitter = jitter

    @contextmanager
    def looking(self, user: UserRef, scopes: tuple[str, ...], *, deadline: Deadline) -> Iterator["LastToken"]:
        """Look for the user's last token meanwhile; at the end of the block nothing is under way any more."""
        lookup = _Lookup(self._kept, Purpose(user, scopes), deadline.at_most(_READ_SECONDS))
        try:
            yield LastToken(self, lookup)
        finally:
            lookup.wait()

    def young(self, token: KeptToken | None) -> Reused | None:
        """``token``, if it will do without asking Whop."""
        if not self._always or token is None or self._is_old(token):
            return None
        return _reused(token, _own_refresh(token))

    def instead(self, token: KeptToken | None, wait: int) -> Reused | None:
        """``token``, if it will do while Whop fails, which is not to be called for ``wait`` seconds.

        Whoever gets it refreshes it when it would be refreshed in any case; if that is past, in one to two minutes and
        not within the wait, but before half of what is left is over.
        """
        now = self._clock()
        if token is None or token.expires_at - now < MARGIN_SECONDS:
            return None
        soon = max(_AGAIN_SECONDS, wait) + self._jitter() * _AGAIN_SECONDS
        return _reused(token, max(_own_refresh(token), now + min(soon, (token.expires_at - now) / 2)))

    def replace(self, found: Found, whop_user_id: str, token: KeptToken) -> None:
        """Keep ``token`` unless what was found is in the first half of its life; a failure costs its time only."""
        before = found.opened(whop_user_id)
        if before is not None and not self._is_old(before):
            return
        try:
            self._kept.keep(found.purpose, whop_user_id, token, deadline=Deadline(_KEEP_SECONDS))
        except _FAILURES as error:
            self._observer.failed("token not kept", error, metric="TokenNotKept")

    def not_found(self, error: Exception) -> None:
        """Say that nobody knows what is kept."""
        self._observer.failed("kept token not read", error, metric="KeptTokenNotRead")

    def _is_old(self, token: KeptToken) -> bool:
        left = token.expires_at - self._clock()
        return left < max(MARGIN_SECONDS, (token.expires_at - token.minted_at) / 2)


class LastToken:
    """The last token that a user was given for one purpose, as far as it is found in time."""

    def __init__(self, reuse: TokenReuse, lookup: "_Lookup") -> None:
        self._reuse = reuse
        self._lookup = lookup
        self._told = False

    def young(self, whop_user_id: str) -> Reused | None:
        """See `TokenReuse.young`."""
        return self._reuse.young(self._opened(whop_user_id))

    def instead(self, whop_user_id: str, *, wait: int) -> Reused | None:
        """See `TokenReuse.instead`."""
        return self._reuse.instead(self._opened(whop_user_id), wait)

    def replace(self, whop_user_id: str, token: str, minted_at: datetime, expires_at: datetime) -> None:
        """See `TokenReuse.replace`; as long as nobody knows what is kept, it stays."""
        found = self._found()
        if found is not None:
            kept = KeptToken(token, int(minted_at.timestamp()), int(expires_at.timestamp()))
            self._reuse.replace(found, whop_user_id, kept)

    def _opened(self, whop_user_id: str) -> KeptToken | None:
        found = self._found()
        return found.opened(whop_user_id) if found else None

    def _found(self) -> Found | None:
        self._lookup.wait()
        if self._lookup.error is not None and not self._told:
            self._told = True
            self._reuse.not_found(self._lookup.error)
        return self._lookup.found


class _Lookup:
    """One read in a thread of its own, over soon after its deadline at the latest."""

    def __init__(self, kept: KeptTokens, purpose: Purpose, deadline: Deadline) -> None:
        self.found: Found | None = None
        self.error: Exception | None = None
        self._kept, self._purpose, self._deadline = kept, purpose, deadline
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        self._thread.join(self._deadline.remaining() + _READ_SECONDS)

    def _look(self) -> None:
        try:
            self.found = self._kept.find(self._purpose, deadline=self._deadline)
        except Exception as error:
            self.error = error


def _own_refresh(token: KeptToken) -> float:
    return token.minted_at + (token.expires_at - token.minted_at) * _REFRESH_AFTER


def _reused(token: KeptToken, refresh_after: float) -> Reused:
    return Reused(
        token.token,
        expires_at=datetime.fromtimestamp(token.expires_at, UTC),
        refresh_after=datetime.fromtimestamp(int(refresh_after), UTC),
    )
