"""Cognito's PostConfirmation trigger: one message to the queue, and the event back as it came."""

import gc

# What is imported stays: to look for garbage meanwhile finds none, and takes each start 3 ms.
gc.disable()

import contextlib
import functools
import os
from typing import TYPE_CHECKING, Any

from whop_chat.runtime.base_settings import AwsSettings, SignUpSettings
from whop_chat.runtime.connections import Connections
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.prefetch import HeadStart

if TYPE_CHECKING:
    from whop_chat.runtime.telemetry import Observer

# A sign-up waits for it, and goes on without it.
_CONNECT_SECONDS = 0.5


@functools.cache
def _connections() -> Connections:
    return Connections()


def _connect(deadline: Deadline) -> None:
    _connections().prepare(AwsSettings.from_env(os.environ).url("sqs"), deadline=deadline)


_head_start = HeadStart(_connect, seconds=_CONNECT_SECONDS)

# Imported while the connection is being made.
from whop_chat.runtime.aws import Aws
from whop_chat.runtime.http import HttpClient
from whop_chat.sync.queue import SyncQueue
from whop_chat.sync.trigger import announce


@functools.cache
def _observer() -> "Observer":
    """Made, with all that it imports, while the first message is on its way: nearly each call is a start."""
    from whop_chat.runtime.telemetry import observer

    return observer()


@functools.cache
def _queue() -> SyncQueue:
    """Made at the first call, inside what `announce` catches, not at import, where a failure would fail the sign-up."""
    aws = Aws(HttpClient(_connections(), while_waiting=_observer), AwsSettings.from_env(os.environ))
    return SyncQueue(aws, SignUpSettings.from_env(os.environ).sync_queue_url)


def _observing(context: Any) -> "Observer":
    observer = _observer()
    observer.started(context)
    return observer


_head_start.wait()
gc.freeze()  # From now on it is only looked for in what comes on top.
gc.enable()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Announce a sign-up; Cognito wants its own event as the answer."""
    with contextlib.suppress(Exception):  # Not even the telling of it may fail a sign-up.
        announce(event, _queue, lambda: _observing(context))
        _observer().finished()
    return event
