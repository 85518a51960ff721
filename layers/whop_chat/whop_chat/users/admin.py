"""What an operator says of a user: shut out, let in again, look again. Everything else on the record stays as it is."""

import dataclasses
from collections.abc import Callable

from whop_chat.cognito.pool import UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.lifecycle import restored, shut
from whop_chat.users.record import Lost, Record, Status
from whop_chat.users.repository import Directory

_ATTEMPTS = 5


class Contended(Exception):
    """Others kept writing the record; try again."""


def deny(users: Directory, user: UserRef, *, deadline: Deadline) -> None:
    """Shut ``user`` out, whether they have been here or not; an enrolment under way loses its claim.

    Raises `whop_chat.cognito.pool.UserGone` for one who is deleted, `Contended` if others keep
    writing the record, `AwsError` and `DeadlineExceeded`.
    """
    _rewrite(users, user, lambda seen: shut(seen or Record(status=Status.CLAIMED), Status.DENIED), deadline)


def allow(users: Directory, user: UserRef, *, deadline: Deadline) -> None:
    """Take a denial back; who is not denied stays as they are.

    What was there before comes back, also if the pool has disabled the user meanwhile: let a sync follow.

    Raises what `deny` raises.
    """
    _rewrite(users, user, lambda seen: restored(seen) if seen and seen.status is Status.DENIED else seen, deadline)


def look_again(users: Directory, user: UserRef, *, deadline: Deadline) -> None:
    """Have a block looked at by the next sync or token, whatever its reason; who is not blocked stays as they are.

    Raises what `deny` raises.
    """

    def due(seen: Record | None) -> Record | None:
        return dataclasses.replace(seen, retry_at=0) if seen and seen.status is Status.BLOCKED else seen

    _rewrite(users, user, due, deadline)


def _rewrite(
    users: Directory, user: UserRef, change: Callable[[Record | None], Record | None], deadline: Deadline
) -> None:
    for _ in range(_ATTEMPTS):
        seen = users.get(user, deadline=deadline)
        if seen is not None and seen.status is Status.DELETED:
            raise UserGone
        wanted = change(seen)
        if wanted is None or wanted == seen:
            return
        try:
            users.put(user, wanted, seen=seen, deadline=deadline)
        except Lost:
            continue
        return
    raise Contended
