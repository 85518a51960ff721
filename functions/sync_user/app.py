"""Handles the messages of the sync queue, in batches."""

import os
from typing import Any

from whop_chat.bootstrap import enrolment_parts, function_clients
from whop_chat.enrolment.cleanup import CleanUp
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.http import HttpClient
from whop_chat.runtime.telemetry import lambda_telemetry
from whop_chat.settings import AwsSettings, OAuthSettings, SyncSettings
from whop_chat.sync.backlog import Backlog
from whop_chat.sync.batch import SyncBatch
from whop_chat.sync.queue import SyncQueue
from whop_chat.sync.worker import SECONDS_PER_USER, OwnAccounts, SyncUser
from whop_chat.users.runs import DynamoDBRuns
from whop_chat.whop.api_key import ApiKey
from whop_chat.whop.circuit_state import CircuitStates, DynamoDBCircuitStore
from whop_chat.whop.rate_limit import Priority


def _own_accounts(http: HttpClient, aws: AwsClients, *, oauth: bool) -> OwnAccounts | None:
    """The links of users to Whop accounts of their own. None if ``AuthModes`` has no oauth."""
    if not oauth:
        return None
    from whop_chat.oauth_bootstrap import oauth_parts

    return oauth_parts(OAuthSettings.from_env(os.environ), aws, http, _telemetry).unlinking


def _compose(settings: SyncSettings, aws_settings: AwsSettings) -> SyncBatch:
    http = HttpClient()
    aws = function_clients(aws_settings)
    api_key = ApiKey(aws, settings.whop_secret_arn)
    circuit_states = CircuitStates(DynamoDBCircuitStore(aws, settings.users_table, settings.whop_company_id))
    parts = enrolment_parts(settings, aws, api_key, http, _telemetry, circuit_states, Priority.BACKGROUND)
    dead_letters = SyncQueue(aws, settings.sync_dead_letter_queue_url)
    clean_up = CleanUp(parts.users, parts.whop, _telemetry, settings.delete_policy)
    syncing = SyncUser(
        parts.users,
        parts.pool,
        parts.enrolment,
        parts.whop,
        clean_up,
        _telemetry,
        pool_id=settings.user_pool_id,
        client_ids=settings.user_pool_client_ids,
        refusals=parts.refusals,
        own_accounts=_own_accounts(http, aws, oauth=settings.oauth),
        runs=DynamoDBRuns(aws, settings.users_table, settings.user_pool_id),
        avatars=SyncQueue(aws, settings.avatar_queue_url) if settings.avatar_queue_url else None,
    )
    backlog = Backlog(aws, settings.users_table, settings.user_pool_id)
    return SyncBatch(syncing, parts.queue, dead_letters, backlog, _telemetry, seconds=SECONDS_PER_USER)


_telemetry = lambda_telemetry()
_batch = _compose(SyncSettings.from_env(os.environ), AwsSettings.from_env(os.environ))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Sync the users of one batch, and return the messages that failed."""
    _telemetry.bind_request(context)
    try:
        return _batch.handle(event["Records"], lambda: context.get_remaining_time_in_millis() / 1000)
    finally:
        _telemetry.flush()
