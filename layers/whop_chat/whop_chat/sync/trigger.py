"""Cognito's triggers: enqueue the user, and never fail a sign-up or a sign-in.

At a sign-up, the trigger runs after Cognito confirmed the user. Cognito would only show an error to the user, and a
second confirmation always fails (AWS, "Post confirmation Lambda trigger"). At a sign-in an error would keep them out.
"""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from whop_chat.cognito.user import UserRef
from whop_chat.runtime.deadline import Deadline, run_within
from whop_chat.runtime.metrics import SIGN_UPS_NOT_ENQUEUED
from whop_chat.sync.queue import Source, SyncQueue

if TYPE_CHECKING:
    from whop_chat.runtime.telemetry import Telemetry


class _TriggerEvent(NamedTuple):
    source: Source
    phrase: str


# Cognito also sends the first when an administrator confirms a user, and at the first sign-in of a federated user. The
# other source of that trigger, PostConfirmation_ConfirmForgotPassword, is about a user that signed up earlier.
_TRIGGER_EVENTS = {
    "PostConfirmation_ConfirmSignUp": _TriggerEvent(Source.SIGN_UP, "sign-up"),
    "PostAuthentication_Authentication": _TriggerEvent(Source.SIGN_IN, "sign-in"),
}
_UNKNOWN = _TriggerEvent(Source.SIGN_UP, "sign-up")
# Two attempts of one second each. Cognito waits five seconds for the whole function.
_SECONDS = 2.1


def enqueue(
    event: Mapping[str, Any],
    queue: Callable[[], SyncQueue],
    telemetry: Callable[[], "Telemetry"],
    *,
    correlation_id: str | None = None,
) -> None:
    """Enqueue the user of a sign-up or a sign-in. Every error is logged and counted, never raised.

    ``queue`` returns the queue, so that a failure to make it is caught as well. ``telemetry`` is called when there is
    something to report. ``correlation_id`` goes with the message. Only the members that Cognito wrote are read from the
    event. ``clientMetadata`` is not, because the client writes it.
    """
    trigger_event, user = _UNKNOWN, None
    try:
        trigger = event["triggerSource"]
        if trigger not in _TRIGGER_EVENTS:
            telemetry().event("neither a sign-up nor a sign-in", source=trigger)
            return
        trigger_event = _TRIGGER_EVENTS[trigger]
        user = UserRef(
            pool_id=event["userPoolId"],
            sub=event["request"]["userAttributes"]["sub"],
            username=event["userName"],
        )
        client_id = _client_id(event)
        send = functools.partial(_send, queue, user, trigger_event.source, client_id, correlation_id)
        run_within(_SECONDS, send)
    except Exception as error:
        reporter = telemetry()
        reporter.bind_user(user.sub if user else None)
        reporter.warning(f"{trigger_event.phrase} not enqueued", error)
        if trigger_event.source is Source.SIGN_UP:
            reporter.count(SIGN_UPS_NOT_ENQUEUED)
    else:
        reporter = telemetry()
        reporter.bind_user(user.sub)
        reporter.event(f"{trigger_event.phrase} enqueued")


def _client_id(event: Mapping[str, Any]) -> str | None:
    """The app client that Cognito names. `sync_user` decides about it, and this function has no settings to do so."""
    match event.get("callerContext"):
        case {"clientId": str(client_id)}:
            return client_id
    return None


def _send(
    queue: Callable[[], SyncQueue], user: UserRef, source: Source, client_id: str | None, correlation_id: str | None
) -> None:
    queue().send(user, source, client_id, correlation_id=correlation_id, deadline=Deadline(_SECONDS))
