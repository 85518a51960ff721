"""The links of users to their own Whop accounts: ``OAUTH#<pool>#<sub>``, without an end.

Both tokens are sealed in one text, bound to user and client. Every write renews ``version`` and expects the version
that its writer read. So a link that was removed or replaced is never overwritten by a refresh that came too late.
"""

import dataclasses
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from whop_chat.cognito.user import UserRef
from whop_chat.oauth.errors import LinkExpired, StaleLink
from whop_chat.runtime.aws import AwsError, aws_call, validating
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.sealed import KeyRing, Sealed, opened, purpose
from whop_chat.runtime.secrets import CachedSecret
from whop_chat.users.record import new_version

Status = Literal["linked", "expired", "shrunk"]


@dataclass(frozen=True, slots=True)
class LinkTokens:
    """The tokens of a link."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLink:
    """A user's link to their own Whop user. Times are epoch seconds, ``expires_at`` is the access token's.

    ``expired``: Whop refused the refresh token. ``shrunk``: Whop granted less at a refresh than was linked.
    """

    whop_user_id: str
    client_id: str
    scopes: tuple[str, ...]
    status: Status
    expires_at: int
    sealed: Sealed
    version: str = field(default_factory=new_version)
    lease_until: int = 0


class OwnLinks:
    """The links in the users table, for the users of one OAuth client.

    Methods raise `AwsError`, `whop_chat.runtime.deadline.DeadlineExceeded` and the errors of
    `whop_chat.runtime.sealed`.
    """

    def __init__(self, aws: AwsClients, table: str, keys: CachedSecret[KeyRing], client_id: str) -> None:
        self._aws = aws
        self._table = table
        self._keys = keys
        self.client_id = client_id

    def get(self, user: UserRef, *, deadline: Deadline) -> OwnLink | None:
        """The user's link, or None."""
        with aws_call(deadline):
            answer: Any = self._aws.dynamodb.get_item(TableName=self._table, Key=_key(user), ConsistentRead=True)
        with validating("GetItem"):
            return _link(answer["Item"]) if answer.get("Item") else None

    def put(self, user: UserRef, link: OwnLink, *, expected: OwnLink, deadline: Deadline) -> OwnLink:
        """Replace ``expected`` by ``link``, and return it. Raises `StaleLink`.

        The version is renewed, unless the caller has renewed it already. Then the same write can be repeated.
        """
        if link.version == expected.version:
            link = dataclasses.replace(link, version=new_version())
        try:
            with aws_call(deadline):
                self._aws.dynamodb.put_item(**self._put(user, link, expected))
        except AwsError as error:
            # The answer may be about a retry, or be missing. If the first write arrived, the table has our version.
            current = self.get(user, deadline=deadline)
            if current is None or current.version != link.version:
                if error.code != "ConditionalCheckFailedException":
                    raise
                raise StaleLink from None
        return link

    def put_item(self, user: UserRef, link: OwnLink, expected: OwnLink | None) -> dict[str, Any]:
        """`put` as a part of a transaction. ``expected`` is None if there is no link."""
        return {"Put": self._put(user, link, expected)}

    def delete_item(self, user: UserRef, expected: OwnLink) -> dict[str, Any]:
        """The deletion of ``expected`` as a part of a transaction."""
        return {"Delete": {"TableName": self._table, "Key": _key(user), **_unchanged(expected)}}

    def seal(self, user: UserRef, whop_user_id: str, tokens: LinkTokens, *, deadline: Deadline) -> Sealed:
        """``tokens``, sealed for this user, client and Whop user."""
        ring = self._keys.current(deadline=deadline)
        return ring.seal(json.dumps([tokens.access, tokens.refresh]), _purpose(user, self.client_id, whop_user_id))

    def open(self, user: UserRef, link: OwnLink, *, deadline: Deadline) -> LinkTokens:
        """The tokens of ``link``. Raises `LinkExpired` if they were sealed for another user, client or Whop user."""
        sealed_for = _purpose(user, self.client_id, link.whop_user_id)
        try:
            access, refresh = json.loads(opened(self._keys, link.sealed, sealed_for, deadline=deadline))
        except ValueError:
            raise LinkExpired from None
        return LinkTokens(access, refresh)

    def reseal(self, user: UserRef, *, deadline: Deadline) -> bool:
        """Seal the user's tokens with the current data key, for the same client. Returns False if they are already.

        Raises `StaleLink` if another worker writes the link, or is refreshing it: its new tokens would be lost. Raises
        `ValueError` for tokens that cannot be opened.
        """
        link = self.get(user, deadline=deadline)
        if link is None or link.sealed.key_id == self._keys.current(deadline=deadline).current:
            return False
        if link.lease_until > time.time():
            raise StaleLink
        sealed_for = _purpose(user, link.client_id, link.whop_user_id)
        text = opened(self._keys, link.sealed, sealed_for, deadline=deadline)
        sealed = self._keys.current(deadline=deadline).seal(text, sealed_for)
        self.put(user, dataclasses.replace(link, sealed=sealed), expected=link, deadline=deadline)
        return True

    def _put(self, user: UserRef, link: OwnLink, expected: OwnLink | None) -> dict[str, Any]:
        return {"TableName": self._table, "Item": _item(user, link), **_unchanged(expected)}


def _key(user: UserRef) -> dict[str, Any]:
    return {"pk": {"S": f"OAUTH#{user.pool_id}#{user.sub}"}}


def _purpose(user: UserRef, client_id: str, whop_user_id: str) -> bytes:
    return purpose("oauth link", user.pool_id, user.sub, client_id, whop_user_id)


def _unchanged(expected: OwnLink | None) -> dict[str, Any]:
    if expected is None:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    return {
        "ConditionExpression": "#version = :expected",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": {":expected": {"S": expected.version}},
    }


def _item(user: UserRef, link: OwnLink) -> dict[str, Any]:
    return {
        **_key(user),
        "pool": {"S": user.pool_id},
        "sub": {"S": user.sub},
        "whop_user_id": {"S": link.whop_user_id},
        "client_id": {"S": link.client_id},
        "scopes": {"S": " ".join(link.scopes)},
        "status": {"S": link.status},
        "expires_at": {"N": str(link.expires_at)},
        "version": {"S": link.version},
        "lease_until": {"N": str(link.lease_until)},
        "key_id": {"S": link.sealed.key_id},
        "sealed": {"B": link.sealed.data},
    }


def _link(item: Mapping[str, Any]) -> OwnLink:
    status: Any = item["status"]["S"]
    return OwnLink(
        whop_user_id=item["whop_user_id"]["S"],
        client_id=item["client_id"]["S"],
        scopes=tuple(item["scopes"]["S"].split()),
        status=status,
        expires_at=int(item["expires_at"]["N"]),
        sealed=Sealed(item["key_id"]["S"], bytes(item["sealed"]["B"])),
        version=item["version"]["S"],
        lease_until=int(item["lease_until"]["N"]),
    )
