"""Cognito's PostConfirmation trigger: one message to the queue, and the event back as it came."""

import gc

# What is imported stays: to look for garbage meanwhile finds none, and takes each start 3 ms.
gc.disable()

import contextlib
import functools
import os
from typing import TYPE_CHECKING, Any

from whop_chat.runtime.base_settings import AwsSettings, SignUpSettings

if TYPE_CHECKING:
    from whop_chat.runtime.telemetry import Observer

from whop_chat.runtime.aws import Aws
from whop_chat.runtime.http import HttpClient
from whop_chat.sync.queue import SyncQueue
from whop_chat.sync.trigger import announce


@functools.cache
def _observer() -> "Observer":
    """Made at the first call, inside what `announce` catches."""
    from whop_chat.runtime.telemetry import observer

    return observer()


@functools.cache
def _queue() -> SyncQueue:
    """Made at the first call, inside what `announce` catches, not at import, where a failure would fail the sign-up."""
    aws = Aws(HttpClient(roots="aws"), AwsSettings.from_env(os.environ))
    return SyncQueue(aws, SignUpSettings.from_env(os.environ).sync_queue_url)


def _observing(context: Any) -> "Observer":
    observer = _observer()
    observer.started(context)
    return observer


gc.freeze()  # From now on it is only looked for in what comes on top.
gc.enable()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Announce a sign-up; Cognito wants its own event as the answer."""
    with contextlib.suppress(Exception):  # Not even the telling of it may fail a sign-up.
        announce(event, _queue, lambda: _observing(context))
        _observer().finished()
    return event
