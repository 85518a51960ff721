"""Cognito's PostConfirmation trigger: one message to the queue, and the event back as it came."""

import contextlib
import functools
import os
from typing import TYPE_CHECKING, Any

from whop_chat.aws import Aws
from whop_chat.base_settings import AwsSettings, SignUpSettings
from whop_chat.sign_up import announce
from whop_chat.sync_queue import SyncQueue
from whop_chat.transport import HttpClient

if TYPE_CHECKING:
    from whop_chat.observability import Observer


@functools.cache
def _observer() -> "Observer":
    """Made, with all that it imports, while the first message is on its way: nearly each call is a start."""
    from whop_chat.observability import observer

    return observer()


@functools.cache
def _queue() -> SyncQueue:
    """Made at the first call, inside what `announce` catches, not at import, where a failure would fail the sign-up."""
    settings = SignUpSettings.from_env(os.environ)
    aws = Aws(HttpClient(while_waiting=_observer), AwsSettings.from_env(os.environ))
    return SyncQueue(aws, settings.sync_queue_url)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Announce a sign-up; Cognito wants its own event as the answer."""
    with contextlib.suppress(Exception):  # Not even the telling of it may fail a sign-up.
        announce(event, _queue, lambda: _observing(context))
        _observer().finished()
    return event


def _observing(context: Any) -> "Observer":
    observer = _observer()
    observer.started(context)
    return observer
