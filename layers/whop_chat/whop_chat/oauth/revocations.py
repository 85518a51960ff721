"""Refresh tokens that have to be revoked at Whop: ``REVOKE#<pool>#<sub>``, sealed, until Whop has revoked them.

A token is written here before it is revoked. So a crash or an outage of Whop loses none, and a sync of the user
revokes what is left.
"""

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

from whop_chat.cognito.user import UserRef
from whop_chat.oauth.server import OAuthServer
from whop_chat.runtime.aws import AwsError, aws_call, update_if, validating
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.errors import Retryable
from whop_chat.runtime.sealed import KeyRing, Sealed, opened, purpose
from whop_chat.runtime.secrets import CachedSecret
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.whop.errors import WhopError, WhopRefused, WhopUnauthorized

_ATTEMPTS = 5


class Contended(Retryable):
    """Other workers kept writing the list."""

    retry_after = 1


class RevocationList:
    """The tokens to revoke of each user, sealed in the users table.

    Methods raise `AwsError`, `DeadlineExceeded`, `Contended` and the errors of `whop_chat.runtime.sealed`.
    """

    def __init__(self, aws: AwsClients, table: str, keys: CachedSecret[KeyRing]) -> None:
        self._aws = aws
        self._table = table
        self._keys = keys

    def tokens(self, user: UserRef, *, deadline: Deadline) -> list[str]:
        """The tokens of ``user``."""
        return self._read(user, deadline)[0]

    def rewrite(self, user: UserRef, change: Callable[[Sequence[str]], list[str]], *, deadline: Deadline) -> None:
        """Replace the tokens by what ``change`` makes of them."""
        for _ in range(_ATTEMPTS):
            tokens, expected = self._read(user, deadline)
            changed = change(tokens)
            if changed == tokens or self._write(user, changed, expected, deadline):
                return
        raise Contended

    def _read(self, user: UserRef, deadline: Deadline) -> tuple[list[str], Sealed | None]:
        with aws_call(deadline):
            answer: Any = self._aws.dynamodb.get_item(TableName=self._table, Key=_key(user), ConsistentRead=True)
        with validating("GetItem"):
            item = answer.get("Item")
            if not item or "sealed" not in item:
                return [], None
            sealed = Sealed(item["key_id"]["S"], bytes(item["sealed"]["B"]))
        return json.loads(opened(self._keys, sealed, _purpose(user), deadline=deadline)), sealed

    def _write(self, user: UserRef, tokens: Sequence[str], expected: Sealed | None, deadline: Deadline) -> bool:
        """Whether the list was still ``expected``. An empty list leaves an item without content."""
        request: dict[str, Any] = {"TableName": self._table, "Key": _key(user)}
        values: dict[str, Any] = {}
        if expected is None:
            request["ConditionExpression"] = "attribute_not_exists(sealed)"
        else:
            request["ConditionExpression"] = "sealed = :expected"
            values[":expected"] = {"B": expected.data}
        if tokens:
            sealed = self._keys.current(deadline=deadline).seal(json.dumps(list(tokens)), _purpose(user))
            request["UpdateExpression"] = "SET key_id = :key_id, sealed = :sealed"
            values |= {":key_id": {"S": sealed.key_id}, ":sealed": {"B": sealed.data}}
        else:
            request["UpdateExpression"] = "REMOVE key_id, sealed"
        if values:
            request["ExpressionAttributeValues"] = values
        return update_if(self._aws.dynamodb, request, deadline=deadline)

    def reseal(self, user: UserRef, *, deadline: Deadline) -> bool:
        """Seal the tokens with the current data key. Returns False if they are already.

        Raises `ValueError` for tokens that cannot be opened.
        """
        tokens, sealed = self._read(user, deadline)
        if sealed is None or sealed.key_id == self._keys.current(deadline=deadline).current:
            return False
        if not self._write(user, tokens, sealed, deadline):
            raise Contended
        return True


class Revocations:
    """The tokens to revoke of the users of one OAuth client. ``enqueue`` makes a sync revoke what is left.

    Methods raise `AwsError`, `DeadlineExceeded`, `Contended` and the errors of `whop_chat.runtime.sealed`.
    """

    def __init__(
        self,
        aws: AwsClients,
        table: str,
        keys: CachedSecret[KeyRing],
        server: OAuthServer,
        telemetry: Telemetry,
        enqueue: Callable[[UserRef], None] | None = None,
    ) -> None:
        self._list = RevocationList(aws, table, keys)
        self._server = server
        self._telemetry = telemetry
        self._enqueue = enqueue

    def add(self, user: UserRef, refresh_token: str, *, deadline: Deadline) -> None:
        """Write down that ``refresh_token`` has to be revoked."""
        self._list.rewrite(user, lambda tokens: [*tokens, refresh_token], deadline=deadline)

    def revoke(self, user: UserRef, refresh_token: str, *, deadline: Deadline) -> None:
        """Write ``refresh_token`` down and revoke it. If Whop fails, a sync does it later."""
        self.add(user, refresh_token, deadline=deadline)
        self.revoke_added(user, deadline=deadline)

    def revoke_added(self, user: UserRef, *, deadline: Deadline) -> None:
        """Revoke what is written down. If that fails, enqueue a sync, which does it later."""
        try:
            self.revoke_all(user, deadline=deadline)
        except (WhopError, AwsError, DeadlineExceeded, Retryable) as error:
            self._telemetry.warning("not revoked yet", error)
            if self._enqueue is not None:
                self._enqueue(user)

    def revoke_all(self, user: UserRef, *, deadline: Deadline) -> None:
        """Revoke everything that is written down for ``user``. Raises the errors of Whop that a retry can help."""
        for token in self._list.tokens(user, deadline=deadline):
            try:
                self._server.revoke(token, deadline=deadline)
            except WhopUnauthorized:
                raise  # The client secret is wrong, which an operator fixes.
            except WhopRefused as refusal:
                self._telemetry.warning("revocation refused", refusal)
            self._list.rewrite(user, functools.partial(_without, token), deadline=deadline)


def _without(token: str, tokens: Sequence[str]) -> list[str]:
    return [each for each in tokens if each != token]


def _key(user: UserRef) -> dict[str, Any]:
    return {"pk": {"S": f"REVOKE#{user.pool_id}#{user.sub}"}}


def _purpose(user: UserRef) -> bytes:
    return purpose("oauth revocations", user.pool_id, user.sub)
