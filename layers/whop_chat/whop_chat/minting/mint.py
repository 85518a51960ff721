"""The use case: a Cognito token in, a company-scoped Whop token for exactly that user out."""

import contextlib
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from whop_chat.cognito.user import UserRef
from whop_chat.cognito.verifier import TokenVerifier
from whop_chat.enrolment.enrol import Enrolment
from whop_chat.enrolment.errors import EnrolmentInProgress, Link, LostToDeletion
from whop_chat.minting.chat_token import ChatToken, usual_refresh
from whop_chat.minting.features import ScopePolicy
from whop_chat.minting.user_quota import MintLimit
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.telemetry import Observer
from whop_chat.sync.queue import Source, SyncQueue
from whop_chat.users.repository import Directory
from whop_chat.whop.circuit_state import Waits
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

# Whop gives three hours at most (Whop, "Create access token"), by a clock that need not be ours.
_LONGEST_LIFE = timedelta(hours=3) - timedelta(seconds=10)
_CLAIM_PATIENCE_SECONDS = 1.5
_CLAIM_POLL_SECONDS = 0.1
# On top of the caller's deadline, at the first token only; more would cost them the token they wait for.
_ENQUEUE_SECONDS = 0.3
_REPAIRS = 2  # the account is resolved again, and if that does not help, made anew


@dataclass(slots=True)
class _Request:
    """What one user asks for; ``to_sync`` says that a sync will have something to do."""

    user: UserRef
    scopes: tuple[str, ...]
    last: "LastToken | None"
    deadline: Deadline
    to_sync: bool = False

    def note(self, link: Link) -> str:
        """Have a link that was made just now synced; the user's id at Whop by it."""
        self.to_sync = self.to_sync or link.created
        return link.whop_user_id


class Minting:
    """Mints chat tokens for the users of one pool."""

    def __init__(
        self,
        verifier: TokenVerifier,
        limit: MintLimit,
        users: Directory,
        enrolment: Enrolment,
        whop: Whop,
        waits: Waits,
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
        self._waits = waits
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

        Raises what `whop_chat.api.problems` knows: every failure of verification, policy, enrolment and Whop.
        """
        caller = self._verifier.verify(cognito_token, deadline=deadline)
        user = UserRef(pool_id=self._pool_id, sub=caller.sub, username=caller.username)
        self._observer.concerns(user.sub)
        scopes = self._policy.scopes(features, groups=caller.groups)
        self._limit.require_not_refused(user)
        with self._waits.read_meanwhile(), self._last_token(user, scopes, deadline) as last:
            request = _Request(user, scopes, last, deadline)
            try:
                return self._token(request, self._linked(request))
            except LostToDeletion:
                request.to_sync = True
                raise
            finally:
                if request.to_sync:
                    self._ask_for_sync(user)

    def _last_token(
        self, user: UserRef, scopes: tuple[str, ...], deadline: Deadline
    ) -> "contextlib.AbstractContextManager[LastToken | None]":
        """The user's last token, looked for while the record is read; None where no token is kept."""
        if self._reuse is None:
            return contextlib.nullcontext()
        return self._reuse.looking(user, scopes, deadline=deadline)

    def _linked(self, request: _Request) -> str:
        """The user's id at Whop, by the record that the mint is counted on.

        A claim that another worker holds is waited for, but not long.
        """
        user, deadline = request.user, request.deadline
        record = self._limit.counted(user, deadline=deadline)
        patience = Deadline(_CLAIM_PATIENCE_SECONDS)
        while True:
            try:
                return request.note(self._enrolment.enrol(user, record, deadline=deadline))
            except EnrolmentInProgress as progress:
                if progress.at_whop or min(patience.remaining(), deadline.remaining()) <= _CLAIM_POLL_SECONDS:
                    raise
            self._sleep(_CLAIM_POLL_SECONDS)
            record = self._users.get(user, deadline=deadline)

    def _token(self, request: _Request, whop_user_id: str) -> ChatToken:
        """The last token if it is young or Whop fails, else a new one."""
        last = request.last
        if last is not None and (young := last.young(whop_user_id)):
            return young
        try:
            return self._minted(request, whop_user_id)
        except WhopNotFound as refusal:
            # From here on, the last token may be good for nobody any more.
            return self._minted_after_repair(request, whop_user_id, refusal)
        except NoTimeForAnotherKey:
            raise
        except (WhopRateLimited, WhopUnavailable, DeadlineExceeded) as error:
            why = "rate_limited" if isinstance(error, WhopRateLimited) else "unavailable"
            wait = getattr(error, "retry_after", 0)
            if last is None or (token := last.instead(whop_user_id, wait=wait, why=why)) is None:
                raise
            self._observer.failed("no new token", error)
            return token

    def _minted(self, request: _Request, whop_user_id: str) -> ChatToken:
        now = datetime.fromtimestamp(int(self._clock()), UTC)
        minted = self._whop.mint_token(whop_user_id, request.scopes, now + self._ttl, deadline=request.deadline)
        if not now < minted.expires_at <= now + self._ttl:
            raise WhopInvalidResponse("mint_token", status=200, code="expires_at")
        token = ChatToken(minted.token, minted.expires_at, usual_refresh(now, minted.expires_at), request.scopes)
        if request.last is not None:
            request.last.replace(whop_user_id, token, now)
        return token

    def _minted_after_repair(self, request: _Request, unknown: str, refusal: WhopNotFound) -> ChatToken:
        """A token for the user whom Whop does not know under the id ``unknown``, once they are enrolled again."""
        for _ in range(_REPAIRS):
            repaired = self._enrolment.repair(request.user, unknown, deadline=request.deadline)
            if repaired is None:
                break
            unknown = request.note(repaired)
            try:
                return self._minted(request, unknown)
            except WhopNotFound as again:
                refusal = again
        raise refusal

    def _ask_for_sync(self, user: UserRef) -> None:
        """A new user's name, or the clean-up after a deleted one: it can wait, and must not cost the caller's time."""
        try:
            self._queue.send(user, Source.FIRST_TOKEN, deadline=Deadline(_ENQUEUE_SECONDS))
        except (AwsError, DeadlineExceeded) as error:
            self._observer.failed("sync not enqueued", error)
