"""Cognito's triggers: put the user on the queue, and let nothing that happens here fail a sign-up or a sign-in.

At a sign-up the user is already confirmed when the trigger runs; an error would only be shown to them, and confirming
again would fail for good (AWS, "Post confirmation Lambda trigger"). At a sign-in an error would keep them out.
"""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from whop_chat.cognito.user import UserRef
from whop_chat.runtime.deadline import Deadline, run_within
from whop_chat.sync.queue import Source, SyncQueue

if TYPE_CHECKING:
    from whop_chat.runtime.telemetry import Telemetry


class _TriggerEvent(NamedTuple):
    source: Source
    metric: str
    phrase: str


# The first is also sent when an administrator confirms a user, and for the first sign-in of a federated one. The other
# source of that trigger, PostConfirmation_ConfirmForgotPassword, is about a user who has been here before.
_TRIGGER_EVENTS = {
    "PostConfirmation_ConfirmSignUp": _TriggerEvent(Source.SIGN_UP, "SignUp", "sign-up"),
    "PostAuthentication_Authentication": _TriggerEvent(Source.SIGN_IN, "SignIn", "sign-in"),
}
_UNKNOWN = _TriggerEvent(Source.SIGN_UP, "SignUp", "sign-up")
# Two attempts of a second; Cognito waits five for the whole function.
_SECONDS = 2.1


def enqueue(event: Mapping[str, Any], queue: Callable[[], SyncQueue], telemetry: Callable[[], "Telemetry"]) -> None:
    """Enqueue the user of a sign-up or a sign-in; whatever goes wrong is logged and counted, never raised.

    ``queue`` makes or gets the queue, so that a failure to make it is caught as well; ``telemetry`` is asked for when
    there is something to tell. Of the event only what Cognito itself wrote is used: ``clientMetadata`` comes from the
    client.
    """
    trigger_event, user = _UNKNOWN, None
    try:
        trigger = event["triggerSource"]
        if trigger not in _TRIGGER_EVENTS:
            telemetry().event("TriggerIgnored", "neither a sign-up nor a sign-in", source=trigger)
            return
        trigger_event = _TRIGGER_EVENTS[trigger]
        user = UserRef(
            pool_id=event["userPoolId"],
            sub=event["request"]["userAttributes"]["sub"],
            username=event["userName"],
        )
        run_within(_SECONDS, functools.partial(_send, queue, user, trigger_event.source))
    except Exception as error:
        told = telemetry()
        told.bind_user(user.sub if user else None)
        told.warning(f"{trigger_event.phrase} not enqueued", error, metric=f"{trigger_event.metric}NotEnqueued")
    else:
        told = telemetry()
        told.bind_user(user.sub)
        told.event(f"{trigger_event.metric}Enqueued", f"{trigger_event.phrase} enqueued")


def _send(queue: Callable[[], SyncQueue], user: UserRef, source: Source) -> None:
    queue().send(user, source, deadline=Deadline(_SECONDS))
