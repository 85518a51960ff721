"""Cognito's sign-up trigger: put the new user on the queue, and let nothing that happens here fail the sign-up.

The user is already confirmed when the trigger runs; an error would only be shown to them, and confirming again would
fail for good (AWS, "Post confirmation Lambda trigger").
"""

from collections.abc import Callable, Mapping
from typing import Any

from whop_chat.deadline import Deadline
from whop_chat.identity import UserRef
from whop_chat.observability import Observer
from whop_chat.sync_queue import Source, SyncQueue

# Also sent when an administrator confirms a user, and for the first sign-in of a federated one. The other source of
# this trigger, PostConfirmation_ConfirmForgotPassword, is about a user who has been here before.
_SIGN_UP = "PostConfirmation_ConfirmSignUp"
# Two attempts of a second; Cognito waits five for the whole function.
_SECONDS = 2.1


def announce(event: Mapping[str, Any], queue: Callable[[], SyncQueue], observer: Observer) -> None:
    """Enqueue the user of a sign-up; whatever goes wrong is logged and counted, never raised.

    ``queue`` makes or gets the queue, so that a failure to make it is caught as well. Of the event only what Cognito
    itself wrote is used: ``clientMetadata`` comes from the client.
    """
    try:
        source = event["triggerSource"]
        if source != _SIGN_UP:
            observer.counted("TriggerIgnored", "not a sign-up", source=source)
            return
        user = UserRef(
            pool_id=event["userPoolId"],
            sub=event["request"]["userAttributes"]["sub"],
            username=event["userName"],
        )
        observer.concerns(user)
        queue().send(user, Source.SIGN_UP, deadline=Deadline(_SECONDS))
        observer.counted("SignUpEnqueued", "sign-up enqueued")
    except Exception as error:
        observer.failed("sign-up not enqueued", error, metric="SignUpNotEnqueued")
