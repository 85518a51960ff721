"""Links in progress, from the authorization request to the app's `complete`.

``STATE#<hash of state>`` is one attempt, and ``LINKING#<pool>#<sub>`` names the newest attempt of a user: only that one
can be completed. Each secret is stored as a hash or sealed. One conditional update takes the state, and another one
takes the result, so each is good once.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from whop_chat.cognito.user import UserRef
from whop_chat.oauth.authorization import digest, new_secret
from whop_chat.oauth.errors import LinkFailed, UnknownState
from whop_chat.runtime.aws import AwsError, aws_call, validating
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.sealed import KeyRing, Sealed, opened, purpose
from whop_chat.runtime.secrets import CachedSecret

STATE_SECONDS = 600
RESULT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """The secrets of an authorization request."""

    state: str = field(default_factory=new_secret, repr=False)
    nonce: str = field(default_factory=new_secret, repr=False)
    verifier: str = field(default_factory=new_secret, repr=False)


@dataclass(frozen=True, slots=True)
class ReturnedCode:
    """What `complete` needs: Whop's code, the secrets that belong to it, and the scopes that were asked for."""

    code: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    scopes: tuple[str, ...]


class Attempts:
    """The attempts in the users table. ``clock`` returns epoch seconds.

    Methods raise `AwsError`, `whop_chat.runtime.deadline.DeadlineExceeded` and the errors of
    `whop_chat.runtime.sealed`.
    """

    def __init__(
        self, aws: AwsClients, table: str, keys: CachedSecret[KeyRing], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._aws = aws
        self._table = table
        self._keys = keys
        self._clock = clock

    def begin(self, user: UserRef, scopes: tuple[str, ...], return_to: str, *, deadline: Deadline) -> NewAttempt:
        """A new attempt of ``user``, which replaces their last one."""
        attempt, expires_at = NewAttempt(), int(self._clock()) + STATE_SECONDS
        hashed = digest(attempt.state)
        request = self._seal(json.dumps([attempt.nonce, attempt.verifier]), "request", hashed, deadline)
        times = {"expires_at": {"N": str(expires_at)}, "ttl": {"N": str(expires_at)}}
        self._put(
            {
                **_state_key(hashed),
                "pool": {"S": user.pool_id},
                "sub": {"S": user.sub},
                "scopes": {"S": " ".join(scopes)},
                "return_to": {"S": return_to},
                "request": request,
                **times,
            },
            deadline,
        )
        self._put({**_newest_key(user), "state": {"S": hashed}, **times}, deadline)
        return attempt

    def take_state(self, state: str, code: str | None, *, deadline: Deadline) -> tuple[str, str]:
        """The ``return_to`` of the attempt and its new one-time result, which is worth nothing if ``code`` is None.

        Raises `UnknownState`, also for a state that was taken before.
        """
        hashed, result, now = digest(state), new_secret(), int(self._clock())
        names = {"#code": "code"} if code is not None else {}
        values: dict[str, Any] = {":now": {"N": str(now)}}
        update = "SET taken_at = :now"
        if code is not None:
            values[":code"] = self._seal(code, "code", hashed, deadline)
            values[":result"] = {"S": digest(result)}
            values[":until"] = {"N": str(now + RESULT_SECONDS)}
            update += ", #code = :code, result_hash = :result, result_until = :until"
        item = self._update(
            hashed,
            update,
            "attribute_exists(pk) AND attribute_not_exists(taken_at) AND expires_at > :now",
            values,
            names,
            deadline,
        )
        if item is None:
            raise UnknownState
        with validating("UpdateItem"):
            return item["return_to"]["S"], result

    def take_result(self, user: UserRef, result: str, *, deadline: Deadline) -> ReturnedCode:
        """The code of the user's newest attempt, if ``result`` is its result. Raises `LinkFailed` for any other."""
        with aws_call(deadline):
            newest: Any = self._aws.dynamodb.get_item(TableName=self._table, Key=_newest_key(user), ConsistentRead=True)
        with validating("GetItem"):
            hashed = newest["Item"]["state"]["S"] if newest.get("Item") else None
        if hashed is None:
            raise LinkFailed("no attempt")
        item = self._update(
            hashed,
            "SET completed_at = :now",
            "result_hash = :result AND result_until > :now AND attribute_not_exists(completed_at) "
            "AND #pool = :pool AND #sub = :sub",
            {
                ":now": {"N": str(int(self._clock()))},
                ":result": {"S": digest(result)},
                ":pool": {"S": user.pool_id},
                ":sub": {"S": user.sub},
            },
            {"#pool": "pool", "#sub": "sub"},
            deadline,
        )
        if item is None:
            raise LinkFailed("result")
        with validating("UpdateItem"):
            nonce, verifier = json.loads(self._open(item["request"], "request", hashed, deadline))
            code = self._open(item["code"], "code", hashed, deadline)
            return ReturnedCode(code, nonce, verifier, tuple(item["scopes"]["S"].split()))

    def _update(
        self,
        hashed: str,
        update: str,
        condition: str,
        values: Mapping[str, Any],
        names: Mapping[str, str],
        deadline: Deadline,
    ) -> dict[str, Any] | None:
        """The item after ``update``, or None if ``condition`` is not met."""
        request: dict[str, Any] = {
            "TableName": self._table,
            "Key": _state_key(hashed),
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ReturnValues": "ALL_NEW",
            **({"ExpressionAttributeNames": names} if names else {}),
        }
        try:
            with aws_call(deadline):
                answer: Any = self._aws.dynamodb.update_item(**request)
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise
            return None
        with validating("UpdateItem"):
            return dict(answer["Attributes"])

    def _put(self, item: Mapping[str, Any], deadline: Deadline) -> None:
        with aws_call(deadline):
            self._aws.dynamodb.put_item(TableName=self._table, Item=item)

    def _seal(self, text: str, kind: str, hashed: str, deadline: Deadline) -> dict[str, Any]:
        sealed = self._keys.current(deadline=deadline).seal(text, purpose("oauth", kind, hashed))
        return {"M": {"key_id": {"S": sealed.key_id}, "data": {"B": sealed.data}}}

    def _open(self, value: Any, kind: str, hashed: str, deadline: Deadline) -> str:
        sealed = Sealed(value["M"]["key_id"]["S"], bytes(value["M"]["data"]["B"]))
        return opened(self._keys, sealed, purpose("oauth", kind, hashed), deadline=deadline)


def _state_key(hashed: str) -> dict[str, Any]:
    return {"pk": {"S": f"STATE#{hashed}"}}


def _newest_key(user: UserRef) -> dict[str, Any]:
    return {"pk": {"S": f"LINKING#{user.pool_id}#{user.sub}"}}
