"""Cognito's triggers: enqueues one message, and returns the event unchanged.

Our modules are imported inside functions whose callers catch errors. Otherwise a failed import would fail every
sign-up.
"""

import contextlib
import functools
import gc
import logging
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whop_chat.runtime.telemetry import Telemetry
    from whop_chat.sync.queue import SyncQueue


@functools.cache
def _queue() -> "SyncQueue":
    from whop_chat.runtime.botocore_clients import botocore_clients
    from whop_chat.settings import AwsSettings, SignUpSettings
    from whop_chat.sync.queue import SyncQueue

    settings = AwsSettings.from_env(os.environ)
    aws = botocore_clients(region=settings.region, endpoint=settings.endpoint)
    # The first use makes the client. Lambda gives a whole CPU to the code that runs before the first event.
    _ = aws.sqs
    return SyncQueue(aws, SignUpSettings.from_env(os.environ).sync_queue_url)


@functools.cache
def _telemetry() -> "Telemetry":
    from whop_chat.runtime.telemetry import lambda_telemetry

    return lambda_telemetry()


def _bound_telemetry(context: Any) -> "Telemetry":
    telemetry = _telemetry()
    telemetry.bind_request(context)
    return telemetry


def _enqueue(event: dict[str, Any], context: Any) -> None:
    from whop_chat.sync.trigger import enqueue

    # Cognito's event has no request id, so the invocation's own goes with the message.
    request_id = getattr(context, "aws_request_id", None)
    enqueue(event, _queue, lambda: _bound_telemetry(context), correlation_id=request_id)
    _telemetry().flush()


# Imported objects live for ever, so collecting garbage during import finds nothing. It takes 6 % of a cold start.
gc.disable()
# A failure is not reported here: the first event tries again, and reports it.
with contextlib.suppress(Exception):
    _queue()
    _telemetry()
gc.freeze()
gc.enable()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Enqueue the user of a sign-up or a sign-in, and return ``event``, as Cognito requires."""
    try:
        _enqueue(event, context)
    except Exception as error:  # Not even a log line that fails may fail a sign-up.
        logging.getLogger(__name__).error("the sign-up trigger failed: %s", type(error).__name__)
    return event
