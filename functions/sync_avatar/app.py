"""Handles the messages of the avatar queue."""

import os
from typing import Any

from whop_chat.avatars.fetcher import PictureFetcher
from whop_chat.avatars.worker import FETCH_SECONDS, SECONDS_PER_PICTURE, SyncAvatar
from whop_chat.bootstrap import function_clients, whop_client
from whop_chat.cognito.pool import UserPool
from whop_chat.runtime.http import HttpClient
from whop_chat.runtime.telemetry import lambda_telemetry
from whop_chat.settings import AvatarSettings, AwsSettings
from whop_chat.sync.batch import SyncBatch
from whop_chat.sync.queue import SyncQueue
from whop_chat.users.repository import DynamoDBUserRepository
from whop_chat.whop.api_key import ApiKey
from whop_chat.whop.circuit_state import CircuitStates, DynamoDBCircuitStore
from whop_chat.whop.rate_limit import Priority


def _compose(settings: AvatarSettings, aws_settings: AwsSettings) -> SyncBatch:
    aws = function_clients(aws_settings)
    api_key = ApiKey(aws, settings.whop_secret_arn)
    circuit_states = CircuitStates(DynamoDBCircuitStore(aws, settings.users_table, settings.whop_company_id))
    whop = whop_client(settings, aws, api_key, HttpClient(), _telemetry, circuit_states, Priority.BACKGROUND)
    # The call of another function takes as long as that one works.
    patient = function_clients(aws_settings, attempt_seconds=FETCH_SECONDS)
    syncing = SyncAvatar(
        DynamoDBUserRepository(aws, settings.users_table),
        UserPool(aws, settings.user_pool_id, (), settings.avatar_source),
        PictureFetcher(patient, settings.fetch_picture_function),
        whop,
        _telemetry,
        pool_id=settings.user_pool_id,
    )
    queue, dead_letters = (
        SyncQueue(aws, url) for url in (settings.avatar_queue_url, settings.avatar_dead_letter_queue_url)
    )
    return SyncBatch(syncing, queue, dead_letters, None, _telemetry, seconds=SECONDS_PER_PICTURE)


_telemetry = lambda_telemetry()
_batch = _compose(AvatarSettings.from_env(os.environ), AwsSettings.from_env(os.environ))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Bring the pictures of one batch up to date, and return the messages that failed."""
    _telemetry.bind_request(context)
    try:
        return _batch.handle(event["Records"], lambda: context.get_remaining_time_in_millis() / 1000)
    finally:
        _telemetry.flush()
