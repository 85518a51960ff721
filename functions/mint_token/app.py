"""POST /chat/token and GET /health."""

import os

from whop_chat.cognito.issuer import jwks_url
from whop_chat.cognito.jwks import KeySet, http_fetch
from whop_chat.runtime.http import HttpClient
from whop_chat.runtime.prefetch import HeadStart
from whop_chat.settings import AwsSettings, MintSettings

_settings = MintSettings.from_env(os.environ)
_aws_settings = AwsSettings.from_env(os.environ)
_http = HttpClient()
_key_set = KeySet(http_fetch(_http, jwks_url(_settings.user_pool_id, _aws_settings.endpoint)))
_keys = HeadStart(lambda deadline: _key_set.prefetch(deadline=deadline))

# Imported while the keys are on their way: boto3 takes the largest part of a start.
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from whop_chat.api.routes import HttpApi
from whop_chat.bootstrap import enrolment_parts, function_clients
from whop_chat.cognito.verifier import TokenVerifier
from whop_chat.minting.authorizer import Authorizer
from whop_chat.minting.features import ScopePolicy
from whop_chat.minting.mint import Minting
from whop_chat.minting.user_quota import MintLimit
from whop_chat.runtime.sealed import data_key
from whop_chat.runtime.telemetry import observer
from whop_chat.whop.api_key import ApiKey
from whop_chat.whop.circuit_state import WaitItem, Waits
from whop_chat.whop.rate_limit import Share

if TYPE_CHECKING:
    from whop_chat.minting.fallback import TokenReuse

_aws = function_clients(_aws_settings)
_api_key = ApiKey(_aws, _settings.whop_secret_arn)
_data_key = data_key(_aws, _settings.data_key_secret_arn) if _settings.data_key_secret_arn else None
_waits = Waits(WaitItem(_aws, _settings.users_table, _settings.whop_company_id))
_secrets = HeadStart(
    *(lambda deadline, secret=secret: secret.current(deadline=deadline) for secret in (_api_key, _data_key) if secret),
    lambda deadline: _waits.refresh(deadline=deadline),
)


def _token_reuse(settings: MintSettings) -> "TokenReuse | None":
    """Imported only where tokens are kept, because AES costs a start some milliseconds."""
    if _data_key is None:
        return None
    from whop_chat.minting.fallback import TokenReuse
    from whop_chat.minting.token_cache import KeptTokens

    kept = KeptTokens(_aws, settings.users_table, _data_key, settings.whop_company_id)
    ttl = timedelta(minutes=settings.token_ttl_minutes)
    return TokenReuse(kept, _observer, always=settings.token_reuse == "always", ttl=ttl)  # noqa: S105 - the mode


def _compose(settings: MintSettings) -> HttpApi:
    parts = enrolment_parts(settings, _aws, _api_key, _http, _observer, _waits, Share.FOREGROUND)
    verifier = TokenVerifier(
        pool_id=settings.user_pool_id,
        client_ids=settings.user_pool_client_ids,
        token_use=settings.token_use,
        required_scope=settings.required_scope,
        key_set=_key_set,
    )
    policy = ScopePolicy(
        settings.chat_features,
        denied_groups=settings.denied_groups,
        group_features=settings.group_features,
    )
    minting = Minting(
        Authorizer(verifier, policy, pool_id=settings.user_pool_id),
        MintLimit(parts.users, settings.mints_per_minute),
        parts.enrolment,
        parts.whop,
        parts.queue,
        _observer,
        _token_reuse(settings),
        ttl=timedelta(minutes=settings.token_ttl_minutes),
    )
    return HttpApi(minting, _observer)


_observer = observer()
_api = _compose(_settings)
# Nothing is under way when the environment is frozen.
_keys.wait()
_secrets.wait()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    _observer.started(context)
    try:
        return _api.handle(event, remaining_seconds=context.get_remaining_time_in_millis() / 1000)
    finally:
        _observer.finished()
