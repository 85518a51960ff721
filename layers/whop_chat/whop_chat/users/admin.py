"""What an operator may change on a user's record: deny, allow, look again. The rest of the record stays as it is."""

import dataclasses
from collections.abc import Callable

from whop_chat.cognito.pool import UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.lifecycle import reinstate, suspend
from whop_chat.users.record import Record, StaleRecord, Status
from whop_chat.users.repository import UserRepository

_ATTEMPTS = 5


class Contended(Exception):
    """Other workers kept writing the record. The caller may try again."""


def deny(users: UserRepository, user: UserRef, *, deadline: Deadline) -> None:
    """Deny ``user`` the chat, with or without a record. An enrolment in progress loses its lease.

    Raises `whop_chat.cognito.pool.UserGone` for a deleted user, `Contended` if other workers keep writing the record,
    `AwsError` and `DeadlineExceeded`.
    """

    def denied(current: Record | None) -> Record:
        return suspend(current or Record(status=Status.PENDING), Status.DENIED)

    _rewrite(users, user, denied, deadline)


def allow(users: UserRepository, user: UserRef, *, deadline: Deadline) -> None:
    """Take a denial back. A user that is not denied is not changed.

    The status before the denial comes back, even if the pool has disabled the user since. So a sync should follow.

    Raises what `deny` raises.
    """

    def allowed(current: Record | None) -> Record | None:
        return reinstate(current) if current and current.status is Status.DENIED else current

    _rewrite(users, user, allowed, deadline)


def look_again(users: UserRepository, user: UserRef, *, deadline: Deadline) -> None:
    """Let the next sync or token request try a blocked user again, for any reason. Other users are not changed.

    Raises what `deny` raises.
    """

    def due(current: Record | None) -> Record | None:
        return dataclasses.replace(current, retry_at=0) if current and current.status is Status.BLOCKED else current

    _rewrite(users, user, due, deadline)


def _rewrite(
    users: UserRepository, user: UserRef, change: Callable[[Record | None], Record | None], deadline: Deadline
) -> None:
    """Replace the record by ``change`` of it. A change to None, or to the same record, writes nothing."""
    for _ in range(_ATTEMPTS):
        current = users.get(user, deadline=deadline)
        if current is not None and current.status is Status.DELETED:
            raise UserGone
        wanted = change(current)
        if wanted is None or wanted == current:
            return
        try:
            users.put(user, wanted, expected=current, deadline=deadline)
        except StaleRecord:
            continue
        return
    raise Contended
