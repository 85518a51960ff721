"""Who may work on a user now: a lease of ten seconds at most, kept in the user's record.

Each write needs the record that this worker wrote last. A worker that lost its lease notices at its next write.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable

from whop_chat.cognito.user import UserRef
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.users.record import Lost, Record, Status
from whop_chat.users.repository import Directory

LEASE_SECONDS = 10
# A release may take this long beyond the deadline: it saves the next worker the rest of the lease.
_RELEASE_SECONDS = 0.3


class Lease:
    """One worker's lease on ``user``. ``clock`` tells epoch seconds; every call ends by ``deadline``."""

    record: Record
    """The record as this worker wrote it last."""

    def __init__(
        self, users: Directory, user: UserRef, *, deadline: Deadline, clock: Callable[[], float] = time.time
    ) -> None:
        self.user = user
        self.deadline = deadline
        self._users = users
        self._clock = clock

    def now(self) -> int:
        """The time, in whole epoch seconds."""
        return int(self._clock())

    def acquire(self, start: Record, expected: Record | None) -> None:
        """Take the lease with a record built on ``start``, in place of ``expected`` (None: no record).

        Raises `whop_chat.users.record.Lost` if another worker was first.
        """
        leased = dataclasses.replace(
            start, status=Status.CLAIMED, lease_until=self.now() + LEASE_SECONDS, reason=None, retry_at=None
        )
        self.record = self._users.put(self.user, leased, seen=expected, deadline=self.deadline)

    def write(self, record: Record) -> None:
        """Replace the record; raises `whop_chat.users.record.Lost` if the lease is another worker's by now."""
        self.record = self._users.put(self.user, record, seen=self.record, deadline=self.deadline)

    def release(self, record: Record) -> None:
        """Leave ``record`` to the next worker, as far as that is possible.

        It never raises: the caller has an error of its own to report, and the lease runs out by itself.
        """
        grace = Deadline(max(_RELEASE_SECONDS, self.deadline.remaining()))
        with contextlib.suppress(Lost, AwsError, DeadlineExceeded):
            self.record = self._users.put(self.user, record, seen=self.record, deadline=grace)
