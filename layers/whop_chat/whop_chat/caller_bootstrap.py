"""Builds the authorizer of the callers, for the functions behind the HTTP API."""

from whop_chat.cognito.jwks import JwkSet
from whop_chat.cognito.verifier import TokenVerifier
from whop_chat.minting.authorizer import Authorizer
from whop_chat.minting.features import FeaturePolicy
from whop_chat.settings import MintSettings, OAuthCallerSettings


def caller_authorizer(settings: MintSettings | OAuthCallerSettings, jwks: JwkSet) -> Authorizer:
    """The authorizer of the settings. ``jwks`` has the keys of their pool."""
    verifier = TokenVerifier(
        pool_id=settings.user_pool_id,
        pool_issuer=settings.user_pool_issuer,
        client_ids=settings.user_pool_client_ids,
        token_use=settings.token_use,
        required_scope=settings.required_scope,
        jwks=jwks,
    )
    policy = FeaturePolicy(
        settings.chat_features, denied_groups=settings.denied_groups, group_features=settings.group_features
    )
    return Authorizer(verifier, policy, pool_id=settings.user_pool_id)
