"""Reads users from the Cognito user pool."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from whop_chat.cognito.display_name import NameRule, display_name, profile_digest
from whop_chat.cognito.user import UserRef, is_sub
from whop_chat.runtime.aws import AwsError, aws_call, validating
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import Refused

# AWS, UserType.UserStatus: users with one of these can have tokens of their own.
_ACTIVE_STATUSES = ("CONFIRMED", "EXTERNAL_PROVIDER")
# Users who sign in without a password keep the first one for ever. A token or a sign-in proves that they can sign in.
_PASSWORD_DUE_STATUSES = ("FORCE_CHANGE_PASSWORD", "RESET_REQUIRED")
_PAGE = 60  # AWS, ListUsers: the maximum of one answer


class PoolStatus(StrEnum):
    """A user's status in the pool."""

    ACTIVE = "active"
    DISABLED = "disabled"
    PASSWORD_DUE = "password_due"  # noqa: S105  # nosec B105  # not a password
    """The user has a password to change or to reset. They may be able to sign in all the same, without a password."""
    INACTIVE = "inactive"
    """The user exists but cannot sign in: unconfirmed, archived or compromised."""
    GONE = "gone"


class NotActive(Refused):
    """The pool has no active user with this ``sub``. ``status`` is the user's status."""

    status: PoolStatus


class UserGone(NotActive):
    """The pool has no such user any more. An error of Cognito's never proves that."""

    status = PoolStatus.GONE


class UserDisabled(NotActive):
    """An administrator has disabled the user."""

    status = PoolStatus.DISABLED


class UserInactive(NotActive):
    """The user exists but cannot sign in."""

    status = PoolStatus.INACTIVE


def not_active(status: PoolStatus) -> NotActive:
    """The exception for a user of this ``status``, which is not one of those who may sign in."""
    return next(kind for kind in (UserGone, UserDisabled, UserInactive) if kind.status is status)()


@dataclass(frozen=True, slots=True)
class PoolUser:
    """The attributes that enrolment and profiles need.

    ``providers`` names the identity providers that write the user's attributes. A federated user has some, and so has a
    native user with a linked external identity. It is empty for other native users. ``picture`` is the address of the
    user's picture, empty if they have none, and None if this stack sets no pictures.
    """

    sub: str
    email: str | None = field(repr=False)
    email_verified: bool
    name: str | None = field(repr=False)
    providers: tuple[str, ...]
    picture: str | None = field(repr=False, default=None)

    @property
    def picture_digest(self) -> str | None:
        """The digest of the picture's address for the user's record, or None without a picture."""
        return profile_digest(self.sub, self.picture) if self.picture else None

    @property
    def picture_is_object(self) -> bool:
        """Whether the picture is in a bucket, so that it can change under the same address."""
        return self.picture is not None and self.picture.startswith("s3://")


@dataclass(frozen=True, slots=True)
class ListedUser:
    """A user from ListUsers. ``pool_user`` is there in every ``status``."""

    user: UserRef
    status: PoolStatus
    pool_user: PoolUser

    @property
    def may_sign_in(self) -> bool:
        """Whether the status does not rule out that the user can sign in."""
        return self.status in (PoolStatus.ACTIVE, PoolStatus.PASSWORD_DUE)

    def require_may_sign_in(self) -> PoolUser:
        """``pool_user``, of a user who may be able to sign in. Raises `NotActive`."""
        if self.may_sign_in:
            return self.pool_user
        raise not_active(self.status)


@dataclass(frozen=True, slots=True)
class Page:
    """Some users, in the pool's order. ``next_token`` is for the next page, or None on the last one."""

    users: tuple[ListedUser, ...]
    next_token: str | None


