"""The access token of a user's own Whop account, refreshed by one instance at a time.

Whop replaces the refresh token at each use, so two refreshes at once would end the link. The lease is on the link, for
the ten seconds of every lease here. A refresh has a deadline of its own below that: a client that gives up does not
interrupt it between Whop's answer and our write.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

from whop_chat.cognito.user import UserRef
from whop_chat.oauth.account import require_allowed
from whop_chat.oauth.errors import (
    InvalidGrant,
    LinkExpired,
    LinkRequired,
    RefreshInProgress,
    ScopesNotAllowed,
    StaleLink,
)
from whop_chat.oauth.links import LinkTokens, OwnLink, OwnLinks
from whop_chat.oauth.revocations import Revocations
from whop_chat.oauth.server import OAuthServer, TokenResponse
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.errors import Retryable
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.users.lease import LEASE_SECONDS
from whop_chat.users.record import Record, new_version
from whop_chat.whop.errors import WhopUnavailable

# A token with less time left is refreshed (Whop, "OAuth": the sample refreshes five minutes early).
REFRESH_SECONDS = 300
# A client has to receive a token and use it.
MARGIN_SECONDS = 30
_REFRESH_DEADLINE_SECONDS = 8.0
_WRITE_SECONDS = 1.5
_FIRST_ATTEMPT_SECONDS = 4.0
_WRITES = 3
_PATIENCE_SECONDS = 1.5
_POLL_SECONDS = 0.1
_RETRY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class OwnToken:
    """An access token of the user's own account. The app should ask again from ``refresh_after`` on."""

    token: str = field(repr=False)
    expires_at: datetime
    refresh_after: datetime
    scopes: tuple[str, ...]


class OwnTokens:
    """The tokens of linked users. ``clock`` returns epoch seconds."""

    def __init__(
        self,
        links: OwnLinks,
        revocations: Revocations,
        server: OAuthServer,
        telemetry: Telemetry,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._links = links
        self._revocations = revocations
        self._server = server
        self._telemetry = telemetry
        self._clock = clock
        self._sleep = sleep

    def current(
        self, user: UserRef, record: Record | None, allowed: Collection[str], *, deadline: Deadline
    ) -> OwnToken:
        """The user's token. ``record`` is theirs, just read; ``allowed`` are the scopes of this request.

        Raises `LinkRequired`, `LinkExpired`, `ScopesNotAllowed`, `RefreshInProgress`, and what `require_allowed`,
        `OwnLinks` and `OAuthServer` raise.
        """
        require_allowed(record)
        patience = Deadline(_PATIENCE_SECONDS)
        while True:
            link = self._usable(self._links.get(user, deadline=deadline), allowed)
            if self._remaining(link) >= REFRESH_SECONDS:
                return self._answer(user, link, deadline)
            if link.lease_until <= self._now():
                with contextlib.suppress(StaleLink):
                    return self._refresh(user, link, deadline)
            elif self._remaining(link) >= MARGIN_SECONDS:
                return self._answer(user, link, deadline)
            if min(patience.remaining(), deadline.remaining()) <= _POLL_SECONDS:
                raise RefreshInProgress
            self._sleep(_POLL_SECONDS)

    def _usable(self, link: OwnLink | None, allowed: Collection[str]) -> OwnLink:
        if link is None or link.status == "shrunk":
            raise LinkRequired
        if link.status == "expired" or link.client_id != self._links.client_id:
            raise LinkExpired
        if not set(link.scopes) <= set(allowed):
            raise ScopesNotAllowed
        return link

    def _refresh(self, user: UserRef, link: OwnLink, deadline: Deadline) -> OwnToken:
        """Take the lease and refresh. Raises `StaleLink` if another worker has written the link by now."""
        tokens = self._links.open(user, link, deadline=deadline)
        leased = dataclasses.replace(link, lease_until=self._now() + LEASE_SECONDS)
        own = Deadline(_REFRESH_DEADLINE_SECONDS)
        leased = self._links.put(user, leased, expected=link, deadline=deadline)
        try:
            granted = self._granted(tokens.refresh, own)
        except InvalidGrant as refusal:
            self._telemetry.warning("link expired", refusal)
            ended = dataclasses.replace(leased, status="expired", lease_until=0)
            self._links.put(user, ended, expected=leased, deadline=own)
            raise LinkExpired from None
        except Retryable as error:
            self._release(user, leased)
            if self._remaining(link) < MARGIN_SECONDS:
                raise
            self._telemetry.warning("not refreshed", error)
            return self._answer(user, link, own)
        return self._stored(user, leased, granted, own)

    def _granted(self, refresh_token: str, own: Deadline) -> TokenResponse:
        """Whop's answer. After an unknown outcome the same token is tried once more, and once only.

        Time is left to write the answer. Whop may have replaced the token in the attempt whose answer was lost: the
        second attempt then ends in `InvalidGrant`.
        """
        at_whop = Deadline(own.remaining() - _WRITE_SECONDS)
        try:
            return self._server.refresh(refresh_token, deadline=at_whop.at_most(_FIRST_ATTEMPT_SECONDS))
        except WhopUnavailable:
            return self._server.refresh(refresh_token, deadline=at_whop)

    def _stored(self, user: UserRef, leased: OwnLink, granted: TokenResponse, own: Deadline) -> OwnToken:
        """The new token, once it is written. If the link is gone or another by now, the new grant is revoked."""
        shrunk = granted.scopes is not None and not granted.scopes.issuperset(leased.scopes)
        tokens = LinkTokens(granted.access_token, granted.refresh_token)
        renewed = dataclasses.replace(
            leased,
            status="shrunk" if shrunk else "linked",
            expires_at=int(self._clock()) + granted.expires_in,
            sealed=self._links.seal(user, leased.whop_user_id, tokens, deadline=own),
            version=new_version(),
            lease_until=0,
        )
        try:
            self._write(user, renewed, leased, own)
        except StaleLink:
            self._revocations.revoke(user, granted.refresh_token, deadline=Deadline(_WRITE_SECONDS))
            raise
        if shrunk:
            raise LinkRequired
        self._telemetry.event("token of the user's own account refreshed")
        return self._answer(user, renewed, own)

    def _write(self, user: UserRef, renewed: OwnLink, leased: OwnLink, own: Deadline) -> None:
        """Write the new tokens, in several attempts of the same write: they exist nowhere else."""
        for left in reversed(range(_WRITES)):
            try:
                self._links.put(user, renewed, expected=leased, deadline=own)
            except AwsError:
                if not left:
                    raise
            else:
                return

    def _release(self, user: UserRef, leased: OwnLink) -> None:
        """End the lease early, so that the next caller need not wait for its end. A failure does no harm."""
        released = dataclasses.replace(leased, lease_until=0)
        with contextlib.suppress(StaleLink, AwsError, DeadlineExceeded):
            self._links.put(user, released, expected=leased, deadline=Deadline(_WRITE_SECONDS))

    def _answer(self, user: UserRef, link: OwnLink, deadline: Deadline) -> OwnToken:
        """The token of ``link``. It is refreshed when five minutes are left, or soon if that has passed."""
        token = self._links.open(user, link, deadline=deadline).access
        soon = self._now() + min(_RETRY_SECONDS, (link.expires_at - self._now()) // 2)
        refresh_after = max(link.expires_at - REFRESH_SECONDS + 1, soon)
        return OwnToken(token, _utc(link.expires_at), _utc(min(refresh_after, link.expires_at)), link.scopes)

    def _remaining(self, link: OwnLink) -> int:
        return link.expires_at - self._now()

    def _now(self) -> int:
        return int(self._clock())


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
