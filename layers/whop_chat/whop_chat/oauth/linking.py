"""Link a user to their own Whop account, in three steps.

1. `Linking.begin`: the app gets the URL at Whop.
2. `Linking.callback`: Whop sends the browser here. The app gets a one-time result, which has nothing to do with
   ``state``: whoever began the link knows the state.
3. `Linking.complete`: the app brings the result with the token of the user who began. Only then is the code exchanged.

So nobody can be led to link their Whop account to a stranger's user, or a stranger's account to theirs.
"""

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.errors import Blocked
from whop_chat.oauth.account import require_allowed
from whop_chat.oauth.attempts import Attempts
from whop_chat.oauth.authorization import authorization_url
from whop_chat.oauth.errors import (
    InvalidGrant,
    InvalidReturnUrl,
    LinkExpired,
    LinkFailed,
    LinkRequired,
    StaleLink,
    UnknownState,
)
from whop_chat.oauth.id_token import IdTokenVerifier, WhopProfile
from whop_chat.oauth.links import LinkTokens, OwnLink, OwnLinks
from whop_chat.oauth.revocations import Revocations
from whop_chat.oauth.server import OAuthServer, TokenResponse
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import Retryable
from whop_chat.runtime.sealed import UnknownDataKey
from whop_chat.users.record import AlreadyReserved, Record, StaleRecord, Status
from whop_chat.users.repository import DynamoDBUserRepository

_ATTEMPTS = 5
_PROFILE_SECONDS = 1.0
_GIVE_UP_SECONDS = 1.5
# RFC 6749, section 4.1.2.1, and OpenID Connect Core, section 3.1.2.6. Anything else reaches the app as server_error.
_ERROR_CODES = frozenset(
    {
        "access_denied",
        "consent_required",
        "interaction_required",
        "invalid_request",
        "invalid_scope",
        "login_required",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_response_type",
    }
)


@dataclass(frozen=True, slots=True)
class Return:
    """Where the browser goes back to, with a one-time ``result``, or with an ``error`` code."""

    return_to: str
    result: str | None = field(default=None, repr=False)
    error: str | None = None


class Linking:
    """Links the users of one pool. ``return_urls`` are the URLs of the apps, compared as a whole.

    ``issuer`` is compared with the ``iss`` of a callback (RFC 9207). ``clock`` returns epoch seconds.
    """

    def __init__(
        self,
        users: DynamoDBUserRepository,
        attempts: Attempts,
        links: OwnLinks,
        revocations: Revocations,
        server: OAuthServer,
        id_tokens: IdTokenVerifier,
        *,
        return_urls: Collection[str],
        issuer: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._users = users
        self._attempts = attempts
        self._links = links
        self._revocations = revocations
        self._server = server
        self._id_tokens = id_tokens
        self._return_urls = frozenset(return_urls)
        self._issuer = issuer
        self._clock = clock

    def begin(self, user: UserRef, scopes: Collection[str], return_to: str, *, deadline: Deadline) -> str:
        """The URL at Whop where ``user`` grants ``scopes``.

        Raises `InvalidReturnUrl`, and what `require_allowed` and `Attempts` raise.
        """
        if return_to not in self._return_urls:
            raise InvalidReturnUrl
        require_allowed(self._users.get(user, deadline=deadline))
        attempt = self._attempts.begin(user, tuple(sorted(scopes)), return_to, deadline=deadline)
        return authorization_url(
            self._server.base_url,
            self._server.client,
            scopes,
            state=attempt.state,
            nonce=attempt.nonce,
            verifier=attempt.verifier,
        )

    def callback(self, query: Mapping[str, str], *, deadline: Deadline) -> Return:
        """Where to send the browser that came back from Whop with ``query``. Raises `UnknownState`."""
        state, code, error = query.get("state"), query.get("code"), query.get("error")
        if not state or bool(code) == bool(error) or query.get("iss", self._issuer) != self._issuer:
            raise UnknownState
        return_to, result = self._attempts.take_state(state, code or None, deadline=deadline)
        if error:
            return Return(return_to, error=error if error in _ERROR_CODES else "server_error")
        return Return(return_to, result=result)

    def complete(self, user: UserRef, result: str, *, deadline: Deadline) -> WhopProfile:
        """Link ``user`` to the account that signed in, and return it. After any failure the link has to begin again.

        Raises `LinkFailed`, `Blocked` (``identity_conflict``) for the account of another user, `LinkRequired` if Whop
        granted too little, and what `require_allowed`, `OAuthServer` and `OwnLinks` raise.
        """
        returned = self._attempts.take_result(user, result, deadline=deadline)
        try:
            granted = self._server.exchange(returned.code, returned.verifier, deadline=deadline)
        except InvalidGrant:
            raise LinkFailed("code") from None
        try:
            key_set = self._server.key_set(deadline=deadline)
            profile = self._id_tokens.verify(granted.id_token, key_set, nonce=returned.nonce)
            if granted.scopes is not None and not granted.scopes.issuperset(returned.scopes):
                raise LinkRequired
            self._store(user, profile.id, returned.scopes, granted, deadline)
        except Exception:
            # Nobody will use this grant. Its end may overrun the deadline.
            grace = Deadline(max(_GIVE_UP_SECONDS, deadline.remaining()))
            self._revocations.revoke(user, granted.refresh_token, deadline=grace)
            raise
        self._revocations.revoke_added(user, deadline=deadline)
        return self._shown(profile, granted, deadline)

    def _store(
        self, user: UserRef, whop_user_id: str, scopes: tuple[str, ...], granted: TokenResponse, deadline: Deadline
    ) -> None:
        """Store the link, in one transaction with the reservation of the Whop user. A former link is revoked."""
        tokens = LinkTokens(granted.access_token, granted.refresh_token)
        link = OwnLink(
            whop_user_id=whop_user_id,
            client_id=self._links.client_id,
            scopes=scopes,
            status="linked",
            expires_at=int(self._clock()) + granted.expires_in,
            sealed=self._links.seal(user, whop_user_id, tokens, deadline=deadline),
        )
        for _ in range(_ATTEMPTS):
            record = self._users.get(user, deadline=deadline)
            require_allowed(record)
            former = self._links.get(user, deadline=deadline)
            linked = dataclasses.replace(record or Record(status=Status.PENDING), own_whop_user_id=whop_user_id)
            items = [self._links.put_item(user, link, former)]
            try:
                self._users.put_own(user, linked, expected=record, items=items, deadline=deadline)
            except AlreadyReserved:
                raise Blocked("identity_conflict") from None
            except StaleRecord:
                continue
            if former is not None:
                self._give_up(user, former, deadline)
            return
        raise StaleLink

    def _give_up(self, user: UserRef, former: OwnLink, deadline: Deadline) -> None:
        """Write the token of a replaced link down for revocation, if it can be read."""
        try:
            token = self._links.open(user, former, deadline=deadline).refresh
        except (LinkExpired, UnknownDataKey):
            return
        self._revocations.add(user, token, deadline=deadline)

    def _shown(self, profile: WhopProfile, granted: TokenResponse, deadline: Deadline) -> WhopProfile:
        """``profile`` with what userinfo adds. The link stands without it, so a failure is not reported."""
        if profile.name or profile.username:
            return profile
        try:
            claims = self._server.userinfo(granted.access_token, deadline=deadline.at_most(_PROFILE_SECONDS))
        except Retryable:
            return profile
        # OpenID Connect Core, section 5.3.2: claims of another subject must not be used.
        return WhopProfile.of(claims) if claims.get("sub") == profile.id else profile
