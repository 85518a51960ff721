"""Exchange a Cognito token for a company-scoped Whop token of exactly that user."""

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
from whop_chat.minting.own_account import OwnTokensFactory, own_chat_token
from whop_chat.minting.user_quota import UserQuota
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.sync.queue import Source, SyncQueue
from whop_chat.users.record import Record
from whop_chat.whop.client import Whop
from whop_chat.whop.errors import (
    NoTimeForAnotherKey,
    WhopInvalidResponse,
    WhopNotFound,
    WhopRateLimited,
    WhopUnavailable,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from whop_chat.minting.fallback import TokenFallback, TokenLookup

# Whop grants at most three hours (Whop, "Create access token"), by a clock that may differ from ours.
_LONGEST_LIFE = timedelta(hours=3) - timedelta(seconds=10)
_LEASE_PATIENCE_SECONDS = 1.5
# It comes on top of the caller's deadline, at the first token only. More would delay that token.
_ENQUEUE_SECONDS = 0.3
_REPAIRS = 2  # a look-up of the account and, if that does not help, a new account


@dataclass(slots=True)
class _Mint:
    """One mint in progress. ``needs_sync`` is true if a sync has something to do afterwards."""

    user: UserRef
    scopes: tuple[str, ...]
    lookup: "TokenLookup | None"
    deadline: Deadline
    needs_sync: bool = False

    def use(self, link: Link) -> str:
        """The Whop user id of ``link``. A link that was created just now needs a sync."""
        self.needs_sync = self.needs_sync or link.created
        return link.whop_user_id


class MintToken:
    """Mints chat tokens for the users of one pool.

    ``fallback`` is None if no token is cached. ``own_tokens`` is called for a user who linked their own Whop account,
    and is None if nobody can (``AuthModes``). ``ttl`` is the lifetime to request from Whop. ``clock`` returns epoch
    seconds.
    """

    def __init__(
        self,
        authorizer: Authorizer,
        quota: UserQuota,
        enrolment: Enrolment,
        whop: Whop,
        queue: SyncQueue,
        telemetry: Telemetry,
        fallback: "TokenFallback | None" = None,
        *,
        ttl: timedelta,
        own_tokens: OwnTokensFactory | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._own_tokens = own_tokens
        self._authorizer = authorizer
        self._quota = quota
        self._enrolment = enrolment
        self._whop = whop
        self._queue = queue
        self._telemetry = telemetry
        self._fallback = fallback
        self._ttl = min(ttl, _LONGEST_LIFE)
        self._clock = clock

    def mint(self, cognito_token: str, features: Collection[str] | None, *, deadline: Deadline) -> ChatToken:
        """A chat token for the user of ``cognito_token``, narrowed to ``features`` unless None.

        Raises the errors that `whop_chat.api.problems` lists: failures of verification, policy, enrolment and Whop.
        """
        grant = self._authorizer.grant(cognito_token, features, deadline=deadline)
        self._telemetry.bind_user(grant.user.sub)
        self._quota.require_not_refused(grant.user)
        with self._whop.prefetch(), self._cached_token(grant, deadline) as lookup:
            mint = _Mint(grant.user, grant.scopes, lookup, deadline)
            try:
                record = self._quota.count(mint.user, deadline=deadline)
                if self._own_tokens is not None and record is not None and record.own_whop_user_id is not None:
                    # Nobody who linked their own account falls back to the company's.
                    return own_chat_token(self._own_tokens(), grant, record, deadline=deadline)
                return self._token(mint, self._linked(mint, record))
            except DeletedMeanwhile:
                mint.needs_sync = True
                raise
            finally:
                if mint.needs_sync:
                    self._enqueue_sync(mint.user)

    def _cached_token(self, grant: Grant, deadline: Deadline) -> "AbstractContextManager[TokenLookup | None]":
        """The look-up of the user's cached token, concurrent with the read of their record. None: no cache."""
        if self._fallback is None:
            return contextlib.nullcontext()
        return self._fallback.lookup(grant.user, grant.scopes, deadline=deadline)

    def _linked(self, mint: _Mint, record: Record | None) -> str:
        """The user's Whop user id. They are enrolled if they have none."""
        link = self._enrolment.enrol_patiently(
            mint.user, record, patience_seconds=_LEASE_PATIENCE_SECONDS, deadline=mint.deadline
        )
        return mint.use(link)

    def _token(self, mint: _Mint, whop_user_id: str) -> ChatToken:
        """The cached token if it is fresh or Whop fails, else a new one."""
        if mint.lookup is not None and (fresh := mint.lookup.fresh(whop_user_id)):
            return fresh
        try:
            return self._new_token(mint, whop_user_id)
        except WhopNotFound as refusal:
            # From here on, the cached token may be of a Whop user that is gone.
            return self._new_token_after_repair(mint, whop_user_id, refusal)
        except NoTimeForAnotherKey:
            raise
        except WhopRateLimited as error:
            return self._fallback_token(mint, whop_user_id, error, "rate_limited")
        except (WhopUnavailable, DeadlineExceeded) as error:
            return self._fallback_token(mint, whop_user_id, error, "unavailable")

    def _fallback_token(
        self, mint: _Mint, whop_user_id: str, error: WhopRateLimited | WhopUnavailable | DeadlineExceeded, reason: str
    ) -> ChatToken:
        """The cached token while Whop limits or fails. Raises ``error`` if there is none."""
        token = mint.lookup.fallback(whop_user_id, wait=error.retry_after, reason=reason) if mint.lookup else None
        if token is None:
            raise error
        self._telemetry.warning("no new token", error)
        return token

    def _new_token(self, mint: _Mint, whop_user_id: str) -> ChatToken:
        now = datetime.fromtimestamp(int(self._clock()), UTC)
        minted = self._whop.mint_token(whop_user_id, mint.scopes, now + self._ttl, deadline=mint.deadline)
        if not now < minted.expires_at <= now + self._ttl:
            raise WhopInvalidResponse("mint_token", status=200, code="expires_at")
        token = ChatToken(minted.token, minted.expires_at, usual_refresh(now, minted.expires_at), mint.scopes)
        if mint.lookup is not None:
            mint.lookup.replace(whop_user_id, token, now)
        return token

    def _new_token_after_repair(self, mint: _Mint, unknown: str, refusal: WhopNotFound) -> ChatToken:
        """A token after repairs of the user's link, for whose Whop user id ``unknown`` Whop answered 404."""
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
        """Enqueue the sync that sets a new user's name or cleans up after a deleted user. A failure is only logged."""
        try:
            self._queue.send(
                user,
                Source.FIRST_TOKEN,
                correlation_id=self._telemetry.correlation_id,
                deadline=Deadline(_ENQUEUE_SECONDS),
            )
        except (AwsError, DeadlineExceeded) as error:
            self._telemetry.warning("sync not enqueued", error)
