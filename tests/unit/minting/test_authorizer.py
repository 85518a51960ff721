"""What a caller is granted: only after the token was verified, and within the policy for their groups."""

import pytest

from whop_chat.cognito.user import UserRef
from whop_chat.cognito.verifier import Caller, Reason, TokenRefused, TokenVerifier
from whop_chat.minting.authorizer import Authorizer, Grant
from whop_chat.minting.features import FeatureNotAllowed, FeaturePolicy, GroupDenied
from whop_chat.runtime.deadline import Deadline

POOL = "eu-west-1_Pool"
CHANNELS = ("chat:message:create", "chat:read")
DMS = ("dms:channel:manage", "dms:message:manage", "dms:read")


class Verifier(TokenVerifier):
    """Knows one good token, that of Ann in ``groups``."""

    def __init__(self, *groups: str) -> None:
        self._groups = groups

    def verify(self, token: str, *, deadline: Deadline) -> Caller:
        if token != "good":
            raise TokenRefused(Reason.SIGNATURE)
        return Caller("sub-ann", "ann", "client", self._groups, frozenset(), 0)


def grant(*groups: str, token: str = "good", features: list[str] | None = None) -> Grant:
    policy = FeaturePolicy(["channels", "dms"], denied_groups=["banned"], group_features={"guests": ["channels"]})
    return Authorizer(Verifier(*groups), policy, pool_id=POOL).grant(token, features, deadline=Deadline(3))


def test_the_user_is_the_one_of_the_token_in_the_pool() -> None:
    assert grant() == Grant(UserRef(pool_id=POOL, sub="sub-ann", username="ann"), (*CHANNELS, *DMS))


def test_a_request_narrows_the_scopes() -> None:
    assert grant(features=["dms"]).scopes == DMS


def test_a_group_narrows_the_scopes() -> None:
    assert grant("guests").scopes == CHANNELS


def test_a_request_does_not_widen_what_a_group_may() -> None:
    with pytest.raises(FeatureNotAllowed):
        grant("guests", features=["dms"])


def test_a_denied_group_gets_nothing() -> None:
    with pytest.raises(GroupDenied):
        grant("banned")


def test_a_bad_token_is_refused_whatever_it_asks_for() -> None:
    with pytest.raises(TokenRefused):
        grant("banned", token="bad")
