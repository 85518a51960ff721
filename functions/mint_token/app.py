"""POST /chat/token and GET /health."""

import os

from whop_chat.api_key import ApiKey
from whop_chat.aws import Aws
from whop_chat.base_settings import AwsSettings
from whop_chat.head_start import HeadStart
from whop_chat.key_set import KeySet, http_fetch
from whop_chat.settings import MintSettings
from whop_chat.transport import HttpClient
from whop_chat.user_pool import jwks_url

_settings = MintSettings.from_env(os.environ)
_aws_settings = AwsSettings.from_env(os.environ)
_http = HttpClient()
_aws = Aws(_http, _aws_settings)
_api_key = ApiKey(_aws, _settings.whop_secret_arn)
_key_set = KeySet(http_fetch(_http, jwks_url(_settings.user_pool_id, _aws_settings.endpoint)))


def _get_ahead() -> HeadStart:
    return HeadStart(
        lambda deadline: _key_set.prefetch(deadline=deadline), lambda deadline: _api_key.current(deadline=deadline)
    )


_head_start = _get_ahead()

# Imported while the two answers are on their way.
from datetime import timedelta  # noqa: E402
from typing import Any  # noqa: E402

from whop_chat.cognito import TokenVerifier  # noqa: E402
from whop_chat.http_api import HttpApi  # noqa: E402
from whop_chat.minting import Minting  # noqa: E402
from whop_chat.observability import observer  # noqa: E402
from whop_chat.scopes import ScopePolicy  # noqa: E402
from whop_chat.wiring import enrolment_parts  # noqa: E402


def _compose(settings: MintSettings) -> HttpApi:
    parts = enrolment_parts(settings, _aws, _api_key, _http)
    verifier = TokenVerifier(
        pool_id=settings.user_pool_id,
        client_ids=settings.user_pool_client_ids,
        token_use=settings.token_use,
        required_scope=settings.required_scope,
        key_set=_key_set,
    )
    minting = Minting(
        verifier,
        parts.enrolment,
        parts.whop,
        ScopePolicy(
            settings.chat_features,
            denied_groups=settings.denied_groups,
            group_features=settings.group_features,
        ),
        parts.queue,
        _observer,
        pool_id=settings.user_pool_id,
        ttl=timedelta(minutes=settings.token_ttl_minutes),
    )
    return HttpApi(minting, _observer)


_observer = observer()
_api = _compose(_settings)
_head_start.wait()

if _aws_settings.snap_start:
    from whop_chat.snap_start import around_snapshots

    around_snapshots(
        _http.hang_up, _key_set.forget, _api_key.forget, _aws.forget_credentials, resume=lambda: _get_ahead().wait()
    )


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    _observer.started(context)
    try:
        return _api.handle(event, remaining_seconds=context.get_remaining_time_in_millis() / 1000)
    finally:
        _observer.finished()
