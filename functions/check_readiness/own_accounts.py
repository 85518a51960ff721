"""As `app`, where users link their own Whop accounts only: there is no API key to check."""

import os
from typing import Any

from whop_chat.bootstrap import function_clients
from whop_chat.cognito.issuer import jwks_url
from whop_chat.cognito.jwks import http_fetch
from whop_chat.readiness.check import ReadinessCheck
from whop_chat.readiness.store import ReadinessStore
from whop_chat.runtime.http import HttpClient
from whop_chat.runtime.telemetry import lambda_telemetry
from whop_chat.settings import AwsSettings, PoolKeysSettings
from whop_chat.sync.backlog import Backlog


def _compose(settings: PoolKeysSettings, aws_settings: AwsSettings) -> ReadinessCheck:
    aws = function_clients(aws_settings)
    keys_url = jwks_url(settings.user_pool_id, aws_settings.endpoint, settings.user_pool_issuer)
    return ReadinessCheck(
        None,
        http_fetch(HttpClient(), keys_url),
        Backlog(aws, settings.users_table, settings.user_pool_id),
        ReadinessStore(aws, settings.users_table, settings.user_pool_id),
        _telemetry,
    )


_telemetry = lambda_telemetry()
_check = _compose(PoolKeysSettings.from_env(os.environ), AwsSettings.from_env(os.environ))


def handler(_event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Check once, and return the result of each part."""
    _telemetry.bind_request(context)
    try:
        readiness = _check.run()
        return {"ready": readiness.is_ready, "checks": dict(readiness.checks)}
    finally:
        _telemetry.flush()
