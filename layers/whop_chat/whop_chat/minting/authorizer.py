"""Authorize a caller: verify their token and apply the feature policy, in one step."""

from collections.abc import Collection
from dataclasses import dataclass

from whop_chat.cognito.user import UserRef
from whop_chat.cognito.verifier import TokenVerifier
from whop_chat.minting.features import FeaturePolicy
from whop_chat.runtime.deadline import Deadline


@dataclass(frozen=True, slots=True)
class Grant:
    """A verified user, and the scopes of the token that they may get."""

    user: UserRef
    scopes: tuple[str, ...]


class Authorizer:
    """Grants scopes to the callers of one pool."""

    def __init__(self, verifier: TokenVerifier, policy: FeaturePolicy, *, pool_id: str) -> None:
        self._verifier = verifier
        self._policy = policy
        self._pool_id = pool_id

    def grant(self, cognito_token: str, features: Collection[str] | None, *, deadline: Deadline) -> Grant:
        """The user of ``cognito_token`` and their scopes, narrowed to ``features`` unless None.

        Raises what `whop_chat.cognito.verifier.TokenVerifier.verify` and the policy's ``scopes`` raise.
        """
        caller = self._verifier.verify(cognito_token, deadline=deadline)
        user = UserRef(pool_id=self._pool_id, sub=caller.sub, username=caller.username)
        return Grant(user, self._policy.scopes(features, groups=caller.groups))
