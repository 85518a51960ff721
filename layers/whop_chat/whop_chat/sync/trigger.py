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
    from whop_chat.runtime.telemetry import Observer


class _Occasion(NamedTuple):
    source: Source
    metric: str
    words: str


# The first is also sent when an administrator confirms a user, and for the first sign-in of a federated one. The other
# source of that trigger, PostConfirmation_ConfirmForgotPassword, is about a user who has been here before.
_OCCASIONS = {
    "PostConfirmation_ConfirmSignUp": _Occasion(Source.SIGN_UP, "SignUp", "sign-up"),
    "PostAuthentication_Authentication": _Occasion(Source.SIGN_IN, "SignIn", "sign-in"),
}
_UNKNOWN = _Occasion(Source.SIGN_UP, "SignUp", "sign-up")
# Two attempts of a second; Cognito waits five for the whole function.
_SECONDS = 2.1


def announce(event: Mapping[str, Any], queue: Callable[[], SyncQueue], observer: Callable[[], "Observer"]) -> None:
    """Enqueue the user of a sign-up or a sign-in; whatever goes wrong is logged and counted, never raised.

    ``queue`` makes or gets the queue, so that a failure to make it is caught as well; ``observer`` is asked for when
    there is something to tell. Of the event only what Cognito itself wrote is used: ``clientMetadata`` comes from the
    client.
    """
    occasion, user = _UNKNOWN, None
    try:
        trigger = event["triggerSource"]
        if trigger not in _OCCASIONS:
            observer().counted("TriggerIgnored", "neither a sign-up nor a sign-in", source=trigger)
            return
        occasion = _OCCASIONS[trigger]
        user = UserRef(
            pool_id=event["userPoolId"],
            sub=event["request"]["userAttributes"]["sub"],
            username=event["userName"],
        )
        run_within(_SECONDS, functools.partial(_send, queue, user, occasion.source))
    except Exception as error:
        told = observer()
        told.concerns(user.sub if user else None)
        told.failed(f"{occasion.words} not enqueued", error, metric=f"{occasion.metric}NotEnqueued")
    else:
        told = observer()
        told.concerns(user.sub)
        told.counted(f"{occasion.metric}Enqueued", f"{occasion.words} enqueued")


def _send(queue: Callable[[], SyncQueue], user: UserRef, source: Source) -> None:
    queue().send(user, source, deadline=Deadline(_SECONDS))
