"""A signed-in user asks to be brought up to date at Whop, such as after a change of their name."""

from whop_chat.minting.authorizer import Authorizer
from whop_chat.minting.user_quota import UserQuota
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.sync.queue import Source, SyncQueue


class RequestSync:
    """Enqueues a sync for the users of one pool. A request counts as a mint, so one user cannot flood the queue."""

    def __init__(self, authorizer: Authorizer, quota: UserQuota, queue: SyncQueue, telemetry: Telemetry) -> None:
        self._authorizer = authorizer
        self._quota = quota
        self._queue = queue
        self._telemetry = telemetry

    def request(self, cognito_token: str, *, deadline: Deadline) -> None:
        """Enqueue a sync of the user of ``cognito_token``. A repetition changes nothing more.

        A user without a record has nothing to bring up to date: their first token enqueues a sync anyway.

        Raises what `whop_chat.minting.authorizer.Authorizer.grant` and `UserQuota.count` raise, and
        `whop_chat.runtime.aws.AwsError`.
        """
        user = self._authorizer.grant(cognito_token, None, deadline=deadline).user
        self._telemetry.bind_user(user.sub)
        self._quota.require_not_refused(user)
        if self._quota.count(user, deadline=deadline) is not None:
            self._queue.send(user, Source.REQUEST, correlation_id=self._telemetry.correlation_id, deadline=deadline)
