"""POST /chat/token, GET /health and GET /health/ready."""

import gc

# Imported objects live for ever, so collecting garbage during import finds nothing. It takes 6 % of a cold start.
gc.disable()

import os

from whop_chat.cognito.issuer import jwks_url
from whop_chat.cognito.jwks import JwkSet, http_fetch
from whop_chat.runtime.http import HttpClient
from whop_chat.runtime.prefetch import Prefetch
from whop_chat.settings import AwsSettings, MintSettings

_settings = MintSettings.from_env(os.environ)
_aws_settings = AwsSettings.from_env(os.environ)
_http = HttpClient()
_keys_url = jwks_url(_settings.user_pool_id, _aws_settings.endpoint, _settings.user_pool_issuer)
_jwks = JwkSet(http_fetch(_http, _keys_url))
_keys = Prefetch(lambda deadline: _jwks.prefetch(deadline=deadline))

# boto3 is imported while the keys are fetched, and the rest while the secrets are. Imports take most of a cold start.
from whop_chat.bootstrap import enrolment_parts, function_clients
from whop_chat.whop.api_key import ApiKey
from whop_chat.whop.circuit_state import CircuitStates, DynamoDBCircuitStore

_aws = function_clients(_aws_settings)
_api_key = ApiKey(_aws, _settings.whop_secret_arn)
_data_keys = None
if _settings.data_key_secret_arn:  # Else AES is not imported: it takes some ms of a cold start.
    from whop_chat.runtime.sealed import data_keys

    _data_keys = data_keys(_aws, _settings.data_key_secret_arn)
_circuit_states = CircuitStates(DynamoDBCircuitStore(_aws, _settings.users_table, _settings.whop_company_id))
_secrets = Prefetch(
    *(lambda deadline, secret=secret: secret.current(deadline=deadline) for secret in (_api_key, _data_keys) if secret),
    lambda deadline: _circuit_states.refresh(deadline=deadline),
)

import functools
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from whop_chat.api.routes import HttpApi, request_id
from whop_chat.cognito.verifier import TokenVerifier
from whop_chat.minting.authorizer import Authorizer
from whop_chat.minting.features import FeaturePolicy
from whop_chat.minting.mint import MintToken
from whop_chat.minting.user_quota import UserQuota
from whop_chat.runtime.telemetry import lambda_telemetry
from whop_chat.whop.rate_limit import Priority

if TYPE_CHECKING:
    from whop_chat.api.ready import ReadyRoute
    from whop_chat.minting.fallback import TokenFallback
    from whop_chat.oauth.token import OwnTokens


@functools.cache
def _own_tokens() -> "OwnTokens":
    """The tokens of users' own Whop accounts. Called, and so imported, for a linked user only."""
    from whop_chat.oauth_bootstrap import oauth_parts
    from whop_chat.settings import OAuthSettings

    return oauth_parts(OAuthSettings.from_env(os.environ), _aws, _http, _telemetry).tokens


def _token_fallback(settings: MintSettings) -> "TokenFallback | None":
    """The fallback, or None if tokens are not cached."""
    if _data_keys is None:
        return None
    from whop_chat.minting.fallback import TokenFallback
    from whop_chat.minting.token_cache import TokenCache

    cache = TokenCache(_aws, settings.users_table, _data_keys, settings.whop_company_id)
    ttl = timedelta(minutes=settings.token_ttl_minutes)
    return TokenFallback(cache, _telemetry, always=settings.token_reuse == "always", ttl=ttl)  # noqa: S105  # nosec B105  # the mode


def _compose(settings: MintSettings) -> HttpApi:
    parts = enrolment_parts(settings, _aws, _api_key, _http, _telemetry, _circuit_states, Priority.FOREGROUND)
    verifier = TokenVerifier(
        pool_id=settings.user_pool_id,
        pool_issuer=settings.user_pool_issuer,
        client_ids=settings.user_pool_client_ids,
        token_use=settings.token_use,
        required_scope=settings.required_scope,
        jwks=_jwks,
    )
    policy = FeaturePolicy(
        settings.chat_features,
        denied_groups=settings.denied_groups,
        group_features=settings.group_features,
    )
    minting = MintToken(
        Authorizer(verifier, policy, pool_id=settings.user_pool_id),
        UserQuota(parts.users, settings.mints_per_minute),
        parts.enrolment,
        parts.whop,
        parts.queue,
        _telemetry,
        _token_fallback(settings),
        ttl=timedelta(minutes=settings.token_ttl_minutes),
        own_tokens=_own_tokens if settings.oauth else None,
    )
    return HttpApi(minting, _telemetry, lambda deadline: _ready_route().answer(deadline=deadline))


@functools.cache
def _ready_route() -> "ReadyRoute":
    """The route that no mint needs, so it is imported at its first request."""
    from whop_chat.api.ready import ReadyRoute
    from whop_chat.readiness.store import ReadinessStore

    return ReadyRoute(ReadinessStore(_aws, _settings.users_table, _settings.user_pool_id), _telemetry)


_telemetry = lambda_telemetry()
_api = _compose(_settings)
# So that no fetch is open when Lambda freezes the environment.
_keys.wait()
_secrets.wait()
gc.freeze()
gc.enable()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    _telemetry.bind_request(context, request_id(event))
    try:
        return _api.handle(event, remaining_seconds=context.get_remaining_time_in_millis() / 1000)
    finally:
        _telemetry.flush()
