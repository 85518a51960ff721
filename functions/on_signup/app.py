"""Cognito's triggers: one message to the queue, and the event back as it came."""

import contextlib
import functools
import os
from typing import Any

from whop_chat.runtime.aws_uncarried import uncarried_clients
from whop_chat.runtime.telemetry import Telemetry, lambda_telemetry
from whop_chat.settings import AwsSettings, SignUpSettings
from whop_chat.sync.queue import SyncQueue
from whop_chat.sync.trigger import enqueue


@functools.cache
def _queue() -> SyncQueue:
    settings = AwsSettings.from_env(os.environ)
    aws = uncarried_clients(region=settings.region, endpoint=settings.endpoint)
    # Made here, because Lambda gives a whole CPU to what happens before the first event.
    _ = aws.sqs
    return SyncQueue(aws, SignUpSettings.from_env(os.environ).sync_queue_url)


@functools.cache
def _telemetry() -> Telemetry:
    return lambda_telemetry()


def _bound_telemetry(context: Any) -> Telemetry:
    telemetry = _telemetry()
    telemetry.bind_request(context)
    return telemetry


# A failure is met again, and caught, at the first event: here it would fail the sign-up.
with contextlib.suppress(Exception):
    _queue()
    _telemetry()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Announce a sign-up or a sign-in; Cognito wants its own event as the answer."""
    with contextlib.suppress(Exception):  # Not even a log line that fails may fail a sign-up.
        enqueue(event, _queue, lambda: _bound_telemetry(context))
        _telemetry().flush()
    return event
