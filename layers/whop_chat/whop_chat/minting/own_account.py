"""The chat token of a user who linked a Whop account of their own. `whop_chat.oauth` is imported for them only."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from whop_chat.minting.authorizer import Authorizer, Grant
from whop_chat.minting.chat_token import ChatToken
from whop_chat.minting.user_quota import UserQuota
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.users.record import Record

if TYPE_CHECKING:
    from whop_chat.oauth.token import OwnTokens

OwnTokensFactory = Callable[[], "OwnTokens"]


def own_chat_token(tokens: "OwnTokens", grant: Grant, record: Record | None, *, deadline: Deadline) -> ChatToken:
    """The token of the user's own account. Raises what `whop_chat.oauth.token.OwnTokens.current` raises."""
    own = tokens.current(grant.user, record, grant.scopes, deadline=deadline)
    return ChatToken(own.token, own.expires_at, own.refresh_after, own.scopes)


class MintOwnToken:
    """Answers tokens where users link their own accounts only (``AuthModes`` is ``oauth``)."""

    def __init__(
        self, authorizer: Authorizer, quota: UserQuota, telemetry: Telemetry, own_tokens: OwnTokensFactory
    ) -> None:
        self._authorizer = authorizer
        self._quota = quota
        self._telemetry = telemetry
        self._own_tokens = own_tokens

    def mint(self, cognito_token: str, features: Collection[str] | None, *, deadline: Deadline) -> ChatToken:
        """See `whop_chat.minting.mint.MintToken.mint`. A user without a link gets `LinkRequired`."""
        grant = self._authorizer.grant(cognito_token, features, deadline=deadline)
        self._telemetry.bind_user(grant.user.sub)
        self._quota.require_not_refused(grant.user)
        record = self._quota.count(grant.user, deadline=deadline)
        return own_chat_token(self._own_tokens(), grant, record, deadline=deadline)
