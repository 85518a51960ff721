"""What the pool says about the user of a message."""

import contextlib

from whop_chat.cognito.pool import NotActive, PoolStatus, PoolUser, UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.enrol import PoolReader
from whop_chat.runtime.deadline import Deadline
from whop_chat.sync.queue import Source

# These users have just acted, so Cognito bills them as active anyway. They are read with AdminGetUser, consistently.
# It also proves that they can sign in, whatever their password.
_ACTIVE_SOURCES = (Source.SIGN_UP, Source.SIGN_IN, Source.FIRST_TOKEN)


def read_user(
    pool: PoolReader, user: UserRef, source: Source, deadline: Deadline
) -> tuple[PoolUser | None, PoolStatus]:
    """The user, and their status. A password that is due counts as active if ``source`` makes up for it."""
    try:
        if source in _ACTIVE_SOURCES:
            # The message may have a wrong user name. So if this read finds no user, the look-up by sub decides.
            with contextlib.suppress(UserGone):
                return pool.admin_get(user, deadline=deadline), PoolStatus.ACTIVE
        listed = pool.lookup(user, deadline=deadline)
    except NotActive as error:
        return None, error.status
    if listed.may_sign_in and source in (*_ACTIVE_SOURCES, Source.PASSWORDLESS):
        return listed.pool_user, PoolStatus.ACTIVE
    return listed.pool_user, listed.status
