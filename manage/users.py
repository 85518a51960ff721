"""The user that a command is about: named by ``sub``, by user name or by e-mail address."""

import argparse
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from manage.deployment import Deployment
from manage.errors import Refused
from whop_chat.cognito.pool import ListedUser, NotActive, PoolStatus, UserPool
from whop_chat.cognito.user import UserRef, is_sub
from whop_chat.enrolment.errors import Blocked, Denied, EnrolmentInProgress
from whop_chat.users.admin import Contended
from whop_chat.users.record import Record
from whop_chat.whop.api_key import NotConfigured
from whop_chat.whop.errors import WhopError

_NOT_ACTIVE = {
    PoolStatus.GONE: "The user is deleted. No command can undo that.",
    PoolStatus.DISABLED: "The user is disabled: enable the user in the pool, then run `sync`.",
    PoolStatus.INACTIVE: "The user cannot sign in: they are unconfirmed, archived or compromised.",
}


@dataclass(frozen=True, slots=True)
class FoundUser:
    """One user. ``listed`` is what the pool lists, ``record`` what the table has; each can be None."""

    user: UserRef
    listed: ListedUser | None
    record: Record | None

    @property
    def pool_status(self) -> PoolStatus:
        """The user's status in the pool, as far as the pool lists them."""
        return self.listed.status if self.listed else PoolStatus.GONE


def add_argument(parser: argparse._ActionsContainer, *, nargs: Literal["?"] | None = None) -> None:
    """Add the argument USER."""
    parser.add_argument(
        "user", metavar="USER", nargs=nargs, help="sub, user name or e-mail address; for a deleted user, the sub"
    )


def find(deployment: Deployment, name: str, *, pool: UserPool | None = None) -> FoundUser:
    """The user that ``name`` means. ``pool`` is read instead of the deployment's, whose answers have no names.

    A ``sub`` is tried first, also that of a deleted user: somebody else may have it as a user name now. Raises
    `Refused` if ``name`` means no user or several, or if the record cannot be read.
    """
    pool = pool or deployment.pool
    if is_sub(name):
        listed = _one(deployment, pool, "sub", name)
        # Nobody knows the user name of a deleted user any more. Cognito accepts a sub in its place.
        user = listed.user if listed else UserRef(pool_id=deployment.pool_id, sub=name, username=name)
        record = _record(deployment, user)
        if listed or record:
            return FoundUser(user, listed, record)
    listed = _one(deployment, pool, "username", name)
    if listed is None and "@" in name:
        listed = _one(deployment, pool, "email", name)
    if listed is None:
        raise Refused(
            f"User pool {deployment.pool_id} has no such user, and no record has this sub. Name a deleted user by "
            "sub. The pool may not list a user of the last few seconds yet.",
            outcome="unknown_user",
        )
    return FoundUser(listed.user, listed, _record(deployment, listed.user))


def as_data(deployment: Deployment, found: FoundUser) -> dict[str, str]:
    """The user, for a JSON answer: neither the user name nor an address."""
    return {**deployment.as_data(), "sub": found.user.sub}


def not_active(pool_status: PoolStatus) -> Refused:
    """Why a command does nothing for a user who is not active."""
    return Refused(_NOT_ACTIVE[pool_status], outcome=pool_status.value)


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turn what `whop_chat` raises about one user into `Refused`, with a message for the operator."""
    try:
        yield
    except NotActive as error:
        raise not_active(error.status) from None
    except (EnrolmentInProgress, Contended):
        raise Refused("Something else is changing the user's record: run the command again in ten seconds.") from None
    except Denied:
        raise Refused("An operator has denied this user: `allow` the user first.", outcome="denied") from None
    except Blocked as error:
        raise Refused(f"The user is blocked: {error.reason}.", outcome="blocked", reason=error.reason) from None
    except NotConfigured as error:
        raise Refused(no_api_key(error), outcome="failed") from None
    except WhopError as error:
        raise Refused(f"Whop: {error}", outcome="failed") from None


def no_api_key(error: NotConfigured) -> str:
    """What an operator reads when the secret holds no usable key."""
    return f"The secret has no usable Whop API key: {error}."


def _one(
    deployment: Deployment, pool: UserPool, attribute: Literal["sub", "username", "email"], value: str
) -> ListedUser | None:
    listed = pool.list_by(attribute, value, deadline=deployment.deadline())
    if len(listed) > 1:
        subs = ", ".join(sorted(each.user.sub for each in listed))
        raise Refused(f"Several users have this {attribute}: name one by sub. {subs}", outcome="several_users")
    return listed[0] if listed else None


def _record(deployment: Deployment, user: UserRef) -> Record | None:
    records = deployment.users.get_many([user], deadline=deployment.deadline())
    if user in records and records[user] is None:
        raise Refused(
            f"The record of {user.sub} cannot be read: look at the item USER#{user.pool_id}#{user.sub} in table "
            f"{deployment.stack.output('UsersTableName')}.",
            outcome="unreadable_record",
        )
    return records.get(user)