class UserPool:
    """Reads the users of one pool.

    ``pictures`` says where their pictures are: None for nowhere, ``picture`` for the address in that attribute, or
    ``s3://bucket/prefix/{sub}``. Every method raises `AwsError` and `DeadlineExceeded`.
    """

    def __init__(self, aws: AwsClients, pool_id: str, names: NameRule, pictures: str | None = None) -> None:
        self._aws = aws
        self._pool_id = pool_id
        self._names = names
        self._pictures = pictures

    def admin_get(self, user: UserRef, *, deadline: Deadline) -> PoolUser:
        """The current attributes of a user who just proved that they can sign in, from AdminGetUser.

        The proof is a verified token, a sign-up or a sign-in. So a password that is due does not matter.

        The answer counts only if it has the same ``sub``: Cognito reuses user names, but no subs. AdminGetUser makes a
        user count as active for billing (AWS, Cognito pricing), which these users do anyway.

        Raises `NotActive`.
        """
        return self._by_name(user, deadline).require_may_sign_in()

    def lookup(self, user: UserRef, *, deadline: Deadline) -> ListedUser:
        """The user in any status, from ListUsers, which has no effect on billing. Found by ``sub`` only.

        ListUsers is not strongly consistent: a change can be missing for some seconds. So a later call decides, such as
        the next reconcile. A user who is missing from ListUsers is gone only if AdminGetUser, which is consistent, does
        not find them either. A call of AdminGetUser that finds no user bills nobody.

        Raises `UserGone`.
        """
        return self._by_sub(user.sub, deadline) or self._by_name(user, deadline)

    def list_page(self, token: str | None, *, deadline: Deadline) -> Page:
        """The 60 users at ``token``, or the first 60. No effect on billing, and as stale as `lookup`."""
        continued: dict[str, Any] = {"PaginationToken": token} if token else {}
        with aws_call(deadline):
            answer = self._aws.cognito.list_users(UserPoolId=self._pool_id, Limit=_PAGE, **continued)
        with validating("ListUsers"):
            return Page(tuple(map(self._listed, answer["Users"])), answer.get("PaginationToken"))

    def list_group(self, group: str, token: str | None, *, deadline: Deadline) -> Page:
        """The 60 users of a group at ``token``, or the first 60, from ListUsersInGroup. No effect on billing."""
        continued: dict[str, Any] = {"NextToken": token} if token else {}
        with aws_call(deadline):
            answer = self._aws.cognito.list_users_in_group(
                UserPoolId=self._pool_id, GroupName=group, Limit=_PAGE, **continued
            )
        with validating("ListUsersInGroup"):
            return Page(tuple(map(self._listed, answer["Users"])), answer.get("NextToken"))

    def exists(self, sub: str, *, deadline: Deadline) -> bool:
        """Whether ListUsers has a user with this ``sub``. As stale as `lookup`."""
        return self._by_sub(sub, deadline) is not None

    def list_by(
        self, attribute: Literal["sub", "username", "email"], value: str, *, deadline: Deadline
    ) -> tuple[ListedUser, ...]:
        """The users with this value, from ListUsers, at most 60. As stale as `lookup`. Users can share an address."""
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        limit = 1 if attribute == "sub" else _PAGE
        with aws_call(deadline):
            answer = self._aws.cognito.list_users(
                UserPoolId=self._pool_id, Filter=f'{attribute} = "{quoted}"', Limit=limit
            )
        with validating("ListUsers"):
            return tuple(map(self._listed, answer["Users"]))

    def _by_sub(self, sub: str, deadline: Deadline) -> ListedUser | None:
        if not is_sub(sub):
            raise ValueError("not a sub of Cognito's")
        return next((listed for listed in self.list_by("sub", sub, deadline=deadline) if listed.user.sub == sub), None)

    def _by_name(self, user: UserRef, deadline: Deadline) -> ListedUser:
        """The user, from AdminGetUser. Raises `UserGone`, also if another user has the user name now."""
        try:
            with aws_call(deadline):
                answer = self._aws.cognito.admin_get_user(UserPoolId=self._pool_id, Username=user.username)
        except AwsError as error:
            if error.code == "UserNotFoundException":
                raise UserGone from None
            raise
        with validating("AdminGetUser"):
            listed = self._listed({**answer, "Attributes": answer["UserAttributes"]})
            if not listed.user.sub:
                raise ValueError("a user without a sub")
        if listed.user.sub != user.sub:
            raise UserGone
        return listed

    def _listed(self, row: Mapping[str, Any]) -> ListedUser:
        """The user in ``row``, a UserType of the API."""
        attributes = {item["Name"]: item.get("Value", "") for item in row.get("Attributes", [])}
        status = row.get("UserStatus")
        username = row.get("Username", "")
        if not all(isinstance(text, str) for text in (username, *attributes.values())):
            raise TypeError("an attribute that is no text")
        pool_user = PoolUser(
            sub=_encodable(attributes.get("sub", "")),
            email=_encodable(attributes.get("email", "")) or None,
            # Cognito keeps the text that was written. Imports and SDKs also write "True" and "TRUE".
            email_verified=attributes.get("email_verified", "").lower() == "true",
            name=display_name(attributes, self._names),
            providers=_providers(attributes) if status == "EXTERNAL_PROVIDER" or "identities" in attributes else (),
            picture=_picture(attributes, self._pictures),
        )
        user = UserRef(pool_id=self._pool_id, sub=pool_user.sub, username=username)
        return ListedUser(user, _pool_status(row.get("Enabled"), status), pool_user)


def _picture(attributes: Mapping[str, str], source: str | None) -> str | None:
    """The address of a user's picture. That of an object is made of the ``sub`` only, which no user can write."""
    sub = attributes.get("sub", "")
    match source:
        case None:
            return None
        case "picture":
            return _encodable(attributes.get("picture", ""))
        case _:
            return source.replace("{sub}", sub) if is_sub(sub) else ""


def _encodable(text: str) -> str:
    """``text``, or an empty string if it has half of a surrogate pair, which no request can contain."""
    return text if text.encode(errors="ignore").decode() == text else ""


def _pool_status(enabled: object, status: object) -> PoolStatus:
    if enabled is not True:
        return PoolStatus.DISABLED
    if status in _ACTIVE_STATUSES:
        return PoolStatus.ACTIVE
    return PoolStatus.PASSWORD_DUE if status in _PASSWORD_DUE_STATUSES else PoolStatus.INACTIVE


def _providers(attributes: Mapping[str, str]) -> tuple[str, ...]:
    """The names in the ``identities`` attribute, a JSON array. If malformed: an empty name, which no team trusts."""
    try:
        return tuple(str(identity["providerName"]) for identity in json.loads(attributes["identities"])) or ("",)
    except (KeyError, TypeError, ValueError):
        return ("",)
