"""POST /chat/token and GET /health, where users link their own Whop accounts only: no API key, queue or enrolment."""

import os
from typing import Any

from whop_chat.api.ready import ReadyRoute
from whop_chat.api.routes import HttpApi, request_id
from whop_chat.bootstrap import function_clients
from whop_chat.minting.own_account import MintOwnToken
from whop_chat.minting.user_quota import UserQuota
from whop_chat.oauth_bootstrap import caller_authorizer, oauth_parts
from whop_chat.readiness.store import ReadinessStore
from whop_chat.runtime.http import HttpClient
from whop_chat.runtime.telemetry import lambda_telemetry
from whop_chat.settings import AwsSettings, OAuthCallerSettings


def _compose(settings: OAuthCallerSettings, aws_settings: AwsSettings) -> HttpApi:
    http = HttpClient()
    aws = function_clients(aws_settings)
    parts = oauth_parts(settings, aws, http, _telemetry)
    quota = UserQuota(parts.users, settings.mints_per_minute)
    authorizer = caller_authorizer(settings, aws_settings, http)
    minting = MintOwnToken(authorizer, quota, _telemetry, lambda: parts.tokens)
    ready = ReadyRoute(ReadinessStore(aws, settings.users_table, settings.user_pool_id), _telemetry)
    return HttpApi(minting, _telemetry, lambda deadline: ready.answer(deadline=deadline))


_telemetry = lambda_telemetry()
_api = _compose(OAuthCallerSettings.from_env(os.environ), AwsSettings.from_env(os.environ))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    _telemetry.bind_request(context, request_id(event))
    try:
        return _api.handle(event, remaining_seconds=context.get_remaining_time_in_millis() / 1000)
    finally:
        _telemetry.flush()
