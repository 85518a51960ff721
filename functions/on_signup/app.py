"""Cognito's PostConfirmation trigger: one message to the queue, and the event back as it came."""

import contextlib
import functools
import os
from typing import Any

from whop_chat.aws import Aws
from whop_chat.observability import observer
from whop_chat.settings import AwsSettings, SignUpSettings
from whop_chat.sign_up import announce
from whop_chat.sync_queue import SyncQueue
from whop_chat.transport import HttpClient


@functools.cache
def _queue() -> SyncQueue:
    """Made at the first call, inside what `announce` catches, not at import, where a failure would fail the sign-up."""
    settings = SignUpSettings.from_env(os.environ)
    aws = Aws(HttpClient(), AwsSettings.from_env(os.environ))
    return SyncQueue(aws, settings.sync_queue_url)


_observer = observer()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Announce a sign-up; Cognito wants its own event as the answer."""
    with contextlib.suppress(Exception):  # Not even the telling of it may fail a sign-up.
        _observer.started(context)
        announce(event, _queue, _observer)
        _observer.finished()
    return event
