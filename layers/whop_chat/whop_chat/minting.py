"""The use case: a Cognito token in, a company-scoped Whop token for exactly that user out."""

import contextlib
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from whop_chat.aws import AwsError
from whop_chat.chat_token import ChatToken, usual_refresh
from whop_chat.cognito import TokenVerifier
from whop_chat.deadline import Deadline, DeadlineExceeded
from whop_chat.enrolment import Enrolment
from whop_chat.identity import UserRef
from whop_chat.mint_limit import MintLimit
from whop_chat.observability import Observer
from whop_chat.outcomes import EnrolmentInProgress, Link, LostToDeletion
from whop_chat.scopes import ScopePolicy
from whop_chat.sync_queue import Source, SyncQueue
from whop_chat.users import Directory
from whop_chat.whop import (
    NoTimeForAnotherKey,
    Whop,
    WhopInvalidResponse,
    WhopNotFound,
    WhopRateLimited,
    WhopUnavailable,
)

if TYPE_CHECKING:
    from whop_chat.token_reuse import LastToken, TokenReuse

# Whop gives three hours at most (Whop, "Create access token"), by a clock that need not be ours.
_LONGEST_LIFE = timedelta(hours=3) - timedelta(seconds=10)
_CLAIM_PATIENCE_SECONDS = 1.5
_CLAIM_POLL_SECONDS = 0.1
# On top of the caller's deadline, at the first token only; more would cost them the token they wait for.
_ENQUEUE_SECONDS = 0.3
_MINTS = 3  # the first, one after the account was resolved again, one after it was made anew


class Minting:
    """Mints chat tokens for the users of one pool."""

    def __init__(
        self,
        verifier: TokenVerifier,
        limit: MintLimit,
        users: Directory,
        enrolment: Enrolment,
        whop: Whop,
        policy: ScopePolicy,
        queue: SyncQueue,
        observer: Observer,
        *,
        reuse: "TokenReuse | None" = None,
        pool_id: str,
        ttl: timedelta,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._verifier = verifier
        self._limit = limit
        self._users = users
        self._enrolment = enrolment
        self._whop = whop
        self._policy = policy
        self._queue = queue
        self._observer = observer
        self._reuse = reuse
        self._pool_id = pool_id
        self._ttl = min(ttl, _LONGEST_LIFE)
        self._clock = clock
        self._sleep = sleep

    def mint(self, cognito_token: str, features: Collection[str] | None, *, deadline: Deadline) -> ChatToken:
        """A token for whoever ``cognito_token`` speaks for, narrowed to ``features`` unless None.

        Raises what `whop_chat.problems` knows: every failure of verification, policy, enrolment and Whop.
        """
        caller = self._verifier.verify(cognito_token, deadline=deadline)
        user = UserRef(pool_id=self._pool_id, sub=caller.sub, username=caller.username)
        self._observer.concerns(user)
        scopes = self._policy.scopes(features, groups=caller.groups)
        self._limit.require_not_refused(user)
        with self._last_token(user, scopes, deadline) as last:
            links: list[Link] = []
            try:
                links.append(self._linked(user, deadline))
                return self._token(user, links, scopes, last, deadline)
            except LostToDeletion:
                self._ask_for_sync(user)
                raise
            finally:
                if any(link.created for link in links):
                    self._ask_for_sync(user)

    def _last_token(
        self, user: UserRef, scopes: tuple[str, ...], deadline: Deadline
    ) -> "contextlib.AbstractContextManager[LastToken | None]":
        """The user's last token, looked for while the record is read; None where no token is kept."""
        if self._reuse is None:
            return contextlib.nullcontext()
        return self._reuse.looking(user, scopes, deadline=deadline)

    def _linked(self, user: UserRef, deadline: Deadline) -> Link:
        """The user's link, by the record that the mint is counted on.

        A claim that another worker holds is waited for, but not long.
        """
        record = self._limit.counted(user, deadline=deadline)
        patience = Deadline(_CLAIM_PATIENCE_SECONDS)
        while True:
            try:
                return self._enrolment.enrol(user, record, deadline=deadline)
            except EnrolmentInProgress as progress:
                if progress.at_whop or min(patience.remaining(), deadline.remaining()) <= _CLAIM_POLL_SECONDS:
                    raise
            self._sleep(_CLAIM_POLL_SECONDS)
            record = self._users.get(user, deadline=deadline)

    def _token(
        self,
        user: UserRef,
        links: list[Link],
        scopes: tuple[str, ...],
        last: "LastToken | None",
        deadline: Deadline,
    ) -> ChatToken:
        """A new token, or the last one.

        A user whom Whop does not know any more is enrolled again; the link that came of it joins ``links``.
        """
        if last is not None and (young := last.young(links[0].whop_user_id)):
            return young
        for attempt in range(_MINTS):
            linked_to = links[-1].whop_user_id
            now = datetime.fromtimestamp(int(self._clock()), UTC)
            try:
                token = self._whop.mint_token(linked_to, scopes, now + self._ttl, deadline=deadline)
            except WhopNotFound:
                repaired = self._enrolment.repair(user, linked_to, deadline=deadline) if attempt < _MINTS - 1 else None
                if repaired is None:
                    raise
                links.append(repaired)
            except NoTimeForAnotherKey:
                raise
            except (WhopRateLimited, WhopUnavailable, DeadlineExceeded) as error:
                # After a 404 the last token may be good for nobody any more.
                if last is None or attempt:
                    raise
                return self._last_instead(last, linked_to, error)
            else:
                if not now < token.expires_at <= now + self._ttl:
                    raise WhopInvalidResponse("mint_token", status=200, code="expires_at")
                refresh_after = usual_refresh(now, token.expires_at)
                new = ChatToken(token.token, token.expires_at, refresh_after, scopes)
                if last is not None:
                    last.replace(linked_to, new, now)
                return new
        raise AssertionError("unreachable")

    def _last_instead(self, last: "LastToken", linked_to: str, error: Exception) -> ChatToken:
        """The last token in place of one that Whop does not give; raises ``error`` if there is none that would do."""
        why = "rate_limited" if isinstance(error, WhopRateLimited) else "unavailable"
        token = last.instead(linked_to, wait=getattr(error, "retry_after", 0), why=why)
        if token is None:
            raise error
        self._observer.failed("no new token", error)
        return token

    def _ask_for_sync(self, user: UserRef) -> None:
        """A new user's name, or the clean-up after a deleted one: it can wait, and must not cost the caller's time."""
        try:
            self._queue.send(user, Source.FIRST_TOKEN, deadline=Deadline(_ENQUEUE_SECONDS))
        except (AwsError, DeadlineExceeded) as error:
            self._observer.failed("sync not enqueued", error)
