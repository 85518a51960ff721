"""Links, completes and unlinks users' own Whop accounts. It has no API key."""

import os
from typing import Any

from whop_chat.api.oauth_routes import OAuthApi
from whop_chat.api.routes import request_id
from whop_chat.bootstrap import function_clients
from whop_chat.minting.user_quota import UserQuota
from whop_chat.oauth.id_token import IdTokenVerifier
from whop_chat.oauth.linking import Linking
from whop_chat.oauth_bootstrap import caller_authorizer, oauth_parts
from whop_chat.runtime.http import HttpClient
from whop_chat.runtime.telemetry import lambda_telemetry
from whop_chat.settings import AwsSettings, LinkSettings


def _compose(settings: LinkSettings, aws_settings: AwsSettings) -> OAuthApi:
    http = HttpClient()
    parts = oauth_parts(settings, function_clients(aws_settings), http, _telemetry)
    linking = Linking(
        parts.users,
        parts.attempts,
        parts.links,
        parts.revocations,
        parts.server,
        IdTokenVerifier(issuer=settings.oauth_issuer, client_id=settings.oauth_client_id),
        return_urls=settings.oauth_return_urls,
        issuer=settings.oauth_issuer,
    )
    return OAuthApi(
        caller_authorizer(settings, aws_settings, http),
        UserQuota(parts.users, settings.mints_per_minute),
        linking,
        parts.unlinking,
        _telemetry,
    )


_telemetry = lambda_telemetry()
_api = _compose(LinkSettings.from_env(os.environ), AwsSettings.from_env(os.environ))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    _telemetry.bind_request(context, request_id(event))
    try:
        return _api.handle(event, remaining_seconds=context.get_remaining_time_in_millis() / 1000)
    finally:
        _telemetry.flush()
