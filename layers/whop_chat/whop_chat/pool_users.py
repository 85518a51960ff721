"""What Cognito says of a user right now."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from whop_chat.aws import COGNITO, Aws, AwsError
from whop_chat.deadline import Deadline
from whop_chat.identity import UserRef

# AWS, UserType.UserStatus: the two in which a user can hold a token of their own.
_ACTIVE_STATUSES = ("CONFIRMED", "EXTERNAL_PROVIDER")


class UserGone(Exception):
    """No active user of the pool has this user name and this ``sub`` any more."""


@dataclass(frozen=True, slots=True)
class PoolUser:
    """The attributes that enrolment and profiles need.

    ``providers`` names the identity providers that write the user's attributes: of a federated user, and of a native
    one to whom an external identity was linked. It is empty for other native users.
    """

    sub: str
    email: str | None = field(repr=False)
    email_verified: bool
    name: str | None = field(repr=False)
    providers: tuple[str, ...]


class PoolUsers:
    """Reads the users of one pool."""

    def __init__(self, aws: Aws, pool_id: str) -> None:
        self._aws = aws
        self._pool_id = pool_id

    def read(self, user: UserRef, *, deadline: Deadline) -> PoolUser:
        """The user as the pool has them now.

        The answer counts only if it is about the same ``sub``: user names are re-used, subs are not. AdminGetUser makes
        a user count as active for billing (AWS, Cognito pricing), so this is for users who just signed up or in.

        Raises `UserGone`, `whop_chat.aws.AwsError`, `whop_chat.deadline.DeadlineExceeded`.
        """
        try:
            asked = {"UserPoolId": self._pool_id, "Username": user.username}
            answer = self._aws.call(COGNITO, "AdminGetUser", asked, deadline=deadline)
        except AwsError as error:
            if error.code == "UserNotFoundException":
                raise UserGone from None
            raise
        attributes = {item["Name"]: item.get("Value", "") for item in answer.get("UserAttributes", [])}
        status = answer.get("UserStatus")
        if attributes.get("sub") != user.sub or answer.get("Enabled") is not True or status not in _ACTIVE_STATUSES:
            raise UserGone
        return PoolUser(
            sub=user.sub,
            email=attributes.get("email") or None,
            email_verified=attributes.get("email_verified") == "true",
            name=_display_name(attributes),
            providers=_providers(attributes) if status == "EXTERNAL_PROVIDER" or "identities" in attributes else (),
        )


def _display_name(attributes: Mapping[str, str]) -> str | None:
    full = " ".join(filter(None, (attributes.get("given_name", "").strip(), attributes.get("family_name", "").strip())))
    return attributes.get("name", "").strip() or full or None


def _providers(attributes: Mapping[str, str]) -> tuple[str, ...]:
    """The names in the ``identities`` attribute, a JSON array; an unreadable one gives a name nobody trusts."""
    try:
        return tuple(str(identity["providerName"]) for identity in json.loads(attributes["identities"])) or ("",)
    except (KeyError, TypeError, ValueError):
        return ("",)
