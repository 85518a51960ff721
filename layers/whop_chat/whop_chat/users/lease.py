"""The lease that lets one worker at a time change a user: ten seconds at most, stored in the user's record.

Each write expects the record that this worker wrote last. A worker that lost its lease notices at its next write.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable

from whop_chat.cognito.user import UserRef
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.users.record import Record, StaleRecord, Status
from whop_chat.users.repository import UserRepository

LEASE_SECONDS = 10
# A release may overrun the deadline by this much. It saves the next worker the rest of the lease.
_RELEASE_SECONDS = 0.3


class Lease:
    """One worker's lease on ``user``. ``clock`` returns epoch seconds. Every call ends by ``deadline``."""

    record: Record
    """The record as this worker wrote it last."""

    def __init__(
        self, users: UserRepository, user: UserRef, *, deadline: Deadline, clock: Callable[[], float] = time.time
    ) -> None:
        self.user = user
        self.deadline = deadline
        self._users = users
        self._clock = clock

    def now(self) -> int:
        """The time, in whole epoch seconds."""
        return int(self._clock())

    def acquire(self, start: Record, expected: Record | None) -> None:
        """Take the lease with a record built on ``start``, which replaces ``expected`` (None: no record).

        Raises `whop_chat.users.record.StaleRecord` if another worker was first.
        """
        leased = dataclasses.replace(
            start,
            status=Status.PENDING,
            lease_until=self.now() + LEASE_SECONDS,
            reason=None,
            retry_at=None,
            conflict_whop_user_id=None,
            blocked_digest=None,
        )
        self.record = self._users.put(self.user, leased, expected=expected, deadline=self.deadline)

    def write(self, record: Record) -> None:
        """Replace the record. Raises `whop_chat.users.record.StaleRecord` if another worker has the lease by now."""
        self.record = self._users.put(self.user, record, expected=self.record, deadline=self.deadline)

    def release(self, record: Record) -> None:
        """Write ``record`` for the next worker, if that is possible.

        It never raises. The caller has an error of its own to report, and the lease expires by itself.
        """
        grace = Deadline(max(_RELEASE_SECONDS, self.deadline.remaining()))
        with contextlib.suppress(StaleRecord, AwsError, DeadlineExceeded):
            self.record = self._users.put(self.user, record, expected=self.record, deadline=grace)
