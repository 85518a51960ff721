"""POST /chat/token and GET /health."""

import os
from datetime import timedelta
from typing import Any

from whop_chat.aws import Aws
from whop_chat.cognito import TokenVerifier
from whop_chat.http_api import HttpApi
from whop_chat.key_set import KeySet, http_fetch
from whop_chat.minting import Minting
from whop_chat.observability import observer
from whop_chat.scopes import ScopePolicy
from whop_chat.settings import AwsSettings, MintSettings
from whop_chat.transport import HttpClient
from whop_chat.user_pool import jwks_url
from whop_chat.wiring import enrolment_parts


def _compose(settings: MintSettings, aws: AwsSettings) -> HttpApi:
    http = HttpClient()
    parts = enrolment_parts(settings, Aws(http, aws), http)
    verifier = TokenVerifier(
        pool_id=settings.user_pool_id,
        client_ids=settings.user_pool_client_ids,
        token_use=settings.token_use,
        required_scope=settings.required_scope,
        key_set=KeySet(http_fetch(http, jwks_url(settings.user_pool_id, aws.endpoint))),
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
_api = _compose(MintSettings.from_env(os.environ), AwsSettings.from_env(os.environ))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    _observer.started(context)
    try:
        return _api.handle(event, remaining_seconds=context.get_remaining_time_in_millis() / 1000)
    finally:
        _observer.finished()
