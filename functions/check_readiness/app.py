"""Checks every 15 minutes whether users would get a token, and stores the result for ``GET /health/ready``."""

import os
from typing import Any

from whop_chat.bootstrap import function_clients, whop_client
from whop_chat.cognito.issuer import jwks_url
from whop_chat.cognito.jwks import http_fetch
from whop_chat.readiness.check import ReadinessCheck
from whop_chat.readiness.store import ReadinessStore
from whop_chat.runtime.http import HttpClient
from whop_chat.runtime.telemetry import lambda_telemetry
from whop_chat.settings import AwsSettings, ReadinessSettings
from whop_chat.sync.backlog import Backlog
from whop_chat.whop.api_key import ApiKey
from whop_chat.whop.circuit_state import CircuitStates, DynamoDBCircuitStore
from whop_chat.whop.rate_limit import Priority


def _compose(settings: ReadinessSettings, aws_settings: AwsSettings) -> ReadinessCheck:
    http = HttpClient()
    aws = function_clients(aws_settings)
    circuit_states = CircuitStates(DynamoDBCircuitStore(aws, settings.users_table, settings.whop_company_id))
    keys_url = jwks_url(settings.user_pool_id, aws_settings.endpoint, settings.user_pool_issuer)
    return ReadinessCheck(
        whop_client(
            settings,
            aws,
            ApiKey(aws, settings.whop_secret_arn),
            http,
            _telemetry,
            circuit_states,
            Priority.BACKGROUND,
        ),
        http_fetch(http, keys_url),
        Backlog(aws, settings.users_table, settings.user_pool_id),
        ReadinessStore(aws, settings.users_table, settings.user_pool_id),
        _telemetry,
    )


_telemetry = lambda_telemetry()
_check = _compose(ReadinessSettings.from_env(os.environ), AwsSettings.from_env(os.environ))


def handler(_event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Check once, and return the result of each part."""
    _telemetry.bind_request(context)
    try:
        readiness = _check.run()
        return {"ready": readiness.is_ready, "checks": dict(readiness.checks)}
    finally:
        _telemetry.flush()
