"""The use case: a Cognito token in, a company-scoped Whop token for exactly that user out."""

import contextlib
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.enrol import Enrolment
from whop_chat.enrolment.errors import DeletedMeanwhile, Link
from whop_chat.minting.authorizer import Authorizer, Grant
from whop_chat.minting.chat_token import ChatToken, usual_refresh
from whop_chat.minting.user_quota import MintLimit
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.telemetry import Observer
from whop_chat.sync.queue import Source, SyncQueue
from whop_chat.whop.client import Whop
from whop_chat.whop.errors import (
    NoTimeForAnotherKey,
    WhopInvalidResponse,
    WhopNotFound,
    WhopRateLimited,
    WhopUnavailable,
)

if TYPE_CHECKING:
    from whop_chat.minting.fallback import LastToken, TokenReuse

# Whop gives three hours at most (Whop, "Create access token"), by a clock that may differ from ours.
_LONGEST_LIFE = timedelta(hours=3) - timedelta(seconds=10)
_LEASE_PATIENCE_SECONDS = 1.5
# On top of the caller's deadline, at the first token only; more would delay the token that they wait for.
_ENQUEUE_SECONDS = 0.3
_REPAIRS = 2  # the account is looked up again, and if that does not help, created again


@dataclass(slots=True)
class _Mint:
    """One mint under way; ``needs_sync`` says that a sync will have something to do."""

    user: UserRef
    scopes: tuple[str, ...]
    last: "LastToken | None"
    deadline: Deadline
    needs_sync: bool = False

    def use(self, link: Link) -> str:
        """The user's id at Whop; a link that was made just now needs a sync."""
        self.needs_sync = self.needs_sync or link.created
        return link.whop_user_id


class Minting:
    """Mints chat tokens for the users of one pool.

    ``fallback`` is None where no token is kept. ``ttl`` is the life to ask Whop for; ``clock`` tells epoch seconds.
    """

    def __init__(
        self,
        authorizer: Authorizer,
        quota: MintLimit,
        enrolment: Enrolment,
        whop: Whop,
        queue: SyncQueue,
        observer: Observer,
        fallback: "TokenReuse | None" = None,
        *,
        ttl: timedelta,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._authorizer = authorizer
        self._quota = quota
        self._enrolment = enrolment
        self._whop = whop
        self._queue = queue
        self._observer = observer
        self._fallback = fallback
        self._ttl = min(ttl, _LONGEST_LIFE)
        self._clock = clock

    def mint(self, cognito_token: str, features: Collection[str] | None, *, deadline: Deadline) -> ChatToken:
        """A token for the user of ``cognito_token``, narrowed to ``features`` unless None.

        Raises what `whop_chat.api.problems` knows: every failure of verification, policy, enrolment and Whop.
        """
        grant = self._authorizer.grant(cognito_token, features, deadline=deadline)
        self._observer.concerns(grant.user.sub)
        self._quota.require_not_refused(grant.user)
        with self._whop.prefetch(), self._last_token(grant, deadline) as last:
            mint = _Mint(grant.user, grant.scopes, last, deadline)
            try:
                return self._token(mint, self._linked(mint))
            except DeletedMeanwhile:
                mint.needs_sync = True
                raise
            finally:
                if mint.needs_sync:
                    self._enqueue_sync(mint.user)

    def _last_token(self, grant: Grant, deadline: Deadline) -> "contextlib.AbstractContextManager[LastToken | None]":
        """The user's last token, read concurrently with the record; None where no token is kept."""
        if self._fallback is None:
            return contextlib.nullcontext()
        return self._fallback.looking(grant.user, grant.scopes, deadline=deadline)

    def _linked(self, mint: _Mint) -> str:
        """The user's id at Whop. The read of their record counts the mint."""
        record = self._quota.counted(mint.user, deadline=mint.deadline)
        link = self._enrolment.enrol_patiently(
            mint.user, record, patience_seconds=_LEASE_PATIENCE_SECONDS, deadline=mint.deadline
        )
        return mint.use(link)

    def _token(self, mint: _Mint, whop_user_id: str) -> ChatToken:
        """The last token if it is fresh or Whop fails, else a new one."""
        if mint.last is not None and (fresh := mint.last.young(whop_user_id)):
            return fresh
        try:
            return self._new_token(mint, whop_user_id)
        except WhopNotFound as refusal:
            # From here on, the last token may be good for nobody.
            return self._new_token_after_repair(mint, whop_user_id, refusal)
        except NoTimeForAnotherKey:
            raise
        except WhopRateLimited as error:
            return self._instead(mint, whop_user_id, error, "rate_limited")
        except (WhopUnavailable, DeadlineExceeded) as error:
            return self._instead(mint, whop_user_id, error, "unavailable")

    def _instead(
        self, mint: _Mint, whop_user_id: str, error: WhopRateLimited | WhopUnavailable | DeadlineExceeded, why: str
    ) -> ChatToken:
        """The last token while Whop limits or fails; raises ``error`` if there is none."""
        token = mint.last.instead(whop_user_id, wait=error.retry_after, why=why) if mint.last else None
        if token is None:
            raise error
        self._observer.failed("no new token", error)
        return token

    def _new_token(self, mint: _Mint, whop_user_id: str) -> ChatToken:
        now = datetime.fromtimestamp(int(self._clock()), UTC)
        minted = self._whop.mint_token(whop_user_id, mint.scopes, now + self._ttl, deadline=mint.deadline)
        if not now < minted.expires_at <= now + self._ttl:
            raise WhopInvalidResponse("mint_token", status=200, code="expires_at")
        token = ChatToken(minted.token, minted.expires_at, usual_refresh(now, minted.expires_at), mint.scopes)
        if mint.last is not None:
            mint.last.replace(whop_user_id, token, now)
        return token

    def _new_token_after_repair(self, mint: _Mint, unknown: str, refusal: WhopNotFound) -> ChatToken:
        """A token for the user whom Whop does not know under the id ``unknown``, after their link is repaired."""
        for _ in range(_REPAIRS):
            repaired = self._enrolment.repair(mint.user, unknown, deadline=mint.deadline)
            if repaired is None:
                break
            unknown = mint.use(repaired)
            try:
                return self._new_token(mint, unknown)
            except WhopNotFound as again:
                refusal = again
        raise refusal

    def _enqueue_sync(self, user: UserRef) -> None:
        """Have a new user's name set, or a deleted user cleaned up after. It must not cost the caller's time."""
        try:
            self._queue.send(user, Source.FIRST_TOKEN, deadline=Deadline(_ENQUEUE_SECONDS))
        except (AwsError, DeadlineExceeded) as error:
            self._observer.failed("sync not enqueued", error)
