"""Who is meant by the USER of a command: a ``sub``, a user name or an e-mail address."""

import argparse
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from manage.console import Refused
from manage.deployment import Deployment
from whop_chat.cognito.pool import Listed, NotActive, Standing
from whop_chat.cognito.user import UserRef, is_sub
from whop_chat.enrolment.errors import Blocked, EnrolmentInProgress, UserDenied
from whop_chat.users.admin import Contended
from whop_chat.users.record import Record
from whop_chat.whop.api_key import NotConfigured
from whop_chat.whop.errors import WhopError

_NOT_ACTIVE = {
    Standing.GONE: "The user is deleted, which no command takes back.",
    Standing.DISABLED: "The user is disabled: enable them in the pool, then `sync` them.",
    Standing.INACTIVE: "The user cannot sign in as they are: unconfirmed, or with a password to change.",
}


@dataclass(frozen=True, slots=True)
class FoundUser:
    """One user: as the pool lists them, None for one it does not list any more, and as the table has them."""

    user: UserRef
    listed: Listed | None
    record: Record | None

    @property
    def standing(self) -> Standing:
        """How they stand in the pool, as far as it lists them."""
        return self.listed.standing if self.listed else Standing.GONE


def add_argument(parser: argparse._ActionsContainer, *, nargs: Literal["?"] | None = None) -> None:
    """The argument USER."""
    parser.add_argument(
        "user", metavar="USER", nargs=nargs, help="sub, user name or e-mail address; of a deleted user the sub"
    )


def find(deployment: Deployment, text: str) -> FoundUser:
    """The user that ``text`` names.

    A ``sub`` goes first, also that of a user who is gone: whoever has it for a user name now is somebody else. Raises
    `Refused` for nobody, for more than one, and for a record that cannot be understood.
    """
    if is_sub(text):
        listed = _one(deployment, "sub", text)
        # Of one who is gone nobody knows the user name any more. Cognito takes a sub for one.
        user = listed.user if listed else UserRef(pool_id=deployment.pool_id, sub=text, username=text)
        record = record_of(deployment, user)
        if listed or record:
            return FoundUser(user, listed, record)
    listed = _one(deployment, "username", text)
    if listed is None and "@" in text:
        listed = _one(deployment, "email", text)
    if listed is None:
        raise Refused(
            f"User pool {deployment.pool_id} lists nobody by this name, and no record has it for a sub. A deleted user "
            "has to be named by sub; one of the last seconds may not be listed yet.",
            outcome="unknown_user",
        )
    return FoundUser(listed.user, listed, record_of(deployment, listed.user))


def record_of(deployment: Deployment, user: UserRef) -> Record | None:
    """The user's record. Raises `Refused` if it cannot be understood."""
    found = deployment.users.get_many([user], deadline=deployment.deadline())
    if user in found and found[user] is None:
        raise Refused(
            f"The record of {user.sub} cannot be understood: look at the item USER#{user.pool_id}#{user.sub} in table "
            f"{deployment.stack.output('UsersTableName')}.",
            outcome="unreadable_record",
        )
    return found.get(user)


def _one(deployment: Deployment, attribute: Literal["sub", "username", "email"], value: str) -> Listed | None:
    found = deployment.pool.having(attribute, value, deadline=deployment.deadline())
    if len(found) > 1:
        subs = ", ".join(sorted(listed.user.sub for listed in found))
        raise Refused(f"Several users have this {attribute}: name one by sub. {subs}", outcome="several_users")
    return found[0] if found else None


def as_data(deployment: Deployment, found: FoundUser) -> dict[str, str]:
    """Who was meant, for the JSON answer: no name and no address."""
    return {"stack": deployment.stack.name, "user_pool_id": deployment.pool_id, "sub": found.user.sub}


def not_active(standing: Standing) -> Refused:
    """Why a command does not do it for a user of this ``standing``, who is not active."""
    return Refused(_NOT_ACTIVE[standing], outcome=standing.value)


@contextlib.contextmanager
def understood() -> Iterator[None]:
    """What the package says of one user, as refusals an operator can do something with."""
    try:
        yield
    except NotActive as error:
        raise not_active(error.standing) from None
    except (EnrolmentInProgress, Contended):
        raise Refused("Somebody else is writing the user's record: run it again in ten seconds.") from None
    except UserDenied:
        raise Refused("An operator has shut this user out: `allow` them first.", outcome="denied") from None
    except Blocked as error:
        raise Refused(f"The user is blocked: {error.reason}.", outcome="blocked", reason=error.reason) from None
    except NotConfigured:
        raise Refused("The secret holds no usable Whop API key yet.", outcome="failed") from None
    except WhopError as error:
        raise Refused(f"Whop: {error}", outcome="failed") from None
